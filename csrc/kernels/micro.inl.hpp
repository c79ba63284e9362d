// The two matrix products of a block of keys, both C[n][rows] (+)= sum over k of A[k][rows] * B[k, n].
// The elements of B are broadcast from where they are in memory: nothing is transposed or copied.
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

// Calls step() `count` times, each of which reads `floats` floats, and fetches as many lines as the steps
// read. The steps between two lines are unrolled.
template <int floats, typename Step>
ATTNSCOPE_INLINE void fetching_ahead(Prefetch& ahead, std::int64_t count, const Step& step) {
    constexpr int steps_per_line = floats >= 16 ? 1 : floats >= 8 ? 2 : 4;
    std::int64_t i = 0;
    for (; i + steps_per_line <= count; i += steps_per_line) {
        ahead.fetch_line();
        ATTNSCOPE_UNROLL
        for (int s = 0; s < steps_per_line; ++s) step();
    }
    for (; i < count; ++i) step();
}

// computes  scores[n][rows] = sum over d of packed[d][rows] * keys[n][d]   for N keys;
//           top[rows] = max(top[rows], scores of the N keys), which ignores NaN
// layout    packed: the d of residue 0 in rising order, then those of residue 1, ...; V vectors of the tile's
//           rows; rows is the number of floats between two d or two keys
// P         residues at once, 1 or 2: with two, half as many sums go through memory
// fetched   `fetched` is copied, because a store to scores could change it for all that the compiler knows
template <int V, int N, int P>
ATTNSCOPE_ALONE void score_keys(const float* packed, std::int64_t rows, const float* keys,
                                std::int64_t key_stride, std::int64_t key_dim, float* scores, float* top,
                                Prefetch& fetched) {
    Prefetch ahead = fetched;
    for (int residue = 0; residue < residues; residue += P) {
        Vector sum[P][N][V];
        ATTNSCOPE_UNROLL
        for (int p = 0; p < P; ++p) ATTNSCOPE_UNROLL
        for (int n = 0; n < N; ++n) ATTNSCOPE_UNROLL
        for (int v = 0; v < V; ++v) sum[p][n][v] = zero();
        const std::int64_t most = residue_count(key_dim, residue),
                           least = residue_count(key_dim, residue + P - 1);
        const float* key = keys + residue;
        const auto step = [&](int p, const float* query_rows) ATTNSCOPE_LAMBDA {
            Vector query[V];
            ATTNSCOPE_UNROLL
            for (int v = 0; v < V; ++v) query[v] = load(query_rows + v * lanes);
            ATTNSCOPE_UNROLL
            for (int n = 0; n < N; ++n) {
                const Vector element = broadcast(key[n * key_stride + p]);
                ATTNSCOPE_UNROLL
                for (int v = 0; v < V; ++v) sum[p][n][v] = fma(query[v], element, sum[p][n][v]);
            }
        };
        fetching_ahead<N * P>(ahead, least, [&]() ATTNSCOPE_LAMBDA {
            ATTNSCOPE_UNROLL
            for (int p = 0; p < P; ++p) step(p, packed + p * most * rows);
            packed += rows, key += residues;
        });
        if (P == 2 && least < most) step(0, packed), packed += rows;
        packed += (P - 1) * least * rows;
        ATTNSCOPE_UNROLL
        for (int v = 0; v < V; ++v) {
            Vector largest = load(top + v * lanes);
            ATTNSCOPE_UNROLL
            for (int n = 0; n < N; ++n) {
                float* score = scores + n * rows + v * lanes;
                Vector total = residue == 0 ? sum[0][n][v] : add(load(score), sum[0][n][v]);
                if (P == 2) total = add(total, sum[P - 1][n][v]);
                store(score, total);
                largest = max(total, largest);
            }
            if (residue + P == residues) store(top + v * lanes, largest);
        }
    }
    fetched.line = ahead.line, fetched.row_end = ahead.row_end;
}

// Sums over a block's keys for N columns d of the values, held in registers
template <int V, int N>
struct ColumnSums {
    static constexpr int rows = V * lanes;
    Vector sum[N][V];

    ATTNSCOPE_MEMBER void clear() {
        ATTNSCOPE_UNROLL
        for (int n = 0; n < N; ++n) ATTNSCOPE_UNROLL
        for (int v = 0; v < V; ++v) sum[n][v] = zero();
    }

    // sum[d][rows] += sum over keys of weights[key][rows] * values[key][d]   for the vectors of rows [Low,
    //                                                                        High)
    template <int Low, int High>
    ATTNSCOPE_MEMBER void add_keys(const float* weights, const float* values, std::int64_t value_stride,
                                   std::int64_t key_count, Prefetch& ahead) {
        fetching_ahead<N>(ahead, key_count, [&]() ATTNSCOPE_LAMBDA {
            Vector weight[V];
            ATTNSCOPE_UNROLL
            for (int v = Low; v < High; ++v) weight[v] = load(weights + v * lanes);
            ATTNSCOPE_UNROLL
            for (int n = 0; n < N; ++n) {
                const Vector element = broadcast(values[n]);
                ATTNSCOPE_UNROLL
                for (int v = Low; v < High; ++v) sum[n][v] = fma(weight[v], element, sum[n][v]);
            }
            weights += rows, values += value_stride;
        });
    }

    // output[d][rows] = shrink[rows] * output[d][rows] + sum[d][rows]
    // A block's sum starts at 0 and is then added, so the error grows with the number of blocks, not of keys.
    ATTNSCOPE_MEMBER void add_to(float* output, const float* shrink) const {
        ATTNSCOPE_UNROLL
        for (int n = 0; n < N; ++n) ATTNSCOPE_UNROLL
        for (int v = 0; v < V; ++v) {
            float* cell = output + n * rows + v * lanes;
            store(cell, fma(load(cell), load(shrink + v * lanes), sum[n][v]));
        }
    }
};

// computes  output[d][rows] = shrink[rows] * output[d][rows] + sum over keys of weights[key][rows] *
//           values[key][d] for N columns d, if all rows see all keys of the block
template <int V, int N>
ATTNSCOPE_ALONE void mix_columns(const float* weights, const float* values, std::int64_t value_stride,
                                 std::int64_t key_count, const float* shrink, float* output,
                                 Prefetch& fetched) {
    Prefetch ahead = fetched;
    ColumnSums<V, N> sums;
    sums.clear();
    sums.template add_keys<0, V>(weights, values, value_stride, key_count, ahead);
    sums.add_to(output, shrink);
    fetched.line = ahead.line, fetched.row_end = ahead.row_end;
}

// The same over the keys of some stretches
template <int V, int N>
ATTNSCOPE_ALONE void mix_stretches(const float* weights, const float* values, std::int64_t value_stride,
                                   const Stretch* stretch, const Stretch* stretches_end, const float* shrink,
                                   float* output, Prefetch& fetched) {
    Prefetch ahead = fetched;
    ColumnSums<V, N> sums;
    sums.clear();
    for (; stretch < stretches_end; ++stretch)
        with_vectors<V>(stretch->low, stretch->high, [&]<int Low, int High>() ATTNSCOPE_LAMBDA {
            sums.template add_keys<Low, High>(weights + stretch->first * sums.rows,
                                              values + stretch->first * value_stride, value_stride,
                                              stretch->end - stretch->first, ahead);
        });
    sums.add_to(output, shrink);
    fetched.line = ahead.line, fetched.row_end = ahead.row_end;
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
