// Few rows, as in decode: lanes run along the dims, so that every key and value is read once for all rows.
//
// computes  the steps of RowLayout for a tile of up to most_rows rows
// layout    packed[key_dim / 4][row][d mod 4], scores[group][key / 4][row of the group][key mod 4]: a group
//           is as many rows as a vector has quarters; keys and values are read in place
// state     largest[row][4], sum[row][4], mixed[row][value_dim]; an array with one number per row holds it
//           four times, once per element of the row's quarter
// order     that of rows in lanes, so the bits are the same: a score is four partial sums over d mod 4, here
//           the elements of a quarter; a weight sum is four partial sums over key mod 4, the same elements
//           after the transpose; an output element runs over the keys one by one
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

struct DimsInLanes {
    static constexpr bool reads_in_place = true;
    // Memory is the limit: with few rows a block is done before rows that were fetched within it could arrive
    static constexpr bool fetches_next_block = true;
    static constexpr int most_rows = lanes == 4 ? 4 : 8;  // more rows waste fewer lanes as rows in lanes
    static constexpr int most_groups = most_rows / group_rows;
    static constexpr int row_floats = 4 * most_rows;

    static int groups(const TileRows& rows) {
        return static_cast<int>((rows.count + group_rows - 1) / group_rows);
    }
    static std::int64_t packed_floats(const AttentionCall& call) {
        return (call.key_dim + 3) / 4 * most_groups * lanes;
    }
    static std::int64_t score_floats() { return most_groups * group_stride; }
    static std::int64_t state_floats(const AttentionCall& call) {
        return (2 * 4 + call.value_dim) * most_rows;
    }

    // Float is float or const float
    template <typename Float>
    static Float* largest(Float* state) {
        return state;
    }
    template <typename Float>
    static Float* sum(Float* state) {
        return state + 4 * most_rows;
    }
    template <typename Float>
    static Float* mixed(Float* state) {
        return state + 2 * 4 * most_rows;
    }
    static float largest_of(const float* state, std::int64_t row) { return largest(state)[4 * row]; }
    static float sum_of(const float* state, std::int64_t row) { return sum(state)[4 * row]; }

