// Vectors of the level x86-64-v3: eight float lanes, masks kept in vectors.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "attributes.hpp"

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

constexpr int lanes = 8;
// The most vectors of rows in a tile. The micro-kernels hold vectors x columns sums, or vectors x keys x
// residues sums: 8 or 12 of the 16 registers; the rest is for operands. Fewer than 8 sums would not hide a
// multiply-add's latency.
constexpr int tile_vectors = 3;
constexpr int micro_columns(int vectors) { return vectors == 1 ? 8 : 4; }
constexpr int score_keys_at_once(int vectors) { return vectors == 1 ? 8 : 4; }
constexpr int score_residues_at_once(int) { return 1; }
// Products of the backward pass: 2 vectors of dims x 6 keys or rows of accumulators
constexpr int product_vectors = 2, product_columns = 6;

using Vector = __m256;
using Mask = __m256;

ATTNSCOPE_INLINE Vector load(const float* p) { return _mm256_loadu_ps(p); }
ATTNSCOPE_INLINE void store(float* p, Vector a) { _mm256_storeu_ps(p, a); }
ATTNSCOPE_INLINE Vector broadcast(float a) { return _mm256_set1_ps(a); }
ATTNSCOPE_INLINE Vector zero() { return _mm256_setzero_ps(); }
ATTNSCOPE_INLINE Vector add(Vector a, Vector b) { return _mm256_add_ps(a, b); }
ATTNSCOPE_INLINE Vector sub(Vector a, Vector b) { return _mm256_sub_ps(a, b); }
ATTNSCOPE_INLINE Vector mul(Vector a, Vector b) { return _mm256_mul_ps(a, b); }
ATTNSCOPE_INLINE Vector div(Vector a, Vector b) { return _mm256_div_ps(a, b); }
ATTNSCOPE_INLINE Vector fma(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
// a > b ? a : b, so b if either is NaN
ATTNSCOPE_INLINE Vector max(Vector a, Vector b) { return _mm256_max_ps(a, b); }
ATTNSCOPE_INLINE Mask greater(Vector a, Vector b) { return _mm256_cmp_ps(a, b, _CMP_GT_OQ); }
ATTNSCOPE_INLINE Mask equal(Vector a, Vector b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
ATTNSCOPE_INLINE Mask is_nan(Vector a) { return _mm256_cmp_ps(a, a, _CMP_UNORD_Q); }
ATTNSCOPE_INLINE Vector select(Mask m, Vector yes, Vector no) { return _mm256_blendv_ps(no, yes, m); }
ATTNSCOPE_INLINE bool any(Mask m) { return _mm256_movemask_ps(m) != 0; }
// Bit i: lane i
ATTNSCOPE_INLINE std::uint32_t bits(Mask m) { return static_cast<std::uint32_t>(_mm256_movemask_ps(m)); }
ATTNSCOPE_INLINE Mask test_bit(const std::uint32_t* words, int bit) {
    const __m256i one = _mm256_set1_epi32(static_cast<int>(1u << bit));
    const __m256i found = _mm256_and_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(words)), one);
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(found, one));
}
ATTNSCOPE_INLINE Vector shift_bits_left_23(Vector a) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a), 23));
}
ATTNSCOPE_INLINE Vector widen_bfloat16(const char* p) {
    const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}
// Eight bfloat16: the first four in each half, and the last four
ATTNSCOPE_INLINE void repeat_bfloat16(const char* p, Vector& low, Vector& high) {
    const __m256i eight = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    low = _mm256_castsi256_ps(_mm256_unpacklo_epi16(_mm256_setzero_si256(), eight));
    high = _mm256_castsi256_ps(_mm256_unpackhi_epi16(_mm256_setzero_si256(), eight));
}
ATTNSCOPE_INLINE Vector widen_float16(const char* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
ATTNSCOPE_INLINE Vector widen_int8(const char* p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
// Four floats in each half
ATTNSCOPE_INLINE Vector repeat_four(__m128 a) { return _mm256_set_m128(a, a); }
// Half i, in each half
template <int I>
ATTNSCOPE_INLINE Vector repeat_quarter(Vector a) {
    return _mm256_permute2f128_ps(a, a, I * 0x11);
}
// Element i of each half, four times
template <int I>
ATTNSCOPE_INLINE Vector repeat_element(Vector a) {
    return _mm256_permute_ps(a, I * 0x55);
}
// Within each half: element j of vector i becomes element i of vector j
ATTNSCOPE_INLINE void transpose_quarters(Vector& a, Vector& b, Vector& c, Vector& d) {
    const __m256d ab_low = _mm256_castps_pd(_mm256_unpacklo_ps(a, b)),
                  ab_high = _mm256_castps_pd(_mm256_unpackhi_ps(a, b));
    const __m256d cd_low = _mm256_castps_pd(_mm256_unpacklo_ps(c, d)),
                  cd_high = _mm256_castps_pd(_mm256_unpackhi_ps(c, d));
    a = _mm256_castpd_ps(_mm256_unpacklo_pd(ab_low, cd_low));
    b = _mm256_castpd_ps(_mm256_unpackhi_pd(ab_low, cd_low));
    c = _mm256_castpd_ps(_mm256_unpacklo_pd(ab_high, cd_high));
    d = _mm256_castpd_ps(_mm256_unpackhi_pd(ab_high, cd_high));
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE

#include "x86_four.hpp"
