// A small attention call with its memory, drawn from a number or from the bytes of a fuzzer.
#pragma once

#include <algorithm>
#include <memory>

#include "random.hpp"

namespace attnscope {

// What a call may be beside attention over ordinary numbers
struct Kind {
    bool statistics = false, pages = false;
    bool gradients = false;  // what a backward pass has: no pages, no int8
    bool extremes = false;   // NaN, infinities, spans that overlap, and other sizes
};

class RandomCall {
public:
    AttentionCall call = {};

    RandomCall(Random random, Kind kind) : random_(random), kind_(kind) {
        extreme_numbers_ = kind.extremes && random_.one_in(2);
        draw_sizes();
        draw_arrays();
        draw_mask();
        draw_scoring();
        if (kind.statistics) draw_statistics();
    }
    RandomCall(const RandomCall&) = delete;

    // All tiles one after another, and the second pass of statistics
    void run(const KernelTable& table) {
        const std::int64_t tiles = table.count_tiles(call);
        for (std::int64_t tile = 0; tile < tiles;)
            tile = table.run_some_tiles(call, tile, tiles, workspace(table));
        if (!call.statistics.surveys()) return;
        for (std::int64_t task = 0; task < table.count_survey_tasks(call); ++task)
            table.run_survey(call, task, workspace(table));
    }

    // Calls body(data, bytes) for each array of results
    template <typename Body>
    void for_each_result(const Body& body) {
        body(output().bytes().data(), output().bytes().size());
        for (const std::vector<float>* floats : {&logsumexp_, &of_rows_, &received_, &map_})
            body(floats->data(), floats->size() * sizeof(float));
        body(keys_of_rows_.data(), keys_of_rows_.size() * sizeof(std::int32_t));
    }

    // From now on the workspace and the results that need not be zero hold signalling NaNs: arithmetic on one
    // of them raises the floating-point exception FE_INVALID
    void poison(const KernelTable& table) {
        fill(workspace(table), static_cast<std::size_t>(workspace_bytes(table)));
        for (std::vector<float>* results : {&logsumexp_, &of_rows_, &second_pass_, &received_})
            fill(results->data(), results->size() * sizeof(float));
        fill(output().bytes().data(), output().bytes().size());
    }

    // Whether a query of a head may read a key
    bool sees(std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j) const {
        const Visibility& given = call.visibility;
        if (j >= call.keys_of(b)) return false;
        if (given.words != nullptr) {
            const std::int64_t row =
                b * given.words_batch_stride + h * given.words_head_stride + i * given.words_query_stride;
            return given.words[row + j / block_keys] >> (j % block_keys) & 1u;
        }
        bool seen = given.first_key == nullptr;
        for (std::int64_t s = 0; s < given.spans; ++s) {
            const std::int64_t at = b * given.span_batch_stride + i * given.spans + s;
            seen = seen || (given.first_key[at] <= j && j < given.end_key[at]);
        }
        return seen;
    }

    // The rows in memory of a key of a head, with its pages
    struct Slot {
        std::int64_t b, token;
    };
    Slot slot_of(std::int64_t b, std::int64_t j) const {
        if (call.pages.table == nullptr) return {b, j};
        return {call.pages.table[b * call.pages.table_stride + j / call.pages.page_tokens],
                j % call.pages.page_tokens};
    }

protected:
    struct Free {
        void operator()(void* memory) const { std::free(memory); }
    };
    using Workspace = std::unique_ptr<void, Free>;

    static Workspace aligned(std::int64_t bytes) {
        return Workspace(std::aligned_alloc(64, static_cast<std::size_t>(bytes)));
    }
    static void fill(void* memory, std::size_t bytes) {
        const std::uint32_t signalling_nan = 0x7f800001u;
        for (std::size_t at = 0; at + sizeof signalling_nan <= bytes; at += sizeof signalling_nan)
            std::memcpy(static_cast<char*>(memory) + at, &signalling_nan, sizeof signalling_nan);
    }

    Memory& add(std::array<std::int64_t, 3> shape, std::int64_t dim, Format format) {
        Memory& made = *arrays_.emplace_back(std::make_unique<Memory>(random_, shape, dim, format, true));
        made.fill(random_, format, extreme_numbers_);
        return made;
    }
    Memory& add_result(std::array<std::int64_t, 3> shape, std::int64_t dim, Format format) {
        return *arrays_.emplace_back(std::make_unique<Memory>(random_, shape, dim, format, false));
    }
    std::array<std::int64_t, 3> query_rows() const { return {call.batch, call.query_heads, call.query_len}; }
    std::array<std::int64_t, 3> key_rows() const { return {call.batch, call.kv_heads, call.key_len}; }

