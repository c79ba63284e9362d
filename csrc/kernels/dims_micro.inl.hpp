// The two matrix products of a block of keys for few rows, with lanes along the dims.
//
// layout  packed[key_dim / 4][row][d mod 4], scores[group][key / 4][row of the group][key mod 4]: a group is
//         as many rows as a vector has quarters
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

constexpr int group_rows = lanes / 4;
constexpr int group_stride = block_keys / 4 * lanes;  // floats between the scores of two groups

ATTNSCOPE_INLINE std::int64_t weight_at(std::int64_t row, std::int64_t key) {
    return row / group_rows * group_stride + key / 4 * lanes + row % group_rows * 4 + key % 4;
}

// The four partial sums of K keys and G groups of rows: quarter r of a vector belongs to row r of the group
template <int G, int K>
struct PartialScores {
    Vector sum[K][G];

    ATTNSCOPE_MEMBER void clear() {
        for (int k = 0; k < K; ++k)
            for (int g = 0; g < G; ++g) sum[k][g] = zero();
    }
    // element: four dims of key k, the same in each quarter; query: these dims of each row
    ATTNSCOPE_MEMBER void add_dims(int k, const Vector* query, Vector element) {
        for (int g = 0; g < G; ++g) sum[k][g] = fma(query[g], element, sum[k][g]);
    }
    // Adds up the partial sums left to right; `count` of the keys exist
    ATTNSCOPE_MEMBER void write(float* scores, std::int64_t count) {
        for (int k = 0; k < K && k < count; k += 4)
            for (int g = 0; g < G; ++g) {
                transpose_quarters(sum[k][g], sum[k + 1][g], sum[k + 2][g], sum[k + 3][g]);
                const Vector score = add(add(add(sum[k][g], sum[k + 1][g]), sum[k + 2][g]), sum[k + 3][g]);
                store(scores + g * group_stride + k * group_rows, score);
            }
    }
};

// K rows of the keys, with the scales of int8
template <int K, Format F>
struct KeyRows {
    const char* row[K];
    Vector scale[K];

    // The last K may be fewer: the last row is repeated
    KeyRows(const Matrix& keys, std::int64_t first) {
        for (int k = 0; k < K; ++k) {
            const std::int64_t present = smaller(first + k, keys.rows - 1);
            row[k] = keys.row(present);
            scale[k] = F == Format::int8 ? broadcast(keys.scale(present)) : zero();
        }
    }
};

// Adds the dims of K keys that fill whole vectors; returns the first d left, and its packed row in `query`.
template <int G, int K, Format F>
ATTNSCOPE_INLINE std::int64_t add_whole_vectors(const KeyRows<K, F>& keys, std::int64_t key_dim,
                                                const float*& query, std::int64_t query_stride,
                                                PartialScores<G, K>& partial, Prefetch& ahead) {
    std::int64_t d = 0;
    if constexpr (F == Format::float32) {
        for (; d + 4 <= key_dim; d += 4, query += query_stride) {
            Vector part[G];
            for (int g = 0; g < G; ++g) part[g] = load(query + g * lanes);
            for (int k = 0; k < K; ++k)
                partial.add_dims(k, part,
                                 repeat_four(load_four(reinterpret_cast<const float*>(keys.row[k]) + d)));
            ahead.step();
        }
    } else if constexpr (F == Format::bfloat16) {
        for (; d + 8 <= key_dim; d += 8, query += 2 * query_stride) {
            Vector low_part[G], high_part[G];
            for (int g = 0; g < G; ++g) {
                low_part[g] = load(query + g * lanes);
                high_part[g] = load(query + query_stride + g * lanes);
            }
            for (int k = 0; k < K; ++k) {
                Vector low, high;
                repeat_bfloat16(keys.row[k] + d * 2, low, high);
                partial.add_dims(k, low_part, low);
                partial.add_dims(k, high_part, high);
            }
            ahead.step();
            ahead.step();
        }
    } else {
        constexpr int quarters = lanes / 4;
        for (; d + lanes <= key_dim; d += lanes, query += quarters * query_stride) {
            Vector part[quarters][G];
            for (int i = 0; i < quarters; ++i)
                for (int g = 0; g < G; ++g) part[i][g] = load(query + i * query_stride + g * lanes);
            for (int k = 0; k < K; ++k) {
                const Vector wide = widen<F>(keys.row[k] + d * item_bytes(F), keys.scale[k]);
                partial.add_dims(k, part[0], repeat_quarter<0>(wide));
                if constexpr (quarters >= 2) partial.add_dims(k, part[1], repeat_quarter<1>(wide));
                if constexpr (quarters >= 4) {
                    partial.add_dims(k, part[2], repeat_quarter<2>(wide));
                    partial.add_dims(k, part[3], repeat_quarter<3>(wide));
                }
            }
            for (int i = 0; i < quarters; ++i) ahead.step();
        }
    }
    return d;
}

