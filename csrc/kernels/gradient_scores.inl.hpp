// The weights of a block and the gradients of its scores, entry by entry: between the first two products and
// the last three.
//
// layout  scores, weights, grad_scores [key][row]: a lane is a row, and the 64 rows are taken in slices of
//         two vectors
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

constexpr int slice_vectors = 2, slice_rows = slice_vectors * lanes;
static_assert(rows_per_block % slice_rows == 0);

// element (r, k) becomes element (k, r), in steps that swap ever smaller squares
static void transpose_bits(std::uint64_t* rows) {
    std::uint64_t low = 0xffffffffu;
    for (int half = 32; half != 0; half /= 2, low ^= low << half)
        for (int r = 0; r < 64; r = ((r | half) + 1) & ~half) {
            const std::uint64_t swapped = (rows[r] >> half ^ rows[r | half]) & low;
            rows[r] ^= swapped << half;
            rows[r | half] ^= swapped;
        }
}

ATTNSCOPE_INLINE Terms terms_of(std::uint64_t visible) {
    if (visible == 0) return {64, 0};
    return {__builtin_ctzll(visible), 64 - __builtin_clzll(visible)};
}

// Who sees what of a block of keys
struct GradientBlock {
    std::int64_t first;  // key
    bool all_visible;
    std::uint64_t of_row[rows_per_block];  // bit k: the row sees key first + k
    std::uint64_t of_key[block_keys];      // bit r: row r sees the key
    Terms row_terms[rows_per_block], key_terms[block_keys];
    std::uint32_t spread[2][rows_per_block];  // of_row in two halves, one word per lane

    // The keys that any row of a slice sees, rounded outwards to whole steps of the scores
    Terms keys_of_slice(std::int64_t row) const {
        std::uint64_t visible = 0;
        for (std::int64_t r = row; r < row + slice_rows; ++r) visible |= of_row[r];
        const Terms keys = terms_of(visible);
        return {keys.first / 8 * 8, (keys.end + 7) / 8 * 8};
    }
    Mask sees(std::int64_t key, std::int64_t row) const {
        return test_bit(spread[key / 32] + row, static_cast<int>(key % 32));
    }
};

// Reads the visible entries of a bias, times log2(e), into bias[key][row]; hides those that are -inf
static void read_block_bias(const AttentionCall& call, const GradientRows& rows, GradientBlock& block,
                            float* into) {
    const Bias& bias = call.bias;
    for (std::int64_t r = 0; r < rows_per_block; ++r) {
        for (std::int64_t k = 0; k < block_keys; ++k) into[k * rows_per_block + r] = 0.0f;
        if (block.of_row[r] == 0) continue;
        const char* row = bias.data + rows.batch * bias.batch_stride + rows.head[r] * bias.head_stride +
                          rows.query[r] * bias.query_stride + block.first * bias.key_stride;
        for (std::uint64_t bits = block.of_row[r]; bits != 0; bits &= bits - 1) {
            const std::int64_t k = __builtin_ctzll(bits);
            const float term = read_float(row + k * bias.key_stride, bias.format);
            if (term == -infinity) block.of_row[r] &= ~(std::uint64_t{1} << k);
            into[k * rows_per_block + r] = term;
        }
    }
}

// False if no row sees any key of the block
static bool find_gradient_block(const AttentionCall& call, const GradientRows& rows, std::int64_t first,
                                float* bias, GradientBlock& block) {
    block.first = first;
    std::uint64_t any = 0, all = rows.first == 0 && rows.end == rows_per_block ? ~std::uint64_t{0} : 0;
    for (std::int64_t r = 0; r < rows_per_block; ++r) {
        block.of_row[r] = r < rows.first || r >= rows.end ? 0 : visible_bits(call, rows, r, first);
        any |= block.of_row[r];
        all &= block.of_row[r];
    }
    if (any == 0) return false;
    if (call.bias.data != nullptr) {
        read_block_bias(call, rows, block, bias);
        all = 0;
    }
    block.all_visible = all == ~std::uint64_t{0};
    if (!block.all_visible) {
        for (std::int64_t r = 0; r < rows_per_block; ++r) block.of_key[r] = block.of_row[r];
        transpose_bits(block.of_key);
    }
    for (std::int64_t i = 0; i < 64; ++i) {
        block.row_terms[i] = block.all_visible ? Terms{0, block_keys} : terms_of(block.of_row[i]);
        block.key_terms[i] = block.all_visible ? Terms{0, rows_per_block} : terms_of(block.of_key[i]);
        block.spread[0][i] = static_cast<std::uint32_t>(block.of_row[i]);
        block.spread[1][i] = static_cast<std::uint32_t>(block.of_row[i] >> 32);
    }
    return true;
}

// What a row's entries have in common. logsumexp is in base 2 and in two parts, since a rounded one would
// scale the row.
struct RowTerms {
    float logsumexp[rows_per_block] = {}, rest[rows_per_block] = {}, mean[rows_per_block] = {};
    float position[rows_per_block] = {}, slope[rows_per_block] = {};

