// A small attention problem with its memory, drawn from a number: the same on every machine.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "../kernel_table.hpp"

namespace attnscope {

class Random {
public:
    explicit Random(std::uint64_t seed) : state_(0x9e3779b97f4a7c15u + seed * 7919u) {
        for (int i = 0; i < 8; ++i) next();
    }
    std::int64_t below(std::int64_t end) {
        return static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(end));
    }
    // in [-2, 2], exact in every format
    float number() { return static_cast<float>(below(513) - 256) / 128.0f; }

private:
    std::uint64_t next() {
        state_ ^= state_ << 13, state_ ^= state_ >> 7, state_ ^= state_ << 17;
        return state_;
    }
    std::uint64_t state_;
};

class RandomCall {
public:
    AttentionCall call = {};

    RandomCall(int number, bool observed) : random_(static_cast<std::uint64_t>(number)) {
        draw_sizes(number);
        draw_arrays();
        draw_options(number);
        make_room_for_statistics();
        if (observed) ask_for_statistics(number);
    }
    RandomCall(const RandomCall&) = delete;

    void run(const KernelTable& table) {
        const std::int64_t tiles = table.count_tiles(call);
        for (std::int64_t tile = 0; tile < tiles;)
            tile = table.run_some_tiles(call, tile, tiles, workspace(table));
        if (!call.statistics.wanted()) return;
        for (std::int64_t task = 0; task < table.count_survey_tasks(call); ++task)
            table.run_survey(call, task, workspace(table));
    }

    // Calls body(data, bytes) for each array of results
    template <typename Body>
    void for_each_result(const Body& body) {
        body(output_.data(), output_.size());
        body(logsumexp_.data(), logsumexp_.size() * sizeof(float));
        body(of_rows_.data(), of_rows_.size() * sizeof(float));
        body(received_.data(), received_.size() * sizeof(float));
        body(map_.data(), map_.size() * sizeof(float));
        body(keys_of_rows_.data(), keys_of_rows_.size() * sizeof(std::int32_t));
    }

    // From now on the workspace and the results that need not be zero hold signalling NaNs: arithmetic on one
    // of them raises the floating-point exception FE_INVALID
    void poison(const KernelTable& table) {
        fill(workspace(table), static_cast<std::size_t>(workspace_bytes(table)));
        for (std::vector<float>* results : {&logsumexp_, &of_rows_, &received_})
            fill(results->data(), results->size() * sizeof(float));
        fill(output_.data(), output_.size() / sizeof(float) * sizeof(float));
    }

protected:
    struct Free {
        void operator()(void* memory) const { std::free(memory); }
    };

    static void fill(void* memory, std::size_t bytes) {
        const std::uint32_t signalling_nan = 0x7f800001u;
        for (std::size_t at = 0; at + sizeof signalling_nan <= bytes; at += sizeof signalling_nan)
            std::memcpy(static_cast<char*>(memory) + at, &signalling_nan, sizeof signalling_nan);
    }

    std::int64_t item() const { return call.format == Format::float32 ? 4 : 2; }

    std::vector<char> array(std::int64_t count, Format format) {
        std::vector<char> bytes;
        for (std::int64_t i = 0; i < count; ++i) put(bytes, random_.number(), format);
        return bytes;
    }

    template <typename Byte>
    StridedArray<Byte> view(Byte* data, std::int64_t heads, std::int64_t tokens, std::int64_t dim) const {
        const std::int64_t token = dim * item();
        return {.data = data,
                .batch_stride = heads * tokens * token,
                .head_stride = tokens * token,
                .token_stride = token};
    }

private:
    void draw_sizes(int number) {
        call.batch = 1 + random_.below(2);
        call.kv_heads = 1 + random_.below(2);
        call.query_heads = call.kv_heads * (1 + random_.below(5));
        call.query_len = 1 + random_.below(number % 3 == 0 ? 3 : 70);
        call.key_len = number % 10 == 9 ? part_keys + random_.below(200) : 1 + random_.below(150);
        call.key_dim = 1 + random_.below(40);
        call.value_dim = 1 + random_.below(40);
        call.format = call.key_value_format = call.output_format = static_cast<Format>(number % 3);
    }

    void draw_arrays() {
        const std::int64_t query_rows = call.batch * call.query_heads * call.query_len;
        const std::int64_t key_rows = call.batch * call.kv_heads * call.key_len;
        query_ = array(query_rows * call.key_dim, call.format);
        key_ = array(key_rows * call.key_dim, call.format);
        value_ = array(key_rows * call.value_dim, call.format);
        output_.resize(static_cast<std::size_t>(query_rows * call.value_dim * item()));
        logsumexp_.resize(static_cast<std::size_t>(query_rows));
        call.query = view(std::as_const(query_).data(), call.query_heads, call.query_len, call.key_dim);
        call.key = view(std::as_const(key_).data(), call.kv_heads, call.key_len, call.key_dim);
        call.value = view(std::as_const(value_).data(), call.kv_heads, call.key_len, call.value_dim);
        call.output = view(output_.data(), call.query_heads, call.query_len, call.value_dim);
        call.logsumexp = logsumexp_.data();
    }