    static constexpr int keys_per_cell = 4, partials = 1;
    static int units(const TileRows& rows) { return groups(rows); }
    static std::int64_t cells(const Block& block) { return (block.key_count + 3) / 4; }
    static const float* cell(const float* scores, int g, std::int64_t i) {
        return scores + g * group_stride + i * lanes;
    }
    static std::int64_t index(std::int64_t row) { return 4 * row; }
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
                      const Matrix& keys, Prefetch& ahead, Prefetch&, float* scores, float*) {
        const int all = groups(rows);
        constexpr int pair_keys = lanes == 8 ? 4 : 8;  // AVX2 has only 16 registers
        const std::int64_t quads = (call.key_dim + 3) / 4 * keys.rows;
        ahead.spread_over(all / 2 * quads / pair_keys + all % 2 * quads / 8 + 1);
        with_format(keys.format, [&]<Format F>() {
            int g = 0;
            for (; g + 2 <= all; g += 2)
                score_groups<2, pair_keys, F>(call, packed + g * lanes, all, keys, scores + g * group_stride,
                                              ahead);
            if (g < all)
                score_groups<1, 8, F>(call, packed + g * lanes, all, keys, scores + g * group_stride, ahead);
        });
    }

    static void softcap(const AttentionCall& call, const TileRows& rows, const Block& block, float* scores) {
        const Vector limit = broadcast(base_2(call.softcap));
        for_each_quad(rows, block, scores, [&](float* quad, int, std::int64_t) ATTNSCOPE_LAMBDA {
            store(quad, mul(limit, tanh(load(quad))));
        });
    }

    static void add_bias(const AttentionCall& call, const TileRows& rows, Block& block, float* scores) {
        for_each_quad(
            rows, block, scores, [&](float* quad, int first_row, std::int64_t key) ATTNSCOPE_LAMBDA {
                for (int r = 0; r < group_rows; ++r) {
                    const Four bias = read_bias(call, rows, first_row + r, block, key);
                    store_four(quad + 4 * r, fma_four(bias, broadcast_four(log2_e), load_four(quad + 4 * r)));
                }
            });
    }

    static void add_distance(const AttentionCall& call, const TileRows& rows, const Block& block,
                             float* scores) {
        for_each_quad(
            rows, block, scores, [&](float* quad, int first_row, std::int64_t key) ATTNSCOPE_LAMBDA {
                float offset[lanes] = {}, slope[lanes] = {};
                for (int at = 0; at < lanes && first_row + at / 4 < rows.count; ++at) {
                    const int row = first_row + at / 4;
                    offset[at] =
                        static_cast<float>(block.first + key + at % 4) - query_position(call, rows, row);
                    slope[at] = -log2_e * call.slopes[rows.head[row]];
                }
                store(quad, fma(load(slope), magnitude(load(offset)), load(quad)));
            });
    }

    static void softmax(const TileRows& rows, const Block& block, const float*, float* scores, float* weights,
                        float* state, float* shrink) {
        hide(rows, block, scores);
        const std::int64_t quads = cells(block);
        for (int g = 0; g < groups(rows); ++g) {
            const float* quad = scores + g * group_stride;
            const Vector before = load(largest(state) + g * lanes);
            // 1. the largest visible score of each row; a NaN is ignored here and enters by its weight
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
            store(sum(state) + g * lanes,
                  fma(load(sum(state) + g * lanes), factor, sum_of_quarters(partial)));
            store(largest(state) + g * lanes, now);
            store(shrink + g * lanes, factor);
        }
    }

    static void mix(const AttentionCall& call, const TileRows& rows, const Block&, const float* weights,
                    const Matrix& values, Prefetch& ahead, const float* shrink, float* state) {
        // rows and vectors of the values at once: as many sums as fit the registers
        const int together = rows.count > 4 && lanes == 16 ? 8 : 4;
        const std::int64_t passes = (rows.count + together - 1) / together;
        const std::int64_t vectors = rows.count == 1               ? 8
                                     : rows.count == 2             ? 4
                                     : together == 8 || lanes == 8 ? 2
                                                                   : 4;
        const std::int64_t columns = (call.value_dim + vectors * lanes - 1) / (vectors * lanes);
        ahead.spread_over(passes * values.rows * columns);
        for (int row = 0; row < rows.count; row += together) {
            const std::int64_t left = rows.count - row;
            const float* row_weights = weights + weight_at(row, 0);
            float* output = mixed(state) + row * call.value_dim;
            with_format(values.format, [&]<Format F>() {
                if (left == 1)
                    mix_rows<1, 8, F>(call, row_weights, values, shrink + 4 * row, output, ahead);
                else if (left == 2)
                    mix_rows<2, 4, F>(call, row_weights, values, shrink + 4 * row, output, ahead);
                else if (left == 3)  // a fourth row may have no weights: a group may be a single row
                    mix_rows<3, lanes == 8 ? 2 : 4, F>(call, row_weights, values, shrink + 4 * row, output,
                                                       ahead);
                else if (left <= 4 || lanes < 16)
                    mix_rows<4, lanes == 8 ? 2 : 4, F>(call, row_weights, values, shrink + 4 * row, output,
                                                       ahead);
                else
                    mix_rows<8, 2, F>(call, row_weights, values, shrink + 4 * row, output, ahead);
            });
        }
    }

    static void mix_carefully(const AttentionCall& call, const TileRows& rows, const Block& block,
                              const float* weights, const Matrix& values, const float* shrink, float* state) {
        for (int row = 0; row < rows.count; ++row)
            for (std::int64_t d = 0; d < call.value_dim; ++d) {
                float& cell = mixed(state)[row * call.value_dim + d];
                float total = 0.0f;
                for (std::int64_t k = 0; k < values.rows; ++k)
                    if (block.shows(row, k))
                        total = __builtin_fmaf(weights[weight_at(row, k)], values.element(k, d), total);
                cell = __builtin_fmaf(cell, shrink[4 * row], total);
            }
    }

    static void merge(const AttentionCall& call, const TileRows& rows, float* total, const float* part) {
        float shrink_total[row_floats], shrink_part[row_floats];
        for (int at = 0; at < groups(rows) * lanes; at += lanes) {
            const Merge step = merge_sums(largest(total) + at, sum(total) + at, load(largest(part) + at),
                                          load(sum(part) + at));
            store(shrink_total + at, step.shrink_total);
            store(shrink_part + at, step.shrink_part);
        }
        for (int row = 0; row < rows.count; ++row)
            for (std::int64_t d = 0; d < call.value_dim; ++d) {
                const float other = mixed(part)[row * call.value_dim + d];
                float& cell = mixed(total)[row * call.value_dim + d];
                cell = __builtin_fmaf(other, shrink_part[4 * row], cell * shrink_total[4 * row]);
            }
    }

    static void add_sinks(const AttentionCall& call, const TileRows& rows, float* state) {
        float sink[row_floats] = {}, shrink[row_floats];
        for (int at = 0; at < 4 * rows.count; ++at) sink[at] = log2_e * call.sinks[rows.head[at / 4]];
        for (int at = 0; at < groups(rows) * lanes; at += lanes) {
            const Merge step =
                merge_sums(largest(state) + at, sum(state) + at, load(sink + at), broadcast(1.0f));
            store(shrink + at, step.shrink_total);
        }
        for (int row = 0; row < rows.count; ++row)
            for (std::int64_t d = 0; d < call.value_dim; ++d)
                mixed(state)[row * call.value_dim + d] *= shrink[4 * row];
    }

    static void write_rows(const AttentionCall& call, const TileRows& rows, float* state) {
        for (int row = 0; row < rows.count; ++row) {
            const float* from = mixed(state) + row * call.value_dim;
            const Vector share = share_of(broadcast(sum_of(state, row)));
            char* out = rows.output_row[row];
            float normal[lanes] = {};
            for (std::int64_t d = 0; d < call.value_dim; d += lanes) {
                const std::int64_t present = smaller(call.value_dim - d, lanes);
                for (std::int64_t i = 0; i < present; ++i) normal[i] = from[d + i];
                store(normal, normalize(load(normal), share));
                for (std::int64_t i = 0; i < present; i += 4)
                    write_four(out, d + i, smaller(present - i, 4), load_four(normal + i),
                               call.output_format);
            }
        }
    }

