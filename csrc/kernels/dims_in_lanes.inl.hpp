// Few rows, as in decode: lanes run along the dims, so that every key and value is streamed through once.
//
// The sums are those of rows in lanes, in the same order: a score is four partial sums over d mod 4, here the four
// elements of a 128-bit quarter; a weight sum is four partial sums over key mod 4, the same four elements after the
// transpose; an output element runs over the keys one by one. So the bits are the same.
//
// layout     packed[key_dim / 4][row][d mod 4], scores[group][key / 4][row of the group][key mod 4], where a group is
//            as many rows as a vector has quarters; keys, values are read in place
// state      largest[row][4], sum[row][4], mixed[row][value_dim]: sum and mixed are relative to exp2(largest); what a row
//            has one of stands in all four elements of its quarter
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

struct DimsInLanes {
    static constexpr int group_rows = lanes / 4;
    static constexpr bool reads_in_place = true;
    struct Soon {  // a few rows are not worth fetching ahead
        Soon() = default;
        Soon(const AttentionCall&, const TileRows&, std::int64_t) {}
    };
    static constexpr int most_rows = lanes == 4 ? 4 : 8;  // more, and rows in lanes wastes fewer lanes
    static constexpr int most_groups = most_rows / group_rows;
    static constexpr int group_stride = block_keys / 4 * lanes;
    static constexpr int shrink_floats = 4 * most_rows;

    static int groups(const TileRows& rows) { return static_cast<int>((rows.count + group_rows - 1) / group_rows); }
    static std::int64_t packed_floats(const AttentionCall& call) { return (call.key_dim + 3) / 4 * most_groups * lanes; }
    static std::int64_t score_floats() { return most_groups * group_stride; }
    static std::int64_t state_floats(const AttentionCall& call) { return (2 * 4 + call.value_dim) * most_rows; }
    static float* largest(float* state) { return state; }
    static float* sum(float* state) { return state + 4 * most_rows; }
    static float* mixed(float* state) { return state + 2 * 4 * most_rows; }
    static float largest_of(float* state, std::int64_t row) { return largest(state)[4 * row]; }
    static float sum_of(float* state, std::int64_t row) { return sum(state)[4 * row]; }

    // How statistics walk over a block's scores: cell i of unit g is keys 4 i to 4 i + 3 of `group_rows` rows
    static constexpr int keys_a_cell = 4, partials = 1;
    static int units(const TileRows& rows) { return groups(rows); }
    static std::int64_t cells(const Block& block) { return (block.key_count + 3) / 4; }
    static float* cell(float* scores, int g, std::int64_t i) { return scores + g * group_stride + i * lanes; }
    static std::int64_t element(std::int64_t row) { return 4 * row; }
    static std::int64_t row_of(int g, int lane) { return g * group_rows + lane / 4; }
    static Vector fold_sum(const Vector* partial) { return sum_of_quarters(partial[0]); }
    static Vector fold_max(Vector a) { return max_of_quarters(a); }

    static void pack_queries(const AttentionCall& call, const TileRows& rows, double factor, float* packed) {
        for (std::int64_t d = 0; d < call.key_dim; d += 4)
            for (int row = 0; row < groups(rows) * group_rows; ++row, packed += 4)
                store_four(packed, read_query(call, rows, row, d, factor));
    }

    static void clear(const AttentionCall& call, float* state) {
        for (int at = 0; at < 4 * most_rows; ++at) largest(state)[at] = -infinity;
        for (std::int64_t at = 0; at < (4 + call.value_dim) * most_rows; ++at) sum(state)[at] = 0.0f;
    }

    static void score(const AttentionCall& call, const TileRows& rows, const Block&, const float* packed,
                      const Matrix& keys, const Stored& stored, const Ahead&, float* scores, float*, Soon&) {
        const int all = groups(rows);
        constexpr int pair_keys = lanes == 8 ? 4 : 8;  // AVX2 has sixteen registers
        const std::int64_t quads = (call.key_dim + 3) / 4 * keys.rows;
        Prefetcher ahead(stored, keys, all / 2 * quads / pair_keys + all % 2 * quads / 8 + 1);
        with_format(keys.format, [&]<Format F>() {
            int g = 0;
            for (; g + 2 <= all; g += 2)
                score_groups<2, pair_keys, F>(call, packed + g * lanes, all, keys, scores + g * group_stride, ahead);
            if (g < all) score_groups<1, 8, F>(call, packed + g * lanes, all, keys, scores + g * group_stride, ahead);
        });
    }

    static void cap(const AttentionCall& call, const TileRows& rows, const Block& block, float* scores) {
        const Vector limit = broadcast(base_2(call.softcap));
        for_each_quad(rows, block, scores, [&](float* quad, int, std::int64_t) ATTNSCOPE_LAMBDA {
            store(quad, mul(limit, tanh(load(quad))));
        });
    }