    // Causal masks, windows, softcaps, biases, distances and sinks, each in some of the calls
    void draw_options(int number) {
        call.scale = 0.37;
        call.has_softcap = number % 4 == 1;
        call.softcap = 3.0;
        for (std::int64_t i = 0; i < call.query_len; ++i) {
            const std::int64_t position = i + call.key_len - call.query_len;
            const std::int64_t end = position + 1 < 0 ? 0 : position + 1;
            first_key_.push_back(static_cast<std::int32_t>(end > 90 && number % 2 != 0 ? end - 90 : 0));
            end_key_.push_back(static_cast<std::int32_t>(end));
        }
        if (number % 5 != 0) {
            call.visibility.first_key = first_key_.data();
            call.visibility.end_key = end_key_.data();
            call.visibility.spans = 1;
        }
        bias_ = array(call.query_len * call.key_len, Format::float32);
        if (number % 4 == 2)
            call.bias = {.data = bias_.data(),
                         .format = Format::float32,
                         .batch_stride = 0,
                         .head_stride = 0,
                         .query_stride = call.key_len * 4,
                         .key_stride = 4};
        for (std::int64_t h = 0; h < call.query_heads; ++h) {
            slopes_.push_back(0.01f * static_cast<float>(h));
            sinks_.push_back(random_.number());
        }
        if (number % 4 == 3) call.slopes = slopes_.data();
        if (number % 7 == 3) call.sinks = sinks_.data();
    }

    void make_room_for_statistics() {
        const std::size_t rows = logsumexp_.size();
        const std::size_t pairs = static_cast<std::size_t>(call.batch * call.query_heads);
        of_rows_.resize(rows * (5 + 5 + 3 + 2));
        keys_of_rows_.resize(rows * (2 + 3));
        received_.resize(pairs * static_cast<std::size_t>(call.key_len));
        map_.resize(pairs * 7);
    }

    void ask_for_statistics(int number) {
        const std::size_t rows = logsumexp_.size(), keys = static_cast<std::size_t>(call.key_len);
        labels_.resize(keys);
        for (std::size_t j = 0; j < keys; ++j)
            labels_[j] = static_cast<std::uint8_t>(number % 4 == 0 ? j % 5 : j * 5 / keys);
        Statistics& asked = call.statistics;
        asked.labels = labels_.data();
        asked.segments = 5, asked.first_keys = 4, asked.top_keys = 3;
        float* to = of_rows_.data();
        for (float** each :
             {&asked.entropy, &asked.max_weight, &asked.first_mass, &asked.mean_distance, &asked.sink_mass})
            *each = std::exchange(to, to + rows);
        asked.segment_mass = std::exchange(to, to + rows * 5);
        asked.top_weight = std::exchange(to, to + rows * 3);
        asked.largest = std::exchange(to, to + rows);
        asked.share = to;
        asked.max_key = keys_of_rows_.data();
        asked.visible_keys = asked.max_key + rows;
        asked.top_key = asked.visible_keys + rows;
        asked.received = received_.data();
        asked.map = map_.data();
        asked.map_rows = 1, asked.map_columns = call.key_len < 7 ? 1 : 7;
    }

    void put(std::vector<char>& bytes, float number, Format format) const {
        std::uint32_t bits;
        std::memcpy(&bits, &number, sizeof bits);
        if (format == Format::bfloat16) bits >>= 16;
        if (format == Format::float16)
            bits = number == 0.0f
                       ? 0
                       : (bits >> 16 & 0x8000u) | (((bits >> 23 & 255u) - 112u) << 10) | (bits >> 13 & 1023u);
        const char* first = reinterpret_cast<const char*>(&bits);  // little-endian
        bytes.insert(bytes.end(), first, first + (format == Format::float32 ? 4 : 2));
    }

    std::int64_t workspace_bytes(const KernelTable& table) const {
        const std::int64_t rows = table.count_workspace_bytes(call);
        const std::int64_t survey =
            call.statistics.wanted() ? table.count_survey_workspace_bytes(call) : std::int64_t{0};
        return ((rows > survey ? rows : survey) + 127) / 64 * 64;
    }
    void* workspace(const KernelTable& table) {
        if (!workspace_)
            workspace_.reset(std::aligned_alloc(64, static_cast<std::size_t>(workspace_bytes(table))));
        return workspace_.get();
    }

    Random random_;
    std::vector<char> query_, key_, value_, output_, bias_;
    std::vector<float> logsumexp_, slopes_, sinks_, of_rows_, received_, map_;
    std::vector<std::int32_t> first_key_, end_key_, keys_of_rows_;
    std::vector<std::uint8_t> labels_;
    std::unique_ptr<void, Free> workspace_;
};

}  // namespace attnscope
