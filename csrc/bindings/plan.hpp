// A problem prepared for many calls, and the checks of each call's arrays.
#pragma once

#include <nanobind/stl/optional.h>

#include <memory>
#include <optional>
#include <vector>

#include "../run_call.hpp"
#include "../run_gradients.hpp"
#include "page_table.hpp"
#include "statistics_arrays.hpp"
#include "unlocked.hpp"

namespace attnscope {

// The arrays of a call besides its keys and values
struct CallArrays {
    Array query, output;
    std::optional<Array> logsumexp, bias, slopes, sinks;
    std::int64_t threads;
    const StatisticsArrays* statistics;
};

struct PageArrays {
    Array key, value;
    std::optional<Array> key_scales, value_scales;
    Array block_table, key_lens;
};

struct GradientArrays {
    Array query, key, value;
    std::optional<Array> bias, slopes;
    Array output, logsumexp, grad_output;  // of the forward pass, and what comes back
    Array grad_query, grad_key, grad_value;
    std::optional<Array> grad_bias;
    Array mean;  // written: [batch][query_heads][query_len]
    std::int64_t threads;
};

// Holds what does not change from call to call: sizes, formats, scoring and mask. An array was validated by
// describe(); it is checked here again for what would otherwise read or write out of bounds, or misread.
class Plan {
public:
    // described: sizes, formats and scoring
    Plan(const KernelTable& table, const AttentionCall& described, std::optional<Array> first_key,
         std::optional<Array> end_key, std::optional<Array> words)
        : table_(table), call_(described) {
        check_sizes();
        if (first_key.has_value() != end_key.has_value())
            throw nb::value_error("first_key, end_key: expected both or none");
        if (first_key) copy_spans(*first_key, *end_key);
        if (words) hold_words(*words);
    }

    void run(const CallArrays& arrays, Array key, Array value) const {
        AttentionCall call = call_;
        const Buffer keys(key, "key", 4), values(value, "value", 4);
        call.key = keys.rows({call.batch, call.kv_heads, call.key_len, call.key_dim}, call.key_value_format);
        call.value =
            values.rows({call.batch, call.kv_heads, call.key_len, call.value_dim}, call.key_value_format);
        attend(call, arrays);
    }

    // Keys and values in pages [page][kv_head][token of the page][dim]
    void run_pages(const CallArrays& arrays, const PageArrays& paged) const {
        AttentionCall call = call_;
        const Buffer keys(paged.key, "key_pages", 4), values(paged.value, "value_pages", 4);
        const std::int64_t pages = keys.size(0), page_tokens = keys.size(2);
        call.key = keys.rows({pages, call.kv_heads, page_tokens, call.key_dim}, call.key_value_format);
        call.value = values.rows({pages, call.kv_heads, page_tokens, call.value_dim}, call.key_value_format);
        const PageTable table(paged.block_table, paged.key_lens, call, pages, page_tokens);
        call.pages = table.pages();
        call.key_lens = table.key_lens();
        std::optional<Buffer> key_scales, value_scales;
        if (call.key_value_format == Format::int8) {
            const std::initializer_list<std::int64_t> shape = {pages, call.kv_heads, page_tokens};
            call.key_scales = hold_scales(paged.key_scales, "key_scales", shape, key_scales);
            call.value_scales = hold_scales(paged.value_scales, "value_scales", shape, value_scales);
        }
        attend(call, arrays);
    }

