// The products of the backward pass that sum over a block: C[n][d] += sum over k of B[k, n] * A[k][d], dims
// in lanes.
//
// order  a block's sum starts at 0, runs over rising k, and is then added: an error grows with the number of
//        blocks. Terms before the first and after the last visible one are exact zeros, so leaving them out
//        changes no bit.
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

// B: `element` floats between two k and `column` between two n
struct Coefficients {
    const float* data;
    std::int64_t element, column;
};

// Which terms of a sum differ from 0
struct Terms {
    std::int64_t first, end;
};

// For V vectors of dims and N columns n; A, C: rows of stride floats
template <int V, int N>
ATTNSCOPE_ALONE void add_product(const float* a, std::int64_t stride, Coefficients b, Terms terms, float* c) {
    Vector sum[N][V];
    ATTNSCOPE_UNROLL
    for (int n = 0; n < N; ++n) ATTNSCOPE_UNROLL
    for (int v = 0; v < V; ++v) sum[n][v] = zero();
    a += terms.first * stride;
    const float* coefficient = b.data + terms.first * b.element;
    for (std::int64_t k = terms.first; k < terms.end; ++k, a += stride, coefficient += b.element) {
        Vector row[V];
        ATTNSCOPE_UNROLL
        for (int v = 0; v < V; ++v) row[v] = load(a + v * lanes);
        ATTNSCOPE_UNROLL
        for (int n = 0; n < N; ++n) {
            const Vector factor = broadcast(coefficient[n * b.column]);
            ATTNSCOPE_UNROLL
            for (int v = 0; v < V; ++v) sum[n][v] = fma(row[v], factor, sum[n][v]);
        }
    }
    ATTNSCOPE_UNROLL
    for (int n = 0; n < N; ++n) ATTNSCOPE_UNROLL
    for (int v = 0; v < V; ++v) {
        float* cell = c + n * stride + v * lanes;
        store(cell, add(load(cell), sum[n][v]));
    }
}

template <int V>
static void add_columns(const float* a, std::int64_t stride, Coefficients b, const Terms* of_column,
                        float* c) {
    std::int64_t n = 0;
    const auto take = [&]<int N>() ATTNSCOPE_LAMBDA {
        for (; n + N <= 64; n += N) {
            Terms terms = of_column[n];
            for (std::int64_t i = n + 1; i < n + N; ++i) {
                terms.first = smaller(terms.first, of_column[i].first);
                terms.end = larger(terms.end, of_column[i].end);
            }
            const Coefficients columns = {b.data + n * b.column, b.element, b.column};
            if (terms.first < terms.end) add_product<V, N>(a, stride, columns, terms, c + n * stride);
        }
    };
    take.template operator()<product_columns>();
    take.template operator()<64 % product_columns>();
}

// All 64 columns n, and all dims. of_column: the terms of each n
static void add_block_product(const float* a, std::int64_t dim, Coefficients b, const Terms* of_column,
                              float* c) {
    const std::int64_t stride = padded(dim), end = whole_vectors(dim);
    std::int64_t d = 0;
    const auto take = [&]<int V>() ATTNSCOPE_LAMBDA {
        for (; d + V * lanes <= end; d += V * lanes) add_columns<V>(a + d, stride, b, of_column, c + d);
    };
    take.template operator()<product_vectors>();
    if constexpr (product_vectors > 2) take.template operator()<2>();
    take.template operator()<1>();
}

// The same if A may hold a NaN or an infinity where a term is hidden: 0 * NaN is NaN, so hidden terms are
// left out. visible[n]: bit k is set if the term is not hidden
static void add_visible_product(const float* a, std::int64_t dim, Coefficients b,
                                const std::uint64_t* visible, float* c) {
    const std::int64_t stride = padded(dim);
    for (std::int64_t n = 0; n < 64; ++n)
        for (std::int64_t d = 0; d < dim; d += lanes) {
            Vector sum = zero();
            for (std::uint64_t bits = visible[n]; bits != 0; bits &= bits - 1) {
                const std::int64_t k = __builtin_ctzll(bits);
                const float coefficient = b.data[k * b.element + n * b.column];
                sum = fma(load(a + k * stride + d), broadcast(coefficient), sum);
            }
            float* cell = c + n * stride + d;
            store(cell, add(load(cell), sum));
        }
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
