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

// computes   scores[n][rows] = sum over d of packed[d][rows] * keys[n][d]      for N keys
// layout     packed: residue 0's d in rising order, then residue 1's, ...; V vectors of rows each
// P          residues at once, 1 or 2: with two, half as many sums go through memory
template <int V, int N, int P>
static inline void score_keys(const float* packed, const float* keys, std::int64_t key_stride, std::int64_t key_dim,
                              float* scores) {
    constexpr int rows = V * lanes;
    for (int residue = 0; residue < residues; residue += P) {
        Vector sum[P][N][V];
        for (int p = 0; p < P; ++p)
            for (int n = 0; n < N; ++n)
                for (int v = 0; v < V; ++v) sum[p][n][v] = zero();
        const std::int64_t most = residue_count(key_dim, residue), least = residue_count(key_dim, residue + P - 1);
        const float* key = keys + residue;
        const auto step = [&](int p, const float* query_rows) ATTNSCOPE_LAMBDA {
            Vector query[V];
            for (int v = 0; v < V; ++v) query[v] = load(query_rows + v * lanes);
            for (int n = 0; n < N; ++n) {
                const Vector element = broadcast(key[n * key_stride + p]);
                for (int v = 0; v < V; ++v) sum[p][n][v] = fma(query[v], element, sum[p][n][v]);
            }
        };
        for (std::int64_t i = 0; i < least; ++i, packed += rows, key += residues)
            for (int p = 0; p < P; ++p) step(p, packed + p * most * rows);
        if (P == 2 && least < most) step(0, packed), packed += rows;
        packed += (P - 1) * least * rows;
        for (int n = 0; n < N; ++n)
            for (int v = 0; v < V; ++v) {
                float* score = scores + n * rows + v * lanes;
                Vector total = residue == 0 ? sum[0][n][v] : add(load(score), sum[0][n][v]);
                if (P == 2) total = add(total, sum[P - 1][n][v]);
                store(score, total);
            }
    }
}

// A block's sum begins at 0 and is then added to those before it, so that the error grows with the number of blocks
// and not with the number of keys.
//
// computes   output[d][rows] = shrink[rows] * output[d][rows] + sum over keys of weights[key][rows] * values[key][d]
template <int V, int N>
static inline void mix_columns(const float* weights, const float* values, std::int64_t value_stride,
                               std::int64_t key_count, const Vector* shrink, float* output) {
    constexpr int rows = V * lanes;
    Vector sum[N][V];
    for (int n = 0; n < N; ++n)
        for (int v = 0; v < V; ++v) sum[n][v] = zero();
    for (std::int64_t k = 0; k < key_count; ++k, weights += rows, values += value_stride) {
        Vector weight[V];
        for (int v = 0; v < V; ++v) weight[v] = load(weights + v * lanes);
        for (int n = 0; n < N; ++n) {
            const Vector element = broadcast(values[n]);
            for (int v = 0; v < V; ++v) sum[n][v] = fma(weight[v], element, sum[n][v]);
        }
    }
    for (int n = 0; n < N; ++n)
        for (int v = 0; v < V; ++v) {
            float* cell = output + n * rows + v * lanes;
            store(cell, fma(load(cell), shrink[v], sum[n][v]));
        }
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
