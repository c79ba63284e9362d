// The gradients of a strip of keys and their values, and the strip's share of the query gradients, block by
// block.
//
// computes  with the weights w of the forward pass and g = grad_output:
//           dvalue_j = sum_i w_ij g_i              ds_ij = w_ij (g_i . value_j - mean_i)
//           dkey_j = scale sum_i dr_ij query_i     mean_i = g_i . output_i
//           dquery_i = scale sum_j dr_ij key_j     dr = ds (1 - tanh^2) under a soft-cap, else ds
// passes    one, five products per block of 64 rows x 64 keys; two passes without an order of strips would
//           need seven
// bits      blocks are at absolute places. dkey and dvalue add blocks of rows in rising order; dquery adds
//           the blocks of a strip in rising order, and then strips. A hidden entry is an exact 0: what a
//           gradient does not depend on changes no bit.
// masked    a fully masked row has weights of 0 and a gradient of 0
// NaN       of a hidden slot reaches no gradient; of a visible one, only those that depend on it, as the one
//           canonical NaN
// source    Dao et al. 2022, arXiv:2205.14135, appendix B.4; Dao 2023, arXiv:2307.08691, Algorithm 2
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

static std::int64_t count_gradient_workspace_bytes(const GradientCall& call) {
    GradientWorkspace unused;
    return divide_gradient_workspace(call, nullptr, unused);
}

// mean = grad_output . output for the rows [first_row, end_row) of [batch][query_heads][query_len]; four
// partial sums over d mod 4, added left to right, as in a score
static void find_means(const GradientCall& call, std::int64_t first_row, std::int64_t end_row) {
    const AttentionCall& attention = call.attention;
    for (std::int64_t row = first_row; row < end_row; ++row) {
        const std::int64_t query = row % attention.query_len, pair = row / attention.query_len;
        const std::int64_t head = pair % attention.query_heads, batch = pair / attention.query_heads;
        const char* grad = row_of(call.grad_output, batch, head, query);
        const char* output = row_of(call.output, batch, head, query);
        Four sum = broadcast_four(0.0f);
        for (std::int64_t d = 0; d < attention.value_dim; d += 4)
            sum = fma_four(read_four(grad, d, attention.value_dim, attention.format),
                           read_four(output, d, attention.value_dim, attention.output_format), sum);
        float partial[4];
        store_four(partial, sum);
        call.mean[row] = ((partial[0] + partial[1]) + partial[2]) + partial[3];
    }
}

static void begin_strip(const GradientCall& call, const Strip& strip, void* workspace) {
    const AttentionCall& attention = call.attention;
    const std::int64_t batch = strip.head / attention.kv_heads, head = strip.head % attention.kv_heads;
    const std::int64_t key_stride = padded(attention.key_dim), value_stride = padded(attention.value_dim);
    GradientWorkspace work;
    divide_gradient_workspace(call, workspace, work);
    for (std::int64_t b = 0; b * block_keys < strip_keys; ++b) {
        const std::int64_t first = strip.first_key + b * block_keys, end = strip.end_key - first;
        work.finite_keys[b] = copy_rows(
            0, end, block_keys, attention.key_dim, attention.format,
            [&](std::int64_t k) { return row_of(attention.key, batch, head, first + k); },
            work.keys + b * block_keys * key_stride);
        copy_rows(
            0, end, block_keys, attention.value_dim, attention.format,
            [&](std::int64_t k) { return row_of(attention.value, batch, head, first + k); },
            work.values + b * block_keys * value_stride);
    }
    for (std::int64_t at = 0; at < strip_keys * key_stride; at += lanes) store(work.key_sums + at, zero());
    for (std::int64_t at = 0; at < strip_keys * value_stride; at += lanes)
        store(work.value_sums + at, zero());
}

// Writes the gradients of a block's scores, before the soft-cap, as those of the bias
static void write_grad_bias(const GradientCall& call, const GradientRows& rows, const GradientBlock& block,
                            const float* grads) {
    for (std::int64_t r = rows.first; r < rows.end; ++r) {
        float* to = call.grad_bias + rows.index(call.attention, r) * call.attention.key_len + block.first;
        for (std::uint64_t bits = block.of_row[r]; bits != 0; bits &= bits - 1) {
            const std::int64_t k = __builtin_ctzll(bits);
            const float grad = grads[k * rows_per_block + r];
            to[k] = grad == grad ? grad : nan;
        }
    }
}

static void weigh_block(const GradientCall& call, const RowTerms& terms, const GradientBlock& block,
                        const float* keys, const float* values, GradientWorkspace& work) {
    const AttentionCall& attention = call.attention;
    for (std::int64_t row = 0; row < rows_per_block; row += slice_rows) {
        const Terms seen = block.all_visible ? Terms{0, block_keys} : block.keys_of_slice(row);
        // 1. scores, and the gradients of the weights
        multiply_rows(work.packed_query, keys, attention.key_dim, seen, row, work.weights);
        multiply_rows(work.packed_grad, values, attention.value_dim, seen, row, work.grad_scores);
        // 2. weights, and the gradients of the scores
        const auto weigh = [&]<bool capped>() {
            if (block.all_visible) return weigh_slice<capped, true>(call, terms, block, seen, row, work);
            weigh_slice<capped, false>(call, terms, block, seen, row, work);
            clear_slice(seen, row, work);
        };
        if (attention.has_softcap)
            weigh.template operator()<true>();
        else
            weigh.template operator()<false>();
    }
}

