// The two matrix products of a block of keys, both as C[n][rows] (+)= sum over k of A[k][rows] * B[k, n].
// B's elements are broadcast from where they lie; nothing is transposed, nothing is copied.
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

// A row's score is four partial sums over d mod 4, each in rising d, added left to right: the order that
// lanes-over-d (one query) and lanes-over-rows (many) can both keep.
constexpr int residues = 4;

// How many d < dim leave this residue modulo 4
ATTNSCOPE_INLINE std::int64_t residue_count(std::int64_t dim, int residue) { return (dim + 3 - residue) / residues; }

// Takes the step `count` times and fetches a line now and then: as many lines as the steps read of `floats` each. What is
// done between two lines is unrolled.
template <int floats, typename Step>
ATTNSCOPE_INLINE void fetching_ahead(Ahead& ahead, std::int64_t count, const Step& step) {
    constexpr int steps_a_line = floats >= 16 ? 1 : floats >= 8 ? 2 : 4;
    std::int64_t i = 0;
    for (; i + steps_a_line <= count; i += steps_a_line) {
        ahead.step();
        ATTNSCOPE_UNROLL
        for (int s = 0; s < steps_a_line; ++s) step();
    }
    for (; i < count; ++i) step();
}

// computes   scores[n][rows] = sum over d of packed[d][rows] * keys[n][d]      for N keys;
//            top[rows] = max(top[rows], scores of the N keys); a NaN is passed over
// layout     packed: residue 0's d in rising order, then residue 1's, ...; V of the tile's vectors of rows, whose d and
//            keys are `rows` floats apart
// P          residues at once, 1 or 2: with two, half as many sums go through memory
template <int V, int N, int P>
ATTNSCOPE_ALONE void score_keys(const float* packed, std::int64_t rows, const float* keys, std::int64_t key_stride,
                                std::int64_t key_dim, float* scores, float* top, Ahead& rows_ahead) {
    Ahead ahead = rows_ahead;
    for (int residue = 0; residue < residues; residue += P) {
        Vector sum[P][N][V];
        ATTNSCOPE_UNROLL
        for (int p = 0; p < P; ++p)
            ATTNSCOPE_UNROLL
            for (int n = 0; n < N; ++n)
                ATTNSCOPE_UNROLL
                for (int v = 0; v < V; ++v) sum[p][n][v] = zero();
        const std::int64_t most = residue_count(key_dim, residue), least = residue_count(key_dim, residue + P - 1);
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
    rows_ahead = ahead;
}

// Sums over a block's keys for N columns d of the values, while they are in registers
template <int V, int N>
struct ColumnSums {
    static constexpr int rows = V * lanes;
    Vector sum[N][V];

    ATTNSCOPE_MEMBER void clear() {
        ATTNSCOPE_UNROLL
        for (int n = 0; n < N; ++n)
            ATTNSCOPE_UNROLL
            for (int v = 0; v < V; ++v) sum[n][v] = zero();
    }

    // sum[d][rows] += sum over keys of weights[key][rows] * values[key][d], for the vectors of rows from Low to before High
    template <int Low, int High>
    ATTNSCOPE_MEMBER void add_keys(const float* weights, const float* values, std::int64_t value_stride, std::int64_t key_count,
                                   Ahead& ahead) {
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

    // A block's sum begins at 0 and is then added to those before it, so that the error grows with the number of blocks
    // and not with the number of keys: output[d][rows] = shrink[rows] * output[d][rows] + sum[d][rows]
    ATTNSCOPE_MEMBER void add_to(float* output, const float* shrink) const {
        ATTNSCOPE_UNROLL
        for (int n = 0; n < N; ++n)
            ATTNSCOPE_UNROLL
            for (int v = 0; v < V; ++v) {
                float* cell = output + n * rows + v * lanes;
                store(cell, fma(load(cell), load(shrink + v * lanes), sum[n][v]));
            }
    }
};

// computes   output[d][rows] = shrink[rows] * output[d][rows] + sum over keys of weights[key][rows] * values[key][d]
//            for N columns d, where all rows see all of a block's keys
template <int V, int N>
ATTNSCOPE_ALONE void mix_columns(const float* weights, const float* values, std::int64_t value_stride, std::int64_t key_count,
                                 const float* shrink, float* output, Ahead& rows_ahead) {
    Ahead ahead = rows_ahead;
    ColumnSums<V, N> sums;
    sums.clear();
    sums.template add_keys<0, V>(weights, values, value_stride, key_count, ahead);
    sums.add_to(output, shrink);
    rows_ahead = ahead;
}

// The same for the keys of some stretches
template <int V, int N>
ATTNSCOPE_ALONE void mix_stretches(const float* weights, const float* values, std::int64_t value_stride, const Stretch* stretch,
                                  const Stretch* stretches_end, const float* shrink, float* output, Ahead& rows_ahead) {
    Ahead ahead = rows_ahead;
    ColumnSums<V, N> sums;
    sums.clear();
    for (; stretch < stretches_end; ++stretch)
        with_vectors<V>(stretch->low, stretch->high, [&]<int Low, int High>() ATTNSCOPE_LAMBDA {
            sums.template add_keys<Low, High>(weights + stretch->first * sums.rows, values + stretch->first * value_stride,
                                              value_stride, stretch->end - stretch->first, ahead);
        });
    sums.add_to(output, shrink);
    rows_ahead = ahead;
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