    static void add_bias(const AttentionCall& call, const TileRows& rows, Block& block, float* scores) {
        for_each_quad(rows, block, scores, [&](float* quad, int first_row, std::int64_t key) ATTNSCOPE_LAMBDA {
            for (int r = 0; r < group_rows; ++r) {
                const Four bias = read_bias(call, rows, first_row + r, block, key);
                store_four(quad + 4 * r, fma_four(bias, broadcast_four(log2_e), load_four(quad + 4 * r)));
            }
        });
    }

    static void add_distance(const AttentionCall& call, const TileRows& rows, const Block& block, float* scores) {
        for_each_quad(rows, block, scores, [&](float* quad, int first_row, std::int64_t key) ATTNSCOPE_LAMBDA {
            float ahead[lanes] = {}, slope[lanes] = {};
            for (int at = 0; at < lanes && first_row + at / 4 < rows.count; ++at) {
                const int row = first_row + at / 4;
                ahead[at] = static_cast<float>(block.first + key + at % 4) - query_position(call, rows, row);
                slope[at] = -log2_e * call.slopes[rows.head[row]];
            }
            store(quad, fma(load(slope), magnitude(load(ahead)), load(quad)));
        });
    }

    static void soften(const TileRows& rows, const Block& block, const float*, float* scores, float* weights, float* state,
                       float* shrink) {
        hide(rows, block, scores);
        const std::int64_t quads = (block.key_count + 3) / 4;
        for (int g = 0; g < groups(rows); ++g) {
            float* quad = scores + g * group_stride;
            const Vector before = load(largest(state) + g * lanes);
            // 1. the largest visible score of each row; a NaN is passed over here and meets the row in its weight
            Vector top = broadcast(-infinity);
            for (std::int64_t i = 0; i < quads; ++i) top = max(load(quad + i * lanes), top);
            const Vector now = max(max_of_quarters(top), before);
            // 2. a new maximum shrinks what was accumulated
            const Vector anchor = anchor_of(now);
            const Vector factor = exp2_not_positive(sub(before, anchor));
            // 3. weights, and their sum as four partial sums over k mod 4, added left to right
            Vector partial = zero();
            for (std::int64_t i = 0; i < quads; ++i) {
                const Vector weight = exp2_not_positive(sub(load(quad + i * lanes), anchor));
                store(weights + g * group_stride + i * lanes, weight);
                partial = add(partial, weight);
            }
            store(sum(state) + g * lanes, fma(load(sum(state) + g * lanes), factor, sum_of_quarters(partial)));
            store(largest(state) + g * lanes, now);
            store(shrink + g * lanes, factor);
        }
    }

    static void mix(const AttentionCall& call, const TileRows& rows, const Block&, const float* weights,
                    const Matrix& values, const KeysAndValues& stored, const float* shrink, float* state) {
        // rows taken together, and vectors of the values: as many sums as there are registers for
        const int together = rows.count > 4 && lanes == 16 ? 8 : 4;
        const std::int64_t passes = (rows.count + together - 1) / together;
        const std::int64_t vectors = rows.count == 1 ? 8 : rows.count == 2 ? 4 : together == 8 || lanes == 8 ? 2 : 4;
        const std::int64_t columns = (call.value_dim + vectors * lanes - 1) / (vectors * lanes);
        Prefetcher ahead(stored.values, values, passes * values.rows * columns);
        for (int row = 0; row < rows.count; row += together) {
            const std::int64_t left = rows.count - row;
            const float* row_weights = weights + row / group_rows * group_stride + row % group_rows * 4;
            float* output = mixed(state) + row * call.value_dim;
            with_format(values.format, [&]<Format F>() {
                if (left == 1)
                    mix_rows<1, 8, F>(call, row_weights, values, shrink + 4 * row, output, ahead);
                else if (left == 2)
                    mix_rows<2, 4, F>(call, row_weights, values, shrink + 4 * row, output, ahead);
                else if (left <= 4 || lanes < 16)
                    mix_rows<4, lanes == 8 ? 2 : 4, F>(call, row_weights, values, shrink + 4 * row, output, ahead);
                else
                    mix_rows<8, 2, F>(call, row_weights, values, shrink + 4 * row, output, ahead);
            });
        }
    }