    // In the order in which they were drawn
    Memory& query() { return *arrays_[0]; }
    Memory& output() { return *arrays_[1]; }
    Memory& key() { return *arrays_[2]; }
    Memory& value() { return *arrays_[3]; }

    Random random_;
    Kind kind_;
    bool extreme_numbers_ = false;
    std::vector<std::unique_ptr<Memory>> arrays_;
    Memory* bias_ = nullptr;
    std::vector<float> logsumexp_, slopes_, sinks_, of_rows_, second_pass_, received_, map_, counted_;
    std::vector<std::int32_t> keys_of_rows_;

private:
    std::int64_t draw_size(std::int64_t few, std::int64_t many) {
        if (kind_.extremes && random_.one_in(64)) return 0;
        const bool large = random_.one_in(kind_.extremes ? 16 : 2);
        return 1 + random_.below(large ? many : few);
    }
    Format draw_format() { return static_cast<Format>(random_.below(3)); }

    void draw_sizes() {
        call.format = call.key_value_format = call.output_format = draw_format();
        if (kind_.pages) call.key_value_format = static_cast<Format>(random_.below(4));
        if (random_.one_in(4)) call.output_format = draw_format();
        call.key_len = draw_size(20, 150);
        call.query_len = draw_size(5, kind_.extremes ? 25 : 70);
        call.batch = draw_size(1, 2);
        call.kv_heads = draw_size(1, 2);
        if (call.kv_heads == 0) call.kv_heads = 1;
        call.query_heads = call.kv_heads * (1 + random_.below(5));
        call.key_dim = draw_size(9, 40);
        call.value_dim = draw_size(9, 40);
        if (random_.one_in(kind_.extremes ? 250 : 10)) {
            call.query_len = std::min<std::int64_t>(call.query_len, 3);
            call.batch = 1;
            call.key_len = kind_.gradients ? call.key_len * 4 : part_keys + random_.below(200);
        }
        if (kind_.extremes) limit_work(random_.one_in(32) ? 100'000 : 10'000);
    }

    // A fuzzer's calls are many, and therefore small
    void limit_work(std::int64_t most) {
        const auto is_long = [&] {
            const std::int64_t pairs = call.query_len * call.key_len;
            return call.batch * call.query_heads * pairs * (call.key_dim + call.value_dim) > most;
        };
        if (is_long()) call.batch = std::min<std::int64_t>(call.batch, 1);
        if (is_long()) call.query_heads = call.kv_heads;
        if (is_long()) call.query_len = std::min<std::int64_t>(call.query_len, 3);
        if (is_long()) call.key_dim = call.value_dim = std::min<std::int64_t>(call.value_dim, 3);
        if (is_long()) call.query_len = std::min<std::int64_t>(call.query_len, 1);
    }

    void draw_arrays() {
        call.query = add(query_rows(), call.key_dim, call.format).view<const char>();
        call.output = add_result(query_rows(), call.value_dim, call.output_format).view<char>();
        const std::array<std::int64_t, 3> rows = kind_.pages ? draw_pages() : key_rows();
        call.key = add(rows, call.key_dim, call.key_value_format).view<const char>();
        call.value = add(rows, call.value_dim, call.key_value_format).view<const char>();
        if (call.key_value_format == Format::int8) {
            call.key_scales = add(rows, 1, Format::float32).view<const char>();
            call.value_scales = add(rows, 1, Format::float32).view<const char>();
        }
        logsumexp_.resize(static_cast<std::size_t>(call.batch * call.query_heads * call.query_len));
        call.logsumexp = logsumexp_.data();
    }

