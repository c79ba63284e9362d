// Many rows: a lane is a query row, so the softmax needs no operation across lanes.
//
// computes  the steps of RowLayout for a tile of V vectors of rows
// layout    packed[key_dim][rows], scores[key][rows], weights[key][rows]; keys and values are read in place
// state     largest[rows], sum[rows], mixed[value_dim][rows]
// skipped   scores of keys that no row of a vector sees are not computed (SeenKeys); softmax() sets them to
//           -inf
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

template <int V>
struct RowsInLanes {
    static constexpr int stride = V * lanes;
    static constexpr int columns = micro_columns(V);
    static constexpr int row_floats = stride;
    static constexpr bool reads_in_place = false;  // a block is widened once and then read by every row
    static constexpr bool fetches_next_block = false;

    static std::int64_t packed_floats(const AttentionCall& call) { return call.key_dim * stride; }
    static std::int64_t score_floats() { return block_keys * stride; }
    static std::int64_t state_floats(const AttentionCall& call) { return (2 + call.value_dim) * stride; }

    // Float is float or const float
    template <typename Float>
    static Float* largest(Float* state) {
        return state;
    }
    template <typename Float>
    static Float* sum(Float* state) {
        return state + stride;
    }
    template <typename Float>
    static Float* mixed(Float* state) {
        return state + 2 * stride;
    }
    static float largest_of(const float* state, std::int64_t row) { return largest(state)[row]; }
    static float sum_of(const float* state, std::int64_t row) { return sum(state)[row]; }

    static constexpr int keys_per_cell = 1, partials = residues;
    static int units(const TileRows&) { return V; }
    static std::int64_t cells(const Block& block) { return block.key_count; }
    static const float* cell(const float* scores, int v, std::int64_t i) {
        return scores + i * stride + v * lanes;
    }
    static std::int64_t index(std::int64_t row) { return row; }
    static std::int64_t row_of(int v, int lane) { return v * lanes + lane; }
    static Vector fold_sum(const Vector* partial) {
        return add(add(add(partial[0], partial[1]), partial[2]), partial[3]);
    }
    static Vector fold_max(Vector a) { return a; }

    static void pack_queries(const AttentionCall& call, const TileRows& rows, double factor, float* packed) {
        pack_rows_into_lanes<stride>(call, rows, factor, packed);
    }

    static void clear(const AttentionCall& call, float* state) {
        for (int v = 0; v < V; ++v) store(largest(state) + v * lanes, broadcast(-infinity));
        for (std::int64_t at = 0; at < (1 + call.value_dim) * stride; at += lanes)
            store(sum(state) + at, zero());
    }

    static void score(const AttentionCall& call, const TileRows&, const Block& block, const float* packed,
                      const Matrix& keys, Prefetch& ahead, Prefetch& rows_ahead, float* scores, float* top) {
        for (int v = 0; v < V; ++v) store(top + v * lanes, broadcast(-infinity));
        for (const Stretch& stretch : Stretches<V>(block))
            with_vectors<V>(stretch.low, stretch.high, [&]<int Low, int High>() ATTNSCOPE_LAMBDA {
                constexpr int width = High - Low, together = score_keys_at_once(width);
                std::int64_t n = stretch.first;
                const auto take = [&]<int N, int P>() ATTNSCOPE_LAMBDA {
                    for (; n + N <= stretch.end; n += N, rows_ahead.step())
                        score_keys<width, N, P>(packed + Low * lanes, stride, keys.floats(n),
                                                keys.float_stride(), call.key_dim,
                                                scores + n * stride + Low * lanes, top + Low * lanes, ahead);
                };
                take.template operator()<together, score_residues_at_once(width)>();
                if constexpr (together > 4) take.template operator()<4, 2>();
                take.template operator()<1, 1>();
            });
    }

    static void softcap(const AttentionCall& call, const TileRows&, const Block& block, float* scores) {
        const Vector limit = broadcast(base_2(call.softcap));
        for_each_score(block, scores, [&](float* cell, int, std::int64_t) ATTNSCOPE_LAMBDA {
            store(cell, mul(limit, tanh(load(cell))));
        });
    }

    static void add_bias(const AttentionCall& call, const TileRows& rows, Block& block, float* scores) {
        const SeenKeys<V> seen(block);  // before a bias of -inf hides any
        for (std::int64_t row = 0; row < rows.count; row += 4)
            for (std::int64_t key = seen.first[row / lanes]; key < seen.end[row / lanes]; key += 4) {
                Four four[4];
                for (int r = 0; r < 4; ++r) four[r] = read_bias(call, rows, row + r, block, key);
                transpose_four(four[0], four[1], four[2], four[3]);
                for (std::int64_t k = 0; k < 4 && key + k < block.key_count; ++k) {
                    float* cell = scores + (key + k) * stride + row;
                    store_four(cell, fma_four(four[k], broadcast_four(log2_e), load_four(cell)));
                }
            }
    }

    static void add_distance(const AttentionCall& call, const TileRows& rows, const Block& block,
                             float* scores) {
        float position[stride] = {}, slope[stride] = {};
        for (std::int64_t r = 0; r < rows.count; ++r) {
            position[r] = query_position(call, rows, r);
            slope[r] = -log2_e * call.slopes[rows.head[r]];
        }
        for_each_score(block, scores, [&](float* cell, int v, std::int64_t k) ATTNSCOPE_LAMBDA {
            const Vector key = broadcast(static_cast<float>(block.first + k));
            const Vector distance = magnitude(sub(key, load(position + v * lanes)));
            store(cell, fma(load(slope + v * lanes), distance, load(cell)));
        });
    }