    void run_gradients(const GradientArrays& arrays) const {
        GradientCall backward = {};
        AttentionCall& call = backward.attention = call_;
        const std::int64_t batch = call.batch, heads = call.query_heads, queries = call.query_len;
        const std::initializer_list<std::int64_t> rows = {batch, heads, queries};
        const std::initializer_list<std::int64_t> query_shape = {batch, heads, queries, call.key_dim};
        const std::initializer_list<std::int64_t> key_shape = {batch, call.kv_heads, call.key_len,
                                                               call.key_dim};
        const std::initializer_list<std::int64_t> value_shape = {batch, call.kv_heads, call.key_len,
                                                                 call.value_dim};
        const std::initializer_list<std::int64_t> output_shape = {batch, heads, queries, call.value_dim};
        const Buffer query(arrays.query, "query", 4), key(arrays.key, "key", 4),
            value(arrays.value, "value", 4);
        const Buffer output(arrays.output, "output", 4), grad_output(arrays.grad_output, "grad_output", 4);
        call.query = query.rows(query_shape, call.format);
        call.key = key.rows(key_shape, call.format);
        call.value = value.rows(value_shape, call.format);
        backward.output = output.rows(output_shape, call.output_format);
        backward.grad_output = grad_output.rows(output_shape, call.format);
        const WritableBuffer grad_query(arrays.grad_query, "grad_query", 4),
            grad_key(arrays.grad_key, "grad_key", 4), grad_value(arrays.grad_value, "grad_value", 4),
            mean(arrays.mean, "mean", 3);
        backward.grad_query = grad_query.rows(query_shape, call.format);
        backward.grad_key = grad_key.rows(key_shape, call.format);
        backward.grad_value = grad_value.rows(value_shape, call.format);
        backward.mean = mean.contiguous<float>(rows);
        const Buffer logsumexp(arrays.logsumexp, "logsumexp", 3);
        backward.logsumexp = logsumexp.contiguous<float>(rows);
        std::optional<Buffer> bias, slopes;
        std::optional<WritableBuffer> grad_bias;
        if (arrays.bias) call.bias = hold_bias(*arrays.bias, bias);
        if (arrays.slopes)
            call.slopes = slopes.emplace(*arrays.slopes, "slopes", 1).contiguous<float>({heads});
        if (arrays.grad_bias)
            backward.grad_bias = grad_bias.emplace(*arrays.grad_bias, "grad_bias", 4)
                                     .contiguous<float>({batch, heads, queries, call.key_len});
        if (backward.grad_bias != nullptr && call.bias.data == nullptr)
            throw nb::value_error("grad_bias: expected none without a bias");
        if (arrays.threads < 1) throw nb::value_error("threads: expected at least 1");
        backward.heads_at_once = arrays.threads;
        const std::unique_ptr<float[]> query_sums = hold_query_sums(backward);
        bool complete;
        {
            Unlocked python;
            complete =
                attnscope::run_gradients(table_, backward, arrays.threads, [&] { return python.go_on(); });
        }
        if (!complete) throw nb::python_error();
    }

private:
    // float32 sums of the query gradients in 16 bits: of as many heads at once as fit, at least one
    static std::unique_ptr<float[]> hold_query_sums(GradientCall& call) {
        if (call.attention.format == Format::float32) return nullptr;
        const std::int64_t floats = call.rows() * call.attention.key_dim;
        const std::int64_t fitting = most_query_sum_bytes / std::max<std::int64_t>(4 * floats, 1);
        call.heads_at_once = std::max<std::int64_t>(1, std::min({call.heads_at_once, call.heads(), fitting}));
        auto sums =
            std::make_unique_for_overwrite<float[]>(static_cast<std::size_t>(call.heads_at_once * floats));
        call.query_sums = sums.get();
        return sums;
    }

    void check_sizes() const {
        for (const std::int64_t size : {call_.batch, call_.query_heads, call_.kv_heads, call_.query_len,
                                        call_.key_len, call_.key_dim, call_.value_dim})
            if (size < 0 || size > most_size) throw nb::value_error("sizes: expected numbers from 0 to 2^40");
        if (call_.kv_heads == 0 || call_.query_heads % call_.kv_heads != 0)
            throw nb::value_error("kv_heads: expected a divisor of query_heads");
        if (call_.format == Format::int8 || call_.output_format == Format::int8)
            throw nb::value_error("format: expected int8 only for keys and values");
    }

    void copy_spans(Array first_key, Array end_key) {
        const Buffer first(first_key, "first_key", 3), end(end_key, "end_key", 3);
        const std::int64_t shared = first.size(0), spans = first.size(2);
        if (shared != 1 && shared != call_.batch) first.fail("expected one batch row, or the plan's");
        if (spans < 1 || spans > 2) first.fail("expected one or two spans per row");
        first_keys_ = first.copy<std::int32_t>({shared, call_.query_len, spans});
        end_keys_ = end.copy<std::int32_t>({shared, call_.query_len, spans});
        for (std::size_t i = 0; i < first_keys_.size(); ++i)
            if (first_keys_[i] < 0 || end_keys_[i] > call_.key_len)
                throw nb::value_error("first_key, end_key: expected spans within the keys");
        call_.visibility.first_key = first_keys_.data();
        call_.visibility.end_key = end_keys_.data();
        call_.visibility.spans = spans;
        call_.visibility.span_batch_stride = shared == 1 ? 0 : call_.query_len * spans;
    }

