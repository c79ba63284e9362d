// Many rows: a lane is a query row, and softmax needs no horizontal step.
//
// layout     packed[key_dim][rows], scores[key][rows], mixed[value_dim][rows]; keys, values are read in place
// state      largest[rows], sum[rows], mixed[value_dim][rows]: sum and mixed are relative to exp2(largest)
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

template <int V>
struct RowsInLanes {
    static constexpr int stride = V * lanes;
    static constexpr int columns = micro_columns(V);
    using Soon = RowPrefetcher;
    static constexpr bool reads_in_place = false;  // a block is widened once, and read by a tile of rows

    static constexpr int shrink_floats = stride;
    static std::int64_t packed_floats(const AttentionCall& call) { return call.key_dim * stride; }
    static std::int64_t score_floats() { return block_keys * stride; }
    static std::int64_t state_floats(const AttentionCall& call) { return (2 + call.value_dim) * stride; }
    static float* largest(float* state) { return state; }
    static float* sum(float* state) { return state + stride; }
    static float largest_of(float* state, std::int64_t row) { return largest(state)[row]; }
    static float sum_of(float* state, std::int64_t row) { return sum(state)[row]; }
    static float* mixed(float* state) { return state + 2 * stride; }

    // How statistics walk over a block's scores: cell i of unit v is key i of `lanes` rows
    static constexpr int keys_a_cell = 1, partials = residues;
    static int units(const TileRows&) { return V; }
    static std::int64_t cells(const Block& block) { return block.key_count; }
    static float* cell(float* scores, int v, std::int64_t i) { return scores + i * stride + v * lanes; }
    static std::int64_t element(std::int64_t row) { return row; }
    static std::int64_t row_of(int v, int lane) { return v * lanes + lane; }
    static Vector fold_sum(const Vector* partial) { return add(add(add(partial[0], partial[1]), partial[2]), partial[3]); }
    static Vector fold_max(Vector a) { return a; }

    // packed[d][row] = factor * query[row][d], residue by residue; rows past the tile's are 0
    static void pack_queries(const AttentionCall& call, const TileRows& rows, double factor, float* packed) {
        std::int64_t start[residues + 1] = {};
        for (int residue = 0; residue < residues; ++residue)
            start[residue + 1] = start[residue] + residue_count(call.key_dim, residue) * stride;
        for (int first = 0; first < stride; first += 4) {
            const bool whole = call.format == Format::float32 && first + 4 <= rows.count;
            const float* row[4];
            for (int r = 0; r < 4; ++r) row[r] = whole ? reinterpret_cast<const float*>(rows.query_row[first + r]) : nullptr;
            float* to = packed + first;
            std::int64_t d = 0;
            Four four[4];
            if (whole)
                for (; d + 4 <= call.key_dim; d += 4, to += stride) {
                    for (int r = 0; r < 4; ++r) four[r] = scale_four(load_four(row[r] + d), factor);
                    transpose_four(four[0], four[1], four[2], four[3]);
                    for (int residue = 0; residue < residues; ++residue) store_four(to + start[residue], four[residue]);
                }
            for (; d < call.key_dim; d += 4, to += stride) {
                for (int r = 0; r < 4; ++r) four[r] = read_query(call, rows, first + r, d, factor);
                transpose_four(four[0], four[1], four[2], four[3]);
                for (int residue = 0; residue < residues && d + residue < call.key_dim; ++residue)
                    store_four(to + start[residue], four[residue]);
            }
        }
    }

    static void clear(const AttentionCall& call, float* state) {
        for (int v = 0; v < V; ++v) store(largest(state) + v * lanes, broadcast(-infinity));
        for (std::int64_t at = 0; at < (1 + call.value_dim) * stride; at += lanes) store(sum(state) + at, zero());
    }

    // top[rows]: the largest of the scores, before anything is added or hidden. What a whole vector of rows does not see
    // is left as it was. Meanwhile what lies ahead is fetched.
    static void score(const AttentionCall& call, const TileRows&, const Block& block, const float* packed,
                      const Matrix& keys, const Stored&, Ahead ahead, float* scores, float* top, Soon& soon) {
        for (int v = 0; v < V; ++v) store(top + v * lanes, broadcast(-infinity));
        for (const Stretch& stretch : Stretches<V>(block))
            with_vectors<V>(stretch.low, stretch.high, [&]<int Low, int High>() ATTNSCOPE_LAMBDA {
                constexpr int width = High - Low, together = score_keys_at_once(width);
                std::int64_t n = stretch.first;
                const auto take = [&]<int N, int P>() ATTNSCOPE_LAMBDA {
                    for (; n + N <= stretch.end; n += N, soon.step())
                        score_keys<width, N, P>(packed + Low * lanes, stride, keys.floats(n), keys.float_stride(), call.key_dim,
                                                scores + n * stride + Low * lanes, top + Low * lanes, ahead);
                };
                take.template operator()<together, score_residues_at_once(width)>();
                if constexpr (together > 4) take.template operator()<4, 2>();
                take.template operator()<1, 1>();
            });
    }