    RowTerms(const GradientCall& call, const GradientRows& rows) {
        const AttentionCall& attention = call.attention;
        for (std::int64_t r = rows.first; r < rows.end; ++r) {
            const std::int64_t at = rows.index(attention, r);
            const bool masked = call.logsumexp[at] == -infinity;  // weights are then 0, for scores of -inf
            const double base_2 = masked ? 0.0 : call.logsumexp[at] * (1.0 / ln_2);
            mean[r] = call.mean[at];
            position[r] = static_cast<float>(rows.query[r] + attention.key_len - attention.query_len);
            if (attention.slopes != nullptr) slope[r] = -log2_e * attention.slopes[rows.head[r]];
            logsumexp[r] = static_cast<float>(base_2);
            rest[r] = static_cast<float>(base_2 - static_cast<double>(logsumexp[r]));
        }
    }
};

// products[n][row] = packed rows . rows n of `matrix`, for the keys that the slice at `row` sees
static void multiply_rows(const float* packed, const float* matrix, std::int64_t dim, Terms keys,
                          std::int64_t row, float* products) {
    constexpr int together = score_keys_at_once(slice_vectors);
    const std::int64_t stride = padded(dim);
    const std::int64_t row_bytes = stride * static_cast<std::int64_t>(sizeof(float));
    Prefetch fetched(reinterpret_cast<const char*>(matrix), row_bytes, row_bytes, block_keys);
    float unused[slice_rows] = {};
    for (std::int64_t n = keys.first; n < keys.end; n += together)
        score_keys<slice_vectors, together, score_residues_at_once(slice_vectors)>(
            packed + row, rows_per_block, matrix + n * stride, stride, dim,
            products + n * rows_per_block + row, unused, fetched);
}

// weights: from scores q.k to exp2(score - logsumexp). grads: from g.v to weight * (g.v - mean), times the
// soft-cap's slope. Hidden entries become 0, whatever they were. Four keys at a time, because each step of an
// exponential waits for the last.
template <bool capped, bool all_visible>
static void weigh_slice(const GradientCall& call, const RowTerms& terms, const GradientBlock& block,
                        Terms keys, std::int64_t row, GradientWorkspace& work) {
    const AttentionCall& attention = call.attention;
    const Vector limit = broadcast(capped ? base_2(attention.softcap) : 0.0f);
    for (std::int64_t r = row; r < row + slice_rows; r += lanes) {
        const Vector logsumexp = load(terms.logsumexp + r), rest = load(terms.rest + r),
                     mean = load(terms.mean + r);
        for (std::int64_t key = keys.first; key < keys.end; key += 4) {
            Vector weight[4], slope[4];
            for (int i = 0; i < 4; ++i) {
                const std::int64_t cell = (key + i) * rows_per_block + r;
                Vector score = load(work.weights + cell);
                if (capped) {
                    const Vector ratio = tanh(score);
                    score = mul(limit, ratio);
                    slope[i] = sub(broadcast(1.0f), mul(ratio, ratio));
                }
                if (attention.bias.data != nullptr)
                    score = fma(load(work.bias + cell), broadcast(log2_e), score);
                if (attention.slopes != nullptr) {
                    const Vector ahead =
                        sub(broadcast(static_cast<float>(block.first + key + i)), load(terms.position + r));
                    score = fma(load(terms.slope + r), magnitude(ahead), score);
                }
                weight[i] = sub(sub(score, logsumexp), rest);
            }
            exp2_not_positive(weight);
            for (int i = 0; i < 4; ++i) {
                const std::int64_t cell = (key + i) * rows_per_block + r;
                Vector grad = mul(weight[i], sub(load(work.grad_scores + cell), mean));
                if (!all_visible) {
                    const Mask seen = block.sees(key + i, r);
                    weight[i] = select(seen, weight[i], zero());
                    grad = select(seen, grad, zero());
                }
                if (attention.bias.data != nullptr) store(work.bias + cell, grad);
                if (capped)
                    grad = all_visible ? mul(grad, slope[i])
                                       : select(block.sees(key + i, r), mul(grad, slope[i]), zero());
                store(work.weights + cell, weight[i]);
                store(work.grad_scores + cell, grad);
            }
        }
    }
}

// Entries that no row of the slice sees
static void clear_slice(Terms keys, std::int64_t row, GradientWorkspace& work) {
    for (std::int64_t key = 0; key < block_keys; ++key) {
        if (key == keys.first && keys.first < keys.end) key = keys.end;
        if (key == block_keys) return;
        for (std::int64_t r = row; r < row + slice_rows; r += lanes) {
            store(work.weights + key * rows_per_block + r, zero());
            store(work.grad_scores + key * rows_per_block + r, zero());
        }
    }
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