    // Not copied: bits choose among a block's keys, so no value of theirs leads out of bounds
    void hold_words(Array words) {
        words_.emplace(words, "words", 4);
        const std::int64_t per_row = (call_.key_len + block_keys - 1) / block_keys;
        const std::int64_t b = words_->size(0), h = words_->size(1), q = words_->size(2);
        if ((b != 1 && b != call_.batch) || (h != 1 && h != call_.query_heads) ||
            (q != 1 && q != call_.query_len))
            words_->fail("expected 1 or the plan's batch, query_heads and query_len");
        Visibility& visibility = call_.visibility;
        visibility.words = words_->contiguous<std::uint64_t>({b, h, q, per_row});
        visibility.words_query_stride = q == 1 ? 0 : per_row;
        visibility.words_head_stride = h == 1 ? 0 : q * per_row;
        visibility.words_batch_stride = b == 1 ? 0 : h * q * per_row;
    }

    void attend(AttentionCall& call, const CallArrays& arrays) const {
        const std::int64_t batch = call.batch, heads = call.query_heads, queries = call.query_len;
        const Buffer query(arrays.query, "query", 4);
        const WritableBuffer output(arrays.output, "output", 4);
        call.query = query.rows({batch, heads, queries, call.key_dim}, call.format);
        call.output = output.rows({batch, heads, queries, call.value_dim}, call.output_format);
        std::optional<WritableBuffer> logsumexp;
        if (arrays.logsumexp)
            call.logsumexp = logsumexp.emplace(*arrays.logsumexp, "logsumexp", 3)
                                 .contiguous<float>({batch, heads, queries});
        std::optional<Buffer> bias, slopes, sinks;
        if (arrays.bias) call.bias = hold_bias(*arrays.bias, bias);
        if (arrays.slopes)
            call.slopes = slopes.emplace(*arrays.slopes, "slopes", 1).contiguous<float>({heads});
        if (arrays.sinks) call.sinks = sinks.emplace(*arrays.sinks, "sinks", 1).contiguous<float>({heads});
        if (arrays.statistics != nullptr) call.statistics = arrays.statistics->of(call);
        if (arrays.threads < 1) throw nb::value_error("threads: expected at least 1");
        run_unlocked(call, arrays.threads);
    }

    // Raises what a signal's handler raises during the call
    void run_unlocked(const AttentionCall& call, std::int64_t threads) const {
        bool complete;
        {
            Unlocked python;
            complete = run_call(table_, call, threads, [&] { return python.go_on(); });
        }
        if (!complete) throw nb::python_error();
    }

    Bias hold_bias(Array array, std::optional<Buffer>& held) const {
        const Buffer& bias = held.emplace(array, "bias", 4);
        const Format format = bias.float_format();
        bias.expect({call_.batch, call_.query_heads, call_.query_len, call_.key_len},
                    element_type_of(format));
        return {.data = bias.bytes(),
                .format = format,
                .batch_stride = bias.stride(0),
                .head_stride = bias.stride(1),
                .query_stride = bias.stride(2),
                .key_stride = bias.stride(3)};
    }

    static InputArray hold_scales(const std::optional<Array>& array, const char* name,
                                  std::initializer_list<std::int64_t> shape, std::optional<Buffer>& held) {
        if (!array)
            throw nb::value_error((std::string(name) + ": expected the scales of int8 pages").c_str());
        const Buffer& scales = held.emplace(*array, name, 3);
        scales.expect(shape, element_type<float>);
        return {.data = scales.bytes(),
                .batch_stride = scales.stride(0),
                .head_stride = scales.stride(1),
                .token_stride = scales.stride(2)};
    }

    // No product of strides and sizes of real arrays overflows below this
    static constexpr std::int64_t most_size = std::int64_t{1} << 40;

    static constexpr std::int64_t most_query_sum_bytes = std::int64_t{1} << 25;

    const KernelTable& table_;
    std::vector<std::int32_t> first_keys_, end_keys_;
    std::optional<Buffer> words_;
    AttentionCall call_;
};

}  // namespace attnscope
