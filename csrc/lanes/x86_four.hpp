// Four floats, for the transposes between rows in memory and rows in lanes. Both x86 levels.
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

using Four = __m128;

ATTNSCOPE_INLINE Four load_four(const float* p) { return _mm_loadu_ps(p); }
ATTNSCOPE_INLINE void store_four(float* p, Four a) { _mm_storeu_ps(p, a); }
ATTNSCOPE_INLINE Four broadcast_four(float a) { return _mm_set1_ps(a); }
// In double, rounded once: a factor rounded to float32 would move all scores in one direction
ATTNSCOPE_INLINE Four scale_four(Four a, double factor) {
    return _mm256_cvtpd_ps(_mm256_mul_pd(_mm256_cvtps_pd(a), _mm256_set1_pd(factor)));
}
ATTNSCOPE_INLINE Four fma_four(Four a, Four b, Four c) { return _mm_fmadd_ps(a, b, c); }
ATTNSCOPE_INLINE bool any_equal_four(Four a, Four b) { return _mm_movemask_ps(_mm_cmpeq_ps(a, b)) != 0; }
ATTNSCOPE_INLINE void transpose_four(Four& a, Four& b, Four& c, Four& d) { _MM_TRANSPOSE4_PS(a, b, c, d); }
ATTNSCOPE_INLINE Four widen_four_bfloat16(const char* p) {
    return _mm_castsi128_ps(
        _mm_unpacklo_epi16(_mm_setzero_si128(), _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
ATTNSCOPE_INLINE Four widen_four_float16(const char* p) {
    return _mm_cvtph_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
// Rounds to nearest even; a NaN must be the canonical one
ATTNSCOPE_INLINE void narrow_four_bfloat16(char* p, Four a) {
    const __m128i bits = _mm_castps_si128(a),
                  last = _mm_and_si128(_mm_srli_epi32(bits, 16), _mm_set1_epi32(1));
    const __m128i rounded =
        _mm_srli_epi32(_mm_add_epi32(bits, _mm_add_epi32(last, _mm_set1_epi32(0x7fff))), 16);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi32(rounded, rounded));
}
ATTNSCOPE_INLINE void narrow_four_float16(char* p, Four a) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}
ATTNSCOPE_INLINE float float16_to_float(std::uint16_t bits) { return _cvtsh_ss(bits); }
ATTNSCOPE_INLINE std::uint16_t float_to_float16(float a) { return _cvtss_sh(a, _MM_FROUND_TO_NEAREST_INT); }
ATTNSCOPE_INLINE double fma_scalar(double a, double b, double c) {
    return _mm_cvtsd_f64(_mm_fmadd_sd(_mm_set_sd(a), _mm_set_sd(b), _mm_set_sd(c)));
}
// Into the second cache
ATTNSCOPE_INLINE void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1); }

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
