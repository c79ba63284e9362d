// Vectors of the level x86-64-v4: sixteen float lanes, mask registers.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "attributes.hpp"

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

constexpr int lanes = 16;
// The most vectors of rows in a tile. The micro-kernels hold vectors x columns sums, or vectors x keys x
// residues sums: 8 to 24 of the 32 registers; the rest is for operands.
constexpr int tile_vectors = 3;
constexpr int micro_columns(int) { return 8; }
constexpr int score_keys_at_once(int vectors) { return vectors == 3 ? 4 : 8; }
constexpr int score_residues_at_once(int vectors) { return vectors == 2 ? 1 : 2; }
// Products of the backward pass: 4 vectors of dims x 6 keys or rows of accumulators
constexpr int product_vectors = 4, product_columns = 6;

using Vector = __m512;
using Mask = __mmask16;

ATTNSCOPE_INLINE Vector load(const float* p) { return _mm512_loadu_ps(p); }
ATTNSCOPE_INLINE void store(float* p, Vector a) { _mm512_storeu_ps(p, a); }
ATTNSCOPE_INLINE Vector broadcast(float a) { return _mm512_set1_ps(a); }
ATTNSCOPE_INLINE Vector zero() { return _mm512_setzero_ps(); }
ATTNSCOPE_INLINE Vector add(Vector a, Vector b) { return _mm512_add_ps(a, b); }
ATTNSCOPE_INLINE Vector sub(Vector a, Vector b) { return _mm512_sub_ps(a, b); }
ATTNSCOPE_INLINE Vector mul(Vector a, Vector b) { return _mm512_mul_ps(a, b); }
ATTNSCOPE_INLINE Vector div(Vector a, Vector b) { return _mm512_div_ps(a, b); }
ATTNSCOPE_INLINE Vector fma(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
// a > b ? a : b, so b if either is NaN
ATTNSCOPE_INLINE Vector max(Vector a, Vector b) { return _mm512_max_ps(a, b); }
ATTNSCOPE_INLINE Mask greater(Vector a, Vector b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
ATTNSCOPE_INLINE Mask equal(Vector a, Vector b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
ATTNSCOPE_INLINE Mask is_nan(Vector a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
ATTNSCOPE_INLINE Vector select(Mask m, Vector yes, Vector no) { return _mm512_mask_blend_ps(m, no, yes); }
ATTNSCOPE_INLINE bool any(Mask m) { return m != 0; }
// Bit i: lane i
ATTNSCOPE_INLINE std::uint32_t bits(Mask m) { return m; }
ATTNSCOPE_INLINE Mask test_bit(const std::uint32_t* words, int bit) {
    return _mm512_test_epi32_mask(_mm512_loadu_si512(words), _mm512_set1_epi32(static_cast<int>(1u << bit)));
}
ATTNSCOPE_INLINE Vector shift_bits_left_23(Vector a) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(a), 23));
}
ATTNSCOPE_INLINE Vector widen_bfloat16(const char* p) {
    const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}
// Eight bfloat16: the first four in each quarter, and the last four
ATTNSCOPE_INLINE void repeat_bfloat16(const char* p, Vector& low, Vector& high) {
    const __m512i eight = _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    low = _mm512_castsi512_ps(_mm512_unpacklo_epi16(_mm512_setzero_si512(), eight));
    high = _mm512_castsi512_ps(_mm512_unpackhi_epi16(_mm512_setzero_si512(), eight));
}
ATTNSCOPE_INLINE Vector widen_float16(const char* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
ATTNSCOPE_INLINE Vector widen_int8(const char* p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
// Four floats in each quarter
ATTNSCOPE_INLINE Vector repeat_four(__m128 a) { return _mm512_broadcast_f32x4(a); }
// Quarter i, in each quarter
template <int I>
ATTNSCOPE_INLINE Vector repeat_quarter(Vector a) {
    return _mm512_shuffle_f32x4(a, a, I * 0x55);
}
// Element i of each quarter, four times
template <int I>
ATTNSCOPE_INLINE Vector repeat_element(Vector a) {
    return _mm512_permute_ps(a, I * 0x55);
}
// Within each quarter: element j of vector i becomes element i of vector j
ATTNSCOPE_INLINE void transpose_quarters(Vector& a, Vector& b, Vector& c, Vector& d) {
    const __m512d ab_low = _mm512_castps_pd(_mm512_unpacklo_ps(a, b)),
                  ab_high = _mm512_castps_pd(_mm512_unpackhi_ps(a, b));
    const __m512d cd_low = _mm512_castps_pd(_mm512_unpacklo_ps(c, d)),
                  cd_high = _mm512_castps_pd(_mm512_unpackhi_ps(c, d));
    a = _mm512_castpd_ps(_mm512_unpacklo_pd(ab_low, cd_low));
    b = _mm512_castpd_ps(_mm512_unpackhi_pd(ab_low, cd_low));
    c = _mm512_castpd_ps(_mm512_unpacklo_pd(ab_high, cd_high));
    d = _mm512_castpd_ps(_mm512_unpackhi_pd(ab_high, cd_high));
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE

#include "x86_four.hpp"
