// The arrays of observe(), checked once and handed to the kernel by name.
#pragma once

#include <array>
#include <deque>
#include <string>

#include "buffer.hpp"

namespace attnscope {

// The arrays that observe() wants filled, by name; those that are not there were not asked for
class StatisticsArrays {
public:
    StatisticsArrays(std::array<std::int64_t, 4> sizes, nb::dict arrays, std::int64_t first_keys, std::int64_t segments,
                     std::int64_t top_keys, std::array<std::int64_t, 2> map_shape)
        : arrays_(arrays), batch_(sizes[0]), heads_(sizes[1]), query_len_(sizes[2]), key_len_(sizes[3]) {
        view_.first_keys = first_keys, view_.segments = segments, view_.top_keys = top_keys;
        view_.map_rows = map_shape[0], view_.map_columns = map_shape[1];
        if (segments < 0 || segments > 64 || top_keys < 0 || key_len_ >= 1 << 24)
            throw nb::value_error("too many segments, keys or top keys");
        view_.entropy = rows<float>("entropy", true);
        view_.max_weight = rows<float>("max_weight", true);
        view_.first_mass = rows<float>("first_mass", true);
        view_.mean_distance = rows<float>("mean_distance", true);
        view_.sink_mass = rows<float>("sink_mass", true);
        view_.max_key = rows<std::int32_t>("max_key", true);
        view_.visible_keys = rows<std::int32_t>("visible_keys", true);
        if (segments > 0) {
            view_.segment_mass = filled<float>("segment_mass", {batch_, heads_, query_len_, segments}, true);
            set_labels();
        }
        if (top_keys > 0) {
            view_.top_key = filled<std::int32_t>("top_keys", {batch_, heads_, query_len_, top_keys}, true);
            view_.top_weight = filled<float>("top_weights", {batch_, heads_, query_len_, top_keys}, true);
        }
        view_.received = filled<float>("received", {batch_, heads_, key_len_}, false);
        view_.map = filled<float>("map", {batch_, heads_, map_shape[0], map_shape[1]}, false);
        view_.counted = find<const float>("counted", {batch_, heads_, query_len_}, false, false);
        view_.largest = rows<float>("largest", view_.surveys());
        view_.share = rows<float>("share", view_.surveys());
    }

    StatisticsArrays(const StatisticsArrays&) = delete;

    const Statistics& of(const AttentionCall& call) const {
        if (call.batch != batch_ || call.query_heads != heads_ || call.query_len != query_len_ || call.key_len != key_len_)
            throw nb::value_error("statistics have other sizes than the plan");
        return view_;
    }

private:
    template <typename T>
    T* find(const char* name, std::initializer_list<std::int64_t> shape, bool required, bool writable) {
        if (!arrays_.contains(name)) {
            if (required) throw nb::value_error((std::string("statistics lack ") + name).c_str());
            return nullptr;
        }
        const Buffer& buffer = buffers_.emplace_back(arrays_[name], name, static_cast<int>(shape.size()), writable);
        buffer.expect(shape, sizeof(T));
        buffer.expect_contiguous();
        return buffer.data<T>();
    }
    template <typename T>
    T* filled(const char* name, std::initializer_list<std::int64_t> shape, bool required) {
        return find<T>(name, shape, required, true);
    }
    template <typename T>
    T* rows(const char* name, bool required) { return filled<T>(name, {batch_, heads_, query_len_}, required); }

    void set_labels() {
        const Buffer labels(arrays_["labels"], "labels", 2, false);
        const std::int64_t shared = labels.size(0);
        if (shared != 1 && shared != batch_) throw nb::value_error("labels do not have the plan's batch");
        labels_ = labels.copy<std::uint8_t>({shared, key_len_});
        view_.labels = labels_.data();
        view_.labels_batch_stride = shared == 1 ? 0 : key_len_;
        for (const std::uint8_t label : labels_)
            if (label >= view_.segments) throw nb::value_error("a label is beyond the segments");
    }

    nb::dict arrays_;
    std::deque<Buffer> buffers_;
    std::vector<std::uint8_t> labels_;
    Statistics view_ = {};
    std::int64_t batch_, heads_, query_len_, key_len_;
};

}  // namespace attnscope