    // The same sums where a hidden slot holds a NaN or an infinity: 0 * NaN is NaN, so hidden terms are left out
    static void mix_carefully(const AttentionCall& call, const TileRows& rows, const Block& block, const float* weights,
                              const Matrix& values, const float* shrink, float* state) {
        for (int row = 0; row < rows.count; ++row)
            for (std::int64_t d = 0; d < call.value_dim; ++d) {
                float& cell = mixed(state)[row * call.value_dim + d];
                float total = 0.0f;
                for (std::int64_t k = 0; k < values.rows; ++k)
                    if (block.shows(row, k)) total = __builtin_fmaf(weights[weight_at(row, k)], values.element(k, d), total);
                cell = __builtin_fmaf(cell, shrink[4 * row], total);
            }
    }

    static void merge(const AttentionCall& call, const TileRows& rows, float* total, float* part) {
        float shrink_total[shrink_floats], shrink_part[shrink_floats];
        for (int at = 0; at < groups(rows) * lanes; at += lanes) {
            const Merge step =
                merge_sums(largest(total) + at, sum(total) + at, load(largest(part) + at), load(sum(part) + at));
            store(shrink_total + at, step.shrink_total);
            store(shrink_part + at, step.shrink_part);
        }
        for (int row = 0; row < rows.count; ++row)
            for (std::int64_t d = 0; d < call.value_dim; ++d) {
                float& cell = mixed(total)[row * call.value_dim + d];
                cell = __builtin_fmaf(mixed(part)[row * call.value_dim + d], shrink_part[4 * row], cell * shrink_total[4 * row]);
            }
    }

    static void add_sinks(const AttentionCall& call, const TileRows& rows, float* state) {
        float sink[shrink_floats] = {}, shrink[shrink_floats];
        for (int at = 0; at < 4 * rows.count; ++at) sink[at] = log2_e * call.sinks[rows.head[at / 4]];
        for (int at = 0; at < groups(rows) * lanes; at += lanes)
            store(shrink + at, merge_sums(largest(state) + at, sum(state) + at, load(sink + at), broadcast(1.0f)).shrink_total);
        for (int row = 0; row < rows.count; ++row)
            for (std::int64_t d = 0; d < call.value_dim; ++d) mixed(state)[row * call.value_dim + d] *= shrink[4 * row];
    }

    static void write_rows(const AttentionCall& call, const TileRows& rows, float* state) {
        for (int row = 0; row < rows.count; ++row) {
            const float* from = mixed(state) + row * call.value_dim;
            const Vector share = share_of(broadcast(sum_of(state, row)));
            char* out = rows.output_row[row];
            std::int64_t d = 0;
            float normal[lanes] = {};
            for (; d < call.value_dim; d += lanes) {
                const std::int64_t present = call.value_dim - d < lanes ? call.value_dim - d : lanes;
                for (std::int64_t i = 0; i < present; ++i) normal[i] = from[d + i];
                store(normal, normalize(load(normal), share));
                for (std::int64_t i = 0; i < present; i += 4)
                    write_four(out, d + i, present - i < 4 ? present - i : 4, load_four(normal + i), call.output_format);
            }
        }
    }

private:
    ATTNSCOPE_INLINE Vector max_of_quarters(Vector a) {
        return max(max(repeat_element<0>(a), repeat_element<1>(a)), max(repeat_element<2>(a), repeat_element<3>(a)));
    }
    ATTNSCOPE_INLINE Vector sum_of_quarters(Vector a) {
        return add(add(add(repeat_element<0>(a), repeat_element<1>(a)), repeat_element<2>(a)), repeat_element<3>(a));
    }
    ATTNSCOPE_INLINE std::int64_t weight_at(std::int64_t row, std::int64_t key) {
        return row / group_rows * group_stride + key / 4 * lanes + row % group_rows * 4 + key % 4;
    }

    // Calls body(quad, first_row, key) for each vector of scores: `group_rows` rows by four keys
    template <typename Body>
    ATTNSCOPE_INLINE void for_each_quad(const TileRows& rows, const Block& block, float* scores, const Body& body) {
        for (int g = 0; g < groups(rows); ++g)
            for (std::int64_t key = 0; key < block.key_count; key += 4)
                body(scores + g * group_stride + key * group_rows, g * group_rows, key);
    }

    // Hidden keys, and what fills up the last four, score -inf
    static void hide(const TileRows& rows, const Block& block, float* scores) {
        if (block.all_see_all && block.key_count % 4 == 0) return;
        for_each_quad(rows, block, scores, [&](float* quad, int first_row, std::int64_t key) {
            if (block.all_see_all && key + 4 <= block.key_count) return;
            for (int at = 0; at < lanes; ++at)
                if (key + at % 4 >= block.key_count || !(block.all_see_all || block.shows(first_row + at / 4, key + at % 4)))
                    quad[at] = -infinity;
        });
    }