    static void cap(const AttentionCall& call, const TileRows&, const Block& block, float* scores) {
        const Vector limit = broadcast(base_2(call.softcap));
        for (std::int64_t at = 0; at < block.key_count * stride; at += lanes)
            store(scores + at, mul(limit, tanh(load(scores + at))));
    }

    static void add_bias(const AttentionCall& call, const TileRows& rows, Block& block, float* scores) {
        for (std::int64_t row = 0; row < rows.count; row += 4)
            for (std::int64_t key = 0; key < block.key_count; key += 4) {
                Four four[4];
                for (int r = 0; r < 4; ++r) four[r] = read_bias(call, rows, row + r, block, key);
                transpose_four(four[0], four[1], four[2], four[3]);
                for (std::int64_t k = 0; k < 4 && key + k < block.key_count; ++k) {
                    float* cell = scores + (key + k) * stride + row;
                    store_four(cell, fma_four(four[k], broadcast_four(log2_e), load_four(cell)));
                }
            }
    }

    static void add_distance(const AttentionCall& call, const TileRows& rows, const Block& block, float* scores) {
        float position[stride] = {}, slope[stride] = {};
        for (std::int64_t r = 0; r < rows.count; ++r) {
            position[r] = query_position(call, rows, r);
            slope[r] = -log2_e * call.slopes[rows.head[r]];
        }
        for (int v = 0; v < V; ++v)
            for (std::int64_t k = 0; k < block.key_count; ++k) {
                float* cell = scores + k * stride + v * lanes;
                const Vector ahead = sub(broadcast(static_cast<float>(block.first + k)), load(position + v * lanes));
                store(cell, fma(load(slope + v * lanes), magnitude(ahead), load(cell)));
            }
    }

    // The weights may take the scores' place; where they do not, hidden scores are -inf afterwards.
    // top: each row's largest score, where all see all and it is known; or null
    static void soften(const TileRows&, const Block& block, const float* top, float* scores, float* weights,
                       float* state, float* shrink) {
        float found[stride];
        if (!block.all_see_all) {
            std::uint32_t visible[2][stride];
            spread_bits(block, visible);
            hide(block, visible, scores);
            top = nullptr;
        }
        if (top == nullptr) top = find_top(block, scores, found);
        weigh(block, top, scores, weights, state, shrink);
    }

    // Meanwhile the keys that come next are fetched.
    static void mix(const AttentionCall& call, const TileRows&, const Block& block, const float* weights,
                    const Matrix& values, const KeysAndValues& stored, const float* shrink, float* state) {
        const Stretches<V> stretches(block);
        Ahead ahead = stored.keys.ahead(block.soon);
        std::int64_t d = 0;
        const auto take = [&]<int N>() ATTNSCOPE_LAMBDA {
            for (; d + N <= call.value_dim; d += N) {
                float* output = mixed(state) + d * stride;
                const float* column = values.floats(0) + d;
                if (block.all_see_all)
                    mix_columns<V, N>(weights, column, values.float_stride(), values.rows, shrink, output, ahead);
                else
                    mix_stretches<V, N>(weights, column, values.float_stride(), stretches.begin(), stretches.end(), shrink, output,
                                        ahead);
            }
        };
        take.template operator()<columns>();
        take.template operator()<1>();
    }

    // The same sums where a hidden slot holds a NaN or an infinity: 0 * NaN is NaN, so hidden terms are left out
    static void mix_carefully(const AttentionCall& call, const TileRows&, const Block& block, const float* weights,
                              const Matrix& values, const float* shrink, float* state) {
        std::uint32_t visible[2][stride];
        spread_bits(block, visible);
        for (std::int64_t d = 0; d < call.value_dim; ++d)
            for (int v = 0; v < V; ++v) {
                float* cell = mixed(state) + d * stride + v * lanes;
                Vector total = zero();
                for (std::int64_t k = 0; k < values.rows; ++k) {
                    const Vector term = fma(load(weights + k * stride + v * lanes), broadcast(values.floats(k)[d]), total);
                    total = select(sees(visible, k, v), term, total);
                }
                store(cell, fma(load(cell), load(shrink + v * lanes), total));
            }
    }

    static void merge(const AttentionCall& call, const TileRows&, float* total, float* part) {
        for (int v = 0; v < V; ++v) {
            const Merge step = merge_sums(largest(total) + v * lanes, sum(total) + v * lanes, load(largest(part) + v * lanes),
                                          load(sum(part) + v * lanes));
            for (std::int64_t d = 0; d < call.value_dim; ++d) {
                float* cell = mixed(total) + d * stride + v * lanes;
                const float* other = mixed(part) + d * stride + v * lanes;
                store(cell, fma(load(other), step.shrink_part, mul(load(cell), step.shrink_total)));
            }
        }
    }

    // A sink is a key without a value: it joins the normalizer
    static void add_sinks(const AttentionCall& call, const TileRows& rows, float* state) {
        float sink[stride] = {};
        for (std::int64_t r = 0; r < rows.count; ++r) sink[r] = log2_e * call.sinks[rows.head[r]];
        for (int v = 0; v < V; ++v) {
            const Merge step = merge_sums(largest(state) + v * lanes, sum(state) + v * lanes, load(sink + v * lanes), broadcast(1.0f));
            for (std::int64_t d = 0; d < call.value_dim; ++d) {
                float* cell = mixed(state) + d * stride + v * lanes;
                store(cell, mul(load(cell), step.shrink_total));
            }
        }
    }