static void take_row_block(const GradientCall& call, const Strip& strip, std::int64_t row_block,
                           void* workspace) {
    const AttentionCall& attention = call.attention;
    const std::int64_t key_dim = attention.key_dim, value_dim = attention.value_dim;
    GradientWorkspace work;
    divide_gradient_workspace(call, workspace, work);
    const GradientRows rows = find_gradient_rows(call, strip, row_block);
    const RowTerms terms(call, rows);
    const auto row_in = [&](const InputArray& array) {
        return [&](std::int64_t r) { return row_of(array, rows.batch, rows.head[r], rows.query[r]); };
    };
    const bool finite_query = copy_rows(rows.first, rows.end, rows_per_block, key_dim, attention.format,
                                        row_in(attention.query), work.query);
    const bool finite_grad = copy_rows(rows.first, rows.end, rows_per_block, value_dim, attention.format,
                                       row_in(call.grad_output), work.grad);
    const double factor =
        attention.has_softcap ? attention.scale / attention.softcap : attention.scale * (1.0 / ln_2);
    pack_block(work.query, key_dim, factor, work.packed_query);
    pack_block(work.grad, value_dim, 1.0, work.packed_grad);
    for (std::int64_t at = 0; at < rows_per_block * padded(key_dim); at += lanes)
        store(work.query_sums + at, zero());

    GradientBlock block;
    for (std::int64_t first = strip.first_key; first < strip.end_key; first += block_keys) {
        if (!find_gradient_block(attention, rows, first, work.bias, block)) continue;
        const std::int64_t key = first - strip.first_key;
        const float* keys = work.keys + key * padded(key_dim);
        // 1., 2. weights and the gradients of the scores
        weigh_block(call, terms, block, keys, work.values + key * padded(value_dim), work);
        if (call.grad_bias != nullptr) write_grad_bias(call, rows, block, work.bias);
        // 3. three sums: over the rows for each key, over the keys for each row
        float* value_sums = work.value_sums + key * padded(value_dim);
        float* key_sums = work.key_sums + key * padded(key_dim);
        const Coefficients of_weights = {work.weights, 1, rows_per_block},
                           of_scores = {work.grad_scores, 1, rows_per_block};
        const Coefficients of_rows = {work.grad_scores, rows_per_block, 1};
        if (block.all_visible || (finite_query && finite_grad && work.finite_keys[key / block_keys])) {
            add_block_product(work.grad, value_dim, of_weights, block.key_terms, value_sums);
            add_block_product(work.query, key_dim, of_scores, block.key_terms, key_sums);
            add_block_product(keys, key_dim, of_rows, block.row_terms, work.query_sums);
        } else {
            add_visible_product(work.grad, value_dim, of_weights, block.of_key, value_sums);
            add_visible_product(work.query, key_dim, of_scores, block.of_key, key_sums);
            add_visible_product(keys, key_dim, of_rows, block.of_row, work.query_sums);
        }
    }
}

// Adds the strip's share to the query gradients of a block; the last strip's turn finishes them
static void add_query_gradients(const GradientCall& call, const Strip& strip, std::int64_t row_block,
                                Turn turn, void* workspace) {
    const AttentionCall& attention = call.attention;
    const std::int64_t dim = attention.key_dim;
    GradientWorkspace work;
    divide_gradient_workspace(call, workspace, work);
    const GradientRows rows = find_gradient_rows(call, strip, row_block);
    for (std::int64_t r = rows.first; r < rows.end; ++r) {
        char* gradient = row_of(call.grad_query, rows.batch, rows.head[r], rows.query[r]);
        float* total = reinterpret_cast<float*>(gradient);
        if (call.query_sums != nullptr) {
            const std::int64_t row = row_block * rows_per_block - call.first_place() + r;
            total = call.query_sums + (strip.head % call.heads_at_once * call.rows() + row) * dim;
        }
        float* sum = work.query_sums + r * padded(dim);
        if (!turn.first) {
            std::int64_t d = 0;
            for (; d + lanes <= dim; d += lanes) store(sum + d, add(load(total + d), load(sum + d)));
            for (; d < dim; ++d) sum[d] += total[d];
        }
        if (turn.last)
            write_gradient(sum, dim, attention.scale, attention.format, gradient);
        else
            __builtin_memcpy(total, sum, static_cast<std::size_t>(dim) * sizeof(float));
    }
}

static void finish_strip(const GradientCall& call, const Strip& strip, void* workspace) {
    const AttentionCall& attention = call.attention;
    const std::int64_t batch = strip.head / attention.kv_heads, head = strip.head % attention.kv_heads;
    GradientWorkspace work;
    divide_gradient_workspace(call, workspace, work);
    for (std::int64_t key = strip.first_key; key < strip.end_key; ++key) {
        const std::int64_t k = key - strip.first_key;
        write_gradient(work.key_sums + k * padded(attention.key_dim), attention.key_dim, attention.scale,
                       attention.format, row_of(call.grad_key, batch, head, key));
        write_gradient(work.value_sums + k * padded(attention.value_dim), attention.value_dim, 1.0,
                       attention.format, row_of(call.grad_value, batch, head, key));
    }
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