    // computes   scores[row][n] = sum over d of packed[row][d] * keys[n][d], K keys at a time, for G of the groups of rows
    template <int G, int K, Format F>
    static inline void score_groups(const AttentionCall& call, const float* packed, int all_groups, const Matrix& keys,
                                    float* scores, Prefetcher& ahead) {
        const std::int64_t query_stride = all_groups * lanes;
        for (std::int64_t n = 0; n < keys.rows; n += K) {
            // The last K may be fewer: the last row stands in for those that are not there
            const char* row[K];
            Vector scale[K];
            for (int k = 0; k < K; ++k) {
                const std::int64_t there = n + k < keys.rows ? n + k : keys.rows - 1;
                row[k] = keys.row(there);
                scale[k] = F == Format::int8 ? broadcast(keys.scale(there)) : zero();
            }
            Vector partial[K][G];
            for (int k = 0; k < K; ++k)
                for (int g = 0; g < G; ++g) partial[k][g] = zero();
            const float* query = packed;
            std::int64_t d = 0;
            // element: four of a key's dims in each quarter, to be met by the same dims of each row
            const auto add_four = [&](int k, const Vector* part, Vector element) ATTNSCOPE_LAMBDA {
                for (int g = 0; g < G; ++g) partial[k][g] = fma(part[g], element, partial[k][g]);
            };
            if constexpr (F == Format::float32) {
                for (; d + 4 <= call.key_dim; d += 4, query += query_stride) {
                    Vector part[G];
                    for (int g = 0; g < G; ++g) part[g] = load(query + g * lanes);
                    for (int k = 0; k < K; ++k)
                        add_four(k, part, repeat_four(load_four(reinterpret_cast<const float*>(row[k]) + d)));
                    ahead.step();
                }
            } else if constexpr (F == Format::bfloat16) {
                for (; d + 8 <= call.key_dim; d += 8, query += 2 * query_stride) {
                    Vector low_part[G], high_part[G];
                    for (int g = 0; g < G; ++g) {
                        low_part[g] = load(query + g * lanes);
                        high_part[g] = load(query + query_stride + g * lanes);
                    }
                    for (int k = 0; k < K; ++k) {
                        Vector low, high;
                        repeat_bfloat16(row[k] + d * 2, low, high);
                        add_four(k, low_part, low);
                        add_four(k, high_part, high);
                    }
                    ahead.step();
                    ahead.step();
                }
            } else {
                constexpr int quarters = lanes / 4;
                for (; d + lanes <= call.key_dim; d += lanes, query += quarters * query_stride) {
                    Vector part[quarters][G];
                    for (int i = 0; i < quarters; ++i)
                        for (int g = 0; g < G; ++g) part[i][g] = load(query + i * query_stride + g * lanes);
                    for (int k = 0; k < K; ++k) {
                        const Vector wide = widen<F>(row[k] + d * item_bytes(F), scale[k]);
                        add_four(k, part[0], repeat_quarter<0>(wide));
                        if constexpr (quarters >= 2) add_four(k, part[1], repeat_quarter<1>(wide));
                        if constexpr (quarters >= 4) {
                            add_four(k, part[2], repeat_quarter<2>(wide));
                            add_four(k, part[3], repeat_quarter<3>(wide));
                        }
                    }
                    for (int i = 0; i < quarters; ++i) ahead.step();
                }
            }
            for (; d < call.key_dim; d += 4, query += query_stride) {
                Vector part[G];
                for (int g = 0; g < G; ++g) part[g] = load(query + g * lanes);
                for (int k = 0; k < K; ++k) {
                    Vector element = repeat_four(read_four(row[k], d, call.key_dim, F));
                    if constexpr (F == Format::int8) element = mul(element, scale[k]);
                    add_four(k, part, element);
                }
            }
            for (int k = 0; k < K && n + k < keys.rows; k += 4)
                for (int g = 0; g < G; ++g) {
                    transpose_quarters(partial[k][g], partial[k + 1][g], partial[k + 2][g], partial[k + 3][g]);
                    const Vector score = add(add(add(partial[k][g], partial[k + 1][g]), partial[k + 2][g]), partial[k + 3][g]);
                    store(scores + g * group_stride + (n + k) * group_rows, score);
                }
        }
    }

    // computes   output[row][d] = shrink[row] * output[row][d] + sum over keys of weights[row][key] * values[key][d]
    template <int R, int C, Format F>
    static inline void mix_rows(const AttentionCall& call, const float* weights, const Matrix& values, const float* shrink,
                                float* output, Prefetcher& ahead) {
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

    template <int R, int C, Format F>
    static inline void mix_vectors(const AttentionCall& call, const float* weights, const Matrix& values,
                                   const float* shrink, float* output, std::int64_t d, Prefetcher& ahead) {
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
};

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