    // Draws which pages hold which keys; returns the shape of the pages. Sequences may share pages.
    std::array<std::int64_t, 3> draw_pages() {
        static constexpr std::int64_t sizes[] = {16, 1, 7, 64, 128};
        const std::int64_t page_tokens = sizes[random_.below(5)];
        const std::int64_t blocks = (call.key_len + page_tokens - 1) / page_tokens;
        const std::int64_t pages = 1 + random_.below(call.batch * blocks + 2);
        for (std::int64_t b = 0; b < call.batch; ++b)
            key_lens_.push_back(random_.one_in(2) ? random_.below(call.key_len + 1) : call.key_len);
        for (std::int64_t at = 0; at < call.batch * std::max<std::int64_t>(blocks, 1); ++at)
            table_.push_back(static_cast<std::int32_t>(random_.below(pages)));
        call.pages = {.table = table_.data(),
                      .table_stride = std::max<std::int64_t>(blocks, 1),
                      .page_tokens = page_tokens};
        call.key_lens = key_lens_.data();
        return {pages, call.kv_heads, page_tokens};
    }

    // Causal masks, windows, other spans, bitmaps, or none
    void draw_mask() {
        const std::int64_t kind = random_.below(6);
        if (kind == 5) draw_words();
        if (kind == 0 || kind == 5) return;
        Visibility& visibility = call.visibility;
        visibility.spans = kind >= 3 ? 2 : 1;
        const bool shared = random_.one_in(2);
        visibility.span_batch_stride = shared ? 0 : call.query_len * visibility.spans;
        for (std::int64_t b = 0; b < (shared ? 1 : call.batch); ++b)
            for (std::int64_t i = 0; i < call.query_len; ++i) draw_spans(kind, i);
        visibility.first_key = first_key_.data();
        visibility.end_key = end_key_.data();
    }

    void draw_spans(std::int64_t kind, std::int64_t i) {
        std::int64_t ends[4];
        for (std::int64_t& end : ends) end = kind < 3 ? 0 : random_.below(call.key_len + 1);
        if (kind < 3) {
            const std::int64_t position = i + call.key_len - call.query_len;
            ends[1] = position + 1 < 0 ? 0 : position + 1;
            if (kind == 2) ends[0] = std::max<std::int64_t>(ends[1] - 90, 0);
        }
        if (kind == 3 || !kind_.extremes) std::sort(ends, ends + 4);
        if (kind < 3) std::sort(ends, ends + 4), ends[0] = ends[2], ends[1] = ends[3];
        for (std::int64_t s = 0; s < call.visibility.spans; ++s) {
            first_key_.push_back(static_cast<std::int32_t>(ends[2 * s]));
            end_key_.push_back(static_cast<std::int32_t>(ends[2 * s + 1]));
        }
    }

    void draw_words() {
        const std::int64_t per_row = (call.key_len + block_keys - 1) / block_keys;
        const std::int64_t b = random_.one_in(2) ? 1 : call.batch,
                           h = random_.one_in(2) ? 1 : call.query_heads,
                           q = random_.one_in(4) ? 1 : call.query_len;
        Random bits(static_cast<std::uint64_t>(random_.below(1 << 16)));
        const std::int64_t density = 1 + random_.below(8);
        words_.resize(static_cast<std::size_t>(b * h * q * per_row));
        for (std::int64_t row = 0; row < b * h * q; ++row)
            for (std::int64_t j = 0; j < call.key_len; ++j)
                if (bits.below(8) < density)
                    words_[static_cast<std::size_t>(row * per_row + j / block_keys)] |= std::uint64_t{1}
                                                                                        << (j % block_keys);
        Visibility& visibility = call.visibility;
        visibility.words = words_.data();
        visibility.words_query_stride = q == 1 ? 0 : per_row;
        visibility.words_head_stride = h == 1 ? 0 : q * per_row;
        visibility.words_batch_stride = b == 1 ? 0 : h * q * per_row;
    }

    void draw_scoring() {
        static constexpr double scales[] = {0.37, 1.0, -0.5, 0.0, 1e30, 1e-40};
        call.scale = scales[extreme_numbers_ ? random_.below(6) : 0];
        call.has_softcap = random_.one_in(4);
        call.softcap = extreme_numbers_ && random_.one_in(4) ? 1e-30 : 3.0;
        if (random_.one_in(4)) draw_bias();
        Random numbers(static_cast<std::uint64_t>(random_.below(1 << 16)));
        for (std::int64_t h = 0; h < call.query_heads; ++h) {
            slopes_.push_back(0.01f * static_cast<float>(h));
            sinks_.push_back(numbers.number());
        }
        if (random_.one_in(4)) call.slopes = slopes_.data();
        if (random_.one_in(4)) call.sinks = sinks_.data();
        if (extreme_numbers_ && random_.one_in(8)) {
            sinks_[0] = std::bit_cast<float>(extreme_bits(random_.below(8), Format::float32));
            slopes_[0] = std::bit_cast<float>(extreme_bits(random_.below(8), Format::float32));
        }
    }