    static void softmax(const TileRows&, const Block& block, const float* top, float* scores, float* weights,
                        float* state, float* shrink) {
        float found[stride];
        if (!block.all_see_all) {
            hide(block, scores);
            top = nullptr;
        }
        if (top == nullptr) top = find_top(block, scores, found);
        weigh(block, top, scores, weights, state, shrink);
    }

    static void mix(const AttentionCall& call, const TileRows&, const Block& block, const float* weights,
                    const Matrix& values, Prefetch& ahead, const float* shrink, float* state) {
        const Stretches<V> stretches(block);
        std::int64_t d = 0;
        const auto take = [&]<int N>() ATTNSCOPE_LAMBDA {
            for (; d + N <= call.value_dim; d += N) {
                float* output = mixed(state) + d * stride;
                const float* column = values.floats(0) + d;
                if (block.all_see_all)
                    mix_columns<V, N>(weights, column, values.float_stride(), values.rows, shrink, output,
                                      ahead);
                else
                    mix_stretches<V, N>(weights, column, values.float_stride(), stretches.begin(),
                                        stretches.end(), shrink, output, ahead);
            }
        };
        take.template operator()<columns>();
        take.template operator()<1>();
    }

    static void mix_carefully(const AttentionCall& call, const TileRows&, const Block& block,
                              const float* weights, const Matrix& values, const float* shrink, float* state) {
        const VisibleLanes visible(block);
        for (std::int64_t d = 0; d < call.value_dim; ++d)
            for (int v = 0; v < V; ++v) {
                float* cell = mixed(state) + d * stride + v * lanes;
                Vector total = zero();
                for (std::int64_t k = 0; k < values.rows; ++k) {
                    const Vector weight = load(weights + k * stride + v * lanes);
                    const Vector term = fma(weight, broadcast(values.floats(k)[d]), total);
                    total = select(visible.mask(k, v), term, total);
                }
                store(cell, fma(load(cell), load(shrink + v * lanes), total));
            }
    }

    static void merge(const AttentionCall& call, const TileRows&, float* total, const float* part) {
        for (int v = 0; v < V; ++v) {
            const int at = v * lanes;
            const Merge step = merge_sums(largest(total) + at, sum(total) + at, load(largest(part) + at),
                                          load(sum(part) + at));
            for (std::int64_t d = 0; d < call.value_dim; ++d) {
                float* cell = mixed(total) + d * stride + at;
                const Vector other = load(mixed(part) + d * stride + at);
                store(cell, fma(other, step.shrink_part, mul(load(cell), step.shrink_total)));
            }
        }
    }

    static void add_sinks(const AttentionCall& call, const TileRows& rows, float* state) {
        float sink[stride] = {};
        for (std::int64_t r = 0; r < rows.count; ++r) sink[r] = log2_e * call.sinks[rows.head[r]];
        for (int v = 0; v < V; ++v) {
            const int at = v * lanes;
            const Merge step =
                merge_sums(largest(state) + at, sum(state) + at, load(sink + at), broadcast(1.0f));
            for (std::int64_t d = 0; d < call.value_dim; ++d) {
                float* cell = mixed(state) + d * stride + at;
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
        write_rows_from_lanes<stride>(call, rows, mixed(state));
    }

    // A block's visible keys with the lanes of a vector next to each other
    struct VisibleLanes {
        std::uint32_t words[2][stride];  // bit k % 32 of words[k / 32]: the row sees key k

        explicit VisibleLanes(const Block& block) {
            for (int r = 0; r < stride; ++r) {
                words[0][r] = static_cast<std::uint32_t>(block.seen[r]);
                words[1][r] = static_cast<std::uint32_t>(block.seen[r] >> 32);
            }
        }
        ATTNSCOPE_MEMBER Mask mask(std::int64_t key, int v) const {
            return test_bit(words[key / 32] + v * lanes, static_cast<int>(key % 32));
        }
    };

private:
    // Calls body(cell, v, key) for each vector of scores that was computed because a row sees the key
    template <typename Body>
    ATTNSCOPE_INLINE void for_each_score(const Block& block, float* scores, const Body& body) {
        const SeenKeys<V> seen(block);
        for (int v = 0; v < V; ++v)
            for (std::int64_t k = seen.first[v]; k < seen.end[v]; ++k)
                body(scores + k * stride + v * lanes, v, k);
    }

    // Scores of hidden keys become -inf; scores that were not computed are not read
    static void hide(const Block& block, float* scores) {
        const SeenKeys<V> seen(block);
        const VisibleLanes visible(block);
        for (std::int64_t k = 0; k < block.key_count; ++k)
            for (int v = 0; v < V; ++v) {
                float* cell = scores + k * stride + v * lanes;
                const Vector hidden = broadcast(-infinity);
                store(cell, seen.has(v, k) ? select(visible.mask(k, v), load(cell), hidden) : hidden);
            }
    }

    // The largest score of each row. A NaN is ignored here and reaches the row through its weight.
    static const float* find_top(const Block& block, const float* scores, float* found) {
        Vector top[V];
        for (int v = 0; v < V; ++v) top[v] = broadcast(-infinity);
        for (std::int64_t k = 0; k < block.key_count; ++k)
            for (int v = 0; v < V; ++v) top[v] = max(load(scores + k * stride + v * lanes), top[v]);
        for (int v = 0; v < V; ++v) store(found + v * lanes, top[v]);
        return found;
    }

    static void weigh(const Block& block, const float* top, const float* scores, float* weights, float* state,
                      float* shrink) {
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

static_assert(RowLayout<RowsInLanes<1>> && RowLayout<RowsInLanes<2>> && RowLayout<RowsInLanes<3>>);

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
