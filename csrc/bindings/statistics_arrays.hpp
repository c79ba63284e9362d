// The arrays of observe(), checked once and passed to the kernel by name.
#pragma once

#include <algorithm>
#include <deque>
#include <string>
#include <vector>

#include "buffer.hpp"

namespace attnscope {

struct StatisticsSizes {
    std::int64_t batch, query_heads, query_len, key_len;
    std::int64_t first_keys, segments, top_keys, map_rows, map_columns;
};

// The arrays that observe() wants filled, by name; an absent name is not requested
class StatisticsArrays {
public:
    StatisticsArrays(const StatisticsSizes& sizes, nb::dict arrays) : arrays_(arrays), sizes_(sizes) {
        if (sizes.segments < 0 || sizes.segments > most_segments || sizes.top_keys < 0 ||
            sizes.key_len >= most_observed_keys)
            throw nb::value_error("statistics: too many segments, keys or top keys");
        view_.first_keys = sizes.first_keys, view_.segments = sizes.segments, view_.top_keys = sizes.top_keys;
        view_.map_rows = sizes.map_rows, view_.map_columns = sizes.map_columns;
        find_sums_of_rows();
        find_lists_of_rows();
        find_survey();
    }

    StatisticsArrays(const StatisticsArrays&) = delete;
    StatisticsArrays& operator=(const StatisticsArrays&) = delete;

    const Statistics& of(const AttentionCall& call) const {
        if (call.batch != sizes_.batch || call.query_heads != sizes_.query_heads ||
            call.query_len != sizes_.query_len || call.key_len != sizes_.key_len)
            throw nb::value_error("statistics: expected the plan's sizes");
        return view_;
    }

private:
    void find_sums_of_rows() {
        view_.entropy = rows<float>("entropy");
        view_.max_weight = rows<float>("max_weight");
        view_.first_mass = rows<float>("first_mass");
        view_.mean_distance = rows<float>("mean_distance");
        view_.sink_mass = rows<float>("sink_mass");
        view_.max_key = rows<std::int32_t>("max_key");
        view_.visible_keys = rows<std::int32_t>("visible_keys");
    }

    void find_lists_of_rows() {
        const StatisticsSizes& s = sizes_;
        if (s.segments > 0) {
            view_.segment_mass =
                filled<float>("segment_mass", {s.batch, s.query_heads, s.query_len, s.segments});
            copy_labels();
        }
        if (s.top_keys > 0) {
            view_.top_key =
                filled<std::int32_t>("top_keys", {s.batch, s.query_heads, s.query_len, s.top_keys});
            view_.top_weight =
                filled<float>("top_weights", {s.batch, s.query_heads, s.query_len, s.top_keys});
        }
    }

    void find_survey() {
        const StatisticsSizes& s = sizes_;
        if (arrays_.contains("received"))
            view_.received = filled<float>("received", {s.batch, s.query_heads, s.key_len});
        if (arrays_.contains("map")) {
            if ((s.map_rows < 1 && s.query_len > 0) || (s.map_columns < 1 && s.key_len > 0))
                throw nb::value_error("map: expected at least one row and column");
            view_.map = filled<float>("map", {s.batch, s.query_heads, s.map_rows, s.map_columns});
        }
        if (!view_.surveys()) return;
        view_.largest = rows<float>("largest");
        view_.share = rows<float>("share");
        if (!arrays_.contains("counted")) return;
        const Buffer& counted = read_.emplace_back(array("counted"), "counted", 3);
        view_.counted = counted.contiguous<float>({s.batch, s.query_heads, s.query_len});
    }

    void copy_labels() {
        const Buffer labels(array("labels"), "labels", 2);
        const std::int64_t shared = labels.size(0);
        if (shared != 1 && shared != sizes_.batch) labels.fail("expected one row, or one per batch row");
        labels_ = labels.copy<std::uint8_t>({shared, sizes_.key_len});
        view_.labels = labels_.data();
        view_.labels_batch_stride = shared == 1 ? 0 : sizes_.key_len;
        if (std::any_of(labels_.begin(), labels_.end(),
                        [&](std::uint8_t at) { return at >= sizes_.segments; }))
            throw nb::value_error("labels: expected labels below the number of segments");
    }

    Array array(const char* name) const {
        if (!arrays_.contains(name))
            throw nb::value_error((std::string(name) + ": expected this array").c_str());
        return {nb::handle(arrays_[name].ptr())};  // the dict keeps it alive
    }
    template <typename T>
    T* filled(const char* name, std::initializer_list<std::int64_t> shape) {
        return written_.emplace_back(array(name), name, static_cast<int>(shape.size())).contiguous<T>(shape);
    }
    template <typename T>
    T* rows(const char* name) {
        return filled<T>(name, {sizes_.batch, sizes_.query_heads, sizes_.query_len});
    }

    nb::dict arrays_;
    StatisticsSizes sizes_;
    std::deque<Buffer> read_;
    std::deque<WritableBuffer> written_;
    std::vector<std::uint8_t> labels_;
    Statistics view_ = {};
};

}  // namespace attnscope