private:
    ATTNSCOPE_INLINE Vector max_of_quarters(Vector a) {
        return max(max(repeat_element<0>(a), repeat_element<1>(a)),
                   max(repeat_element<2>(a), repeat_element<3>(a)));
    }
    ATTNSCOPE_INLINE Vector sum_of_quarters(Vector a) {
        return add(add(add(repeat_element<0>(a), repeat_element<1>(a)), repeat_element<2>(a)),
                   repeat_element<3>(a));
    }

    // Calls body(quad, first_row, key) for each vector of scores: `group_rows` rows by four keys
    template <typename Body>
    ATTNSCOPE_INLINE void for_each_quad(const TileRows& rows, const Block& block, float* scores,
                                        const Body& body) {
        for (int g = 0; g < groups(rows); ++g)
            for (std::int64_t key = 0; key < block.key_count; key += 4)
                body(scores + g * group_stride + key * group_rows, g * group_rows, key);
    }

    // Scores become -inf if their key is hidden, and past the last key, where they only fill up a vector
    static void hide(const TileRows& rows, const Block& block, float* scores) {
        if (block.all_see_all && block.key_count % 4 == 0) return;
        for_each_quad(rows, block, scores, [&](float* quad, int first_row, std::int64_t key) {
            if (block.all_see_all && key + 4 <= block.key_count) return;
            for (int at = 0; at < lanes; ++at) {
                const std::int64_t k = key + at % 4;
                if (k >= block.key_count || !(block.all_see_all || block.shows(first_row + at / 4, k)))
                    quad[at] = -infinity;
            }
        });
    }
};

static_assert(RowLayout<DimsInLanes>);

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