// The lanes of four repeated dims that are not among the first `count`
ATTNSCOPE_INLINE auto dims_past(std::int64_t count) {
    float past[lanes];
    for (int at = 0; at < lanes; ++at) past[at] = at % 4 < count ? 1.0f : 0.0f;
    return equal(load(past), zero());
}

// computes  scores[row][n] = sum over d of packed[d][row] * keys[n][d]   for G of the groups of rows, K keys
//           at a time
template <int G, int K, Format F>
static inline void score_groups(const AttentionCall& call, const float* packed, int all_groups,
                                const Matrix& keys, float* scores, Prefetch& ahead) {
    const std::int64_t query_stride = all_groups * lanes;
    for (std::int64_t n = 0; n < keys.rows; n += K) {
        const KeyRows<K, F> rows(keys, n);
        PartialScores<G, K> partial;
        partial.clear();
        const float* query = packed;
        std::int64_t d = add_whole_vectors<G, K, F>(rows, call.key_dim, query, query_stride, partial, ahead);
        for (; d < call.key_dim; d += 4, query += query_stride) {
            Vector part[G];
            for (int g = 0; g < G; ++g) part[g] = load(query + g * lanes);
            // A key has zeros past its last dim, which an infinite scale would turn into NaN
            [[maybe_unused]] const auto past_the_last = dims_past(call.key_dim - d);
            for (int k = 0; k < K; ++k) {
                Vector element = repeat_four(read_four(rows.row[k], d, call.key_dim, F));
                if constexpr (F == Format::int8)
                    element = select(past_the_last, zero(), mul(element, rows.scale[k]));
                partial.add_dims(k, part, element);
            }
        }
        partial.write(scores + n * group_rows, keys.rows - n);
    }
}

// The columns d ... d + C * lanes of output, for R rows
template <int R, int C, Format F>
static inline void mix_vectors(const AttentionCall& call, const float* weights, const Matrix& values,
                               const float* shrink, float* output, std::int64_t d, Prefetch& ahead) {
    Vector total[R][C];
    for (int r = 0; r < R; ++r)
        for (int c = 0; c < C; ++c) total[r][c] = zero();
    for (std::int64_t k = 0; k < values.rows; ++k) {
        ahead.step();
        const char* value = values.row(k) + d * item_bytes(F);
        const Vector scale = F == Format::int8 ? broadcast(values.scale(k)) : zero();
        Vector element[C];
        for (int c = 0; c < C; ++c) element[c] = widen<F>(value + c * lanes * item_bytes(F), scale);
        for (int r = 0; r < R; ++r) {
            const Vector weight = broadcast(weights[weight_at(r, k)]);
            for (int c = 0; c < C; ++c) total[r][c] = fma(weight, element[c], total[r][c]);
        }
    }
    for (int r = 0; r < R; ++r)
        for (int c = 0; c < C; ++c) {
            float* cell = output + r * call.value_dim + d + c * lanes;
            store(cell, fma(load(cell), broadcast(shrink[4 * r]), total[r][c]));
        }
}

// computes  output[row][d] = shrink[row] * output[row][d] + sum over keys of weights[row][key] *
//           values[key][d] for R rows, C vectors of columns at a time
template <int R, int C, Format F>
static inline void mix_rows(const AttentionCall& call, const float* weights, const Matrix& values,
                            const float* shrink, float* output, Prefetch& ahead) {
    std::int64_t d = 0;
    for (; d + C * lanes <= call.value_dim; d += C * lanes)
        mix_vectors<R, C, F>(call, weights, values, shrink, output, d, ahead);
    for (; d + lanes <= call.value_dim; d += lanes)
        mix_vectors<R, 1, F>(call, weights, values, shrink, output, d, ahead);
    for (; d < call.value_dim; ++d)
        for (int r = 0; r < R; ++r) {
            float total = 0.0f;
            for (std::int64_t k = 0; k < values.rows; ++k)
                total = __builtin_fmaf(weights[weight_at(r, k)], values.element(k, d), total);
            float& cell = output[r * call.value_dim + d];
            cell = __builtin_fmaf(cell, shrink[4 * r], total);
        }
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