    void draw_bias() {
        const Format format = draw_format();
        const bool shared = random_.one_in(4);
        bias_ = &add(query_rows(), shared ? std::min<std::int64_t>(call.key_len, 1) : call.key_len, format);
        const InputArray rows = bias_->view<const char>();
        call.bias = {.data = rows.data,
                     .format = format,
                     .batch_stride = rows.batch_stride,
                     .head_stride = rows.head_stride,
                     .query_stride = rows.token_stride,
                     .key_stride = shared ? 0 : item_bytes(format)};
    }

    void draw_statistics() {
        const std::size_t rows = logsumexp_.size(), keys = static_cast<std::size_t>(call.key_len);
        Statistics& asked = call.statistics;
        asked.first_keys = random_.below(kind_.extremes ? call.key_len + 2 : 5);
        asked.top_keys = random_.one_in(2) ? 3 : random_.below(kind_.extremes ? 20 : 2);
        asked.segments = random_.one_in(4) ? 0 : 1 + random_.below(most_segments);
        const bool received = random_.one_in(2), map = random_.one_in(2);
        const auto lists = static_cast<std::size_t>(asked.segments + asked.top_keys);
        of_rows_.resize(rows * (5 + lists));
        keys_of_rows_.resize(rows * (2 + static_cast<std::size_t>(asked.top_keys)));
        float* to = of_rows_.data();
        for (float** each :
             {&asked.entropy, &asked.max_weight, &asked.first_mass, &asked.mean_distance, &asked.sink_mass})
            *each = std::exchange(to, to + rows);
        // For the second pass only: the sign of a zero may differ
        second_pass_.resize(rows * 2);
        asked.largest = second_pass_.data();
        asked.share = asked.largest + rows;
        if (asked.segments > 0)
            draw_labels(std::exchange(to, to + rows * static_cast<std::size_t>(asked.segments)));
        if (asked.top_keys > 0) asked.top_weight = to;
        asked.max_key = keys_of_rows_.data();
        asked.visible_keys = asked.max_key + rows;
        if (asked.top_keys > 0) asked.top_key = asked.visible_keys + rows;
        if (received) {
            received_.resize(static_cast<std::size_t>(call.batch * call.query_heads) * keys);
            asked.received = received_.data();
            counted_.assign(rows, 0.5f);
            if (random_.one_in(2)) asked.counted = counted_.data();
        }
        if (!map) return;
        asked.map_rows = 1 + random_.below(call.query_len + (kind_.extremes ? 2 : 0));
        asked.map_columns = 1 + random_.below(9);
        map_.resize(
            static_cast<std::size_t>(call.batch * call.query_heads * asked.map_rows * asked.map_columns));
        asked.map = map_.data();
    }

    void draw_labels(float* segment_mass) {
        Statistics& asked = call.statistics;
        const bool shared = random_.one_in(2), mixed = random_.one_in(2);
        const std::int64_t count = (shared ? 1 : call.batch) * call.key_len;
        for (std::int64_t j = 0; j < count; ++j)
            labels_.push_back(
                static_cast<std::uint8_t>(mixed ? j % asked.segments : j * asked.segments / count));
        asked.segment_mass = segment_mass;
        asked.labels = labels_.data();
        asked.labels_batch_stride = shared ? 0 : call.key_len;
    }

    std::int64_t workspace_bytes(const KernelTable& table) const {
        const std::int64_t rows = table.count_workspace_bytes(call);
        const std::int64_t survey =
            call.statistics.surveys() ? table.count_survey_workspace_bytes(call) : std::int64_t{0};
        return (std::max(rows, survey) + 127) / 64 * 64;
    }
    void* workspace(const KernelTable& table) {
        if (!workspace_) workspace_ = aligned(workspace_bytes(table));
        return workspace_.get();
    }

    std::vector<std::int32_t> first_key_, end_key_, table_;
    std::vector<std::int64_t> key_lens_;
    std::vector<std::uint64_t> words_;
    std::vector<std::uint8_t> labels_;
    Workspace workspace_;
};

}  // namespace attnscope