    static void write_rows(const AttentionCall& call, const TileRows& rows, float* state) {
        for (int v = 0; v < V; ++v) {
            const Vector share = share_of(load(sum(state) + v * lanes));
            for (std::int64_t d = 0; d < call.value_dim; ++d) {
                float* cell = mixed(state) + d * stride + v * lanes;
                store(cell, normalize(load(cell), share));
            }
        }
        // lanes back to rows, four by four
        for (std::int64_t first = 0; first < rows.count; first += 4) {
            const float* from = mixed(state) + first;
            std::int64_t d = 0;
            Four four[4];
            if (call.output_format == Format::float32 && first + 4 <= rows.count) {
                float* row[4];
                for (int r = 0; r < 4; ++r) row[r] = reinterpret_cast<float*>(rows.output_row[first + r]);
                for (; d + 4 <= call.value_dim; d += 4) {
                    for (int i = 0; i < 4; ++i) four[i] = load_four(from + (d + i) * stride);
                    transpose_four(four[0], four[1], four[2], four[3]);
                    for (int r = 0; r < 4; ++r) store_four(row[r] + d, four[r]);
                }
            }
            for (; d < call.value_dim; d += 4) {
                const std::int64_t present = call.value_dim - d < 4 ? call.value_dim - d : 4;
                for (std::int64_t i = 0; i < 4; ++i)
                    four[i] = i < present ? load_four(from + (d + i) * stride) : broadcast_four(0.0f);
                transpose_four(four[0], four[1], four[2], four[3]);
                for (std::int64_t r = 0; r < 4 && first + r < rows.count; ++r)
                    write_four(rows.output_row[first + r], d, present, four[r], call.output_format);
            }
        }
    }

    ATTNSCOPE_INLINE Mask sees(const std::uint32_t (*visible)[stride], std::int64_t key, int v) {
        return test_bit(visible[key / 32] + v * lanes, static_cast<int>(key % 32));
    }

    static void spread_bits(const Block& block, std::uint32_t (*visible)[stride]) {
        for (int r = 0; r < stride; ++r) {
            visible[0][r] = static_cast<std::uint32_t>(block.seen[r]);
            visible[1][r] = static_cast<std::uint32_t>(block.seen[r] >> 32);
        }
    }

private:
    static void hide(const Block& block, const std::uint32_t (*visible)[stride], float* scores) {
        for (std::int64_t k = 0; k < block.key_count; ++k)
            for (int v = 0; v < V; ++v) {
                float* cell = scores + k * stride + v * lanes;
                store(cell, select(sees(visible, k, v), load(cell), broadcast(-infinity)));
            }
    }

    // The largest score of each row; a NaN is passed over here and meets the row in its weight
    static const float* find_top(const Block& block, const float* scores, float* found) {
        Vector top[V];
        for (int v = 0; v < V; ++v) top[v] = broadcast(-infinity);
        for (std::int64_t k = 0; k < block.key_count; ++k)
            for (int v = 0; v < V; ++v) top[v] = max(load(scores + k * stride + v * lanes), top[v]);
        for (int v = 0; v < V; ++v) store(found + v * lanes, top[v]);
        return found;
    }

    static void weigh(const Block& block, const float* top, const float* scores, float* weights, float* state, float* shrink) {
        for (int v = 0; v < V; ++v) {
            // 1. a new maximum shrinks what was accumulated
            const Vector before = load(largest(state) + v * lanes);
            const Vector now = max(load(top + v * lanes), before);
            const Vector anchor = anchor_of(now);
            const Vector factor = exp2_not_positive(sub(before, anchor));
            // 2. weights, and their sum as four partial sums over k mod 4, added left to right
            Vector partial[4] = {zero(), zero(), zero(), zero()};
            std::int64_t k = 0;
            const auto weigh_keys = [&]<int N>(int into) ATTNSCOPE_LAMBDA {
                const std::int64_t at = k * stride + v * lanes;
                Vector weight[N];
                for (int i = 0; i < N; ++i) weight[i] = sub(load(scores + at + i * stride), anchor);
                exp2_not_positive(weight);
                for (int i = 0; i < N; ++i) {
                    store(weights + at + i * stride, weight[i]);
                    partial[into + i] = add(partial[into + i], weight[i]);
                }
                k += N;
            };
            while (k + 4 <= block.key_count) weigh_keys.template operator()<4>(0);
            for (int i = 0; k < block.key_count; ++i) weigh_keys.template operator()<1>(i);
            const Vector block_sum = add(add(add(partial[0], partial[1]), partial[2]), partial[3]);
            store(sum(state) + v * lanes, fma(load(sum(state) + v * lanes), factor, block_sum));
            store(largest(state) + v * lanes, now);
            store(shrink + v * lanes, factor);
        }
    }
};

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
