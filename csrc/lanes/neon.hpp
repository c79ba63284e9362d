// Vectors of the level neon (AArch64): four float lanes, masks kept in integer vectors.
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "attributes.hpp"

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

constexpr int lanes = 4;
// The most vectors of rows in a tile. The micro-kernels hold vectors x columns sums, or vectors x keys x
// residues sums: 8 to 24 of the 32 registers; the rest is for operands.
constexpr int tile_vectors = 3;
constexpr int micro_columns(int) { return 8; }
constexpr int score_keys_at_once(int vectors) { return vectors == 3 ? 4 : 8; }
constexpr int score_residues_at_once(int vectors) { return vectors == 2 ? 1 : 2; }
// Products of the backward pass: 4 vectors of dims x 6 keys or rows of accumulators
constexpr int product_vectors = 4, product_columns = 6;

using Vector = float32x4_t;
using Mask = uint32x4_t;

ATTNSCOPE_INLINE Vector load(const float* p) { return vld1q_f32(p); }
ATTNSCOPE_INLINE void store(float* p, Vector a) { vst1q_f32(p, a); }
ATTNSCOPE_INLINE Vector broadcast(float a) { return vdupq_n_f32(a); }
ATTNSCOPE_INLINE Vector zero() { return vdupq_n_f32(0.0f); }
ATTNSCOPE_INLINE Vector add(Vector a, Vector b) { return vaddq_f32(a, b); }
ATTNSCOPE_INLINE Vector sub(Vector a, Vector b) { return vsubq_f32(a, b); }
ATTNSCOPE_INLINE Vector mul(Vector a, Vector b) { return vmulq_f32(a, b); }
ATTNSCOPE_INLINE Vector div(Vector a, Vector b) { return vdivq_f32(a, b); }
ATTNSCOPE_INLINE Vector fma(Vector a, Vector b, Vector c) { return vfmaq_f32(c, a, b); }
// a > b ? a : b, so b if either is NaN (vmaxq would return the NaN)
ATTNSCOPE_INLINE Vector max(Vector a, Vector b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
ATTNSCOPE_INLINE Mask greater(Vector a, Vector b) { return vcgtq_f32(a, b); }
ATTNSCOPE_INLINE Mask equal(Vector a, Vector b) { return vceqq_f32(a, b); }
ATTNSCOPE_INLINE Mask is_nan(Vector a) { return vmvnq_u32(vceqq_f32(a, a)); }
ATTNSCOPE_INLINE Vector select(Mask m, Vector yes, Vector no) { return vbslq_f32(m, yes, no); }
ATTNSCOPE_INLINE bool any(Mask m) { return vmaxvq_u32(m) != 0; }
// Bit i: lane i
ATTNSCOPE_INLINE std::uint32_t bits(Mask m) {
    const std::uint32_t each[4] = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(m, vld1q_u32(each)));
}
ATTNSCOPE_INLINE Mask test_bit(const std::uint32_t* words, int bit) {
    return vtstq_u32(vld1q_u32(words), vdupq_n_u32(1u << bit));
}
ATTNSCOPE_INLINE Vector shift_bits_left_23(Vector a) {
    return vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(a), 23));
}
ATTNSCOPE_INLINE Vector widen_bfloat16(const char* p) {
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(reinterpret_cast<const std::uint16_t*>(p)), 16));
}
ATTNSCOPE_INLINE void repeat_bfloat16(const char* p, Vector& low, Vector& high) {
    low = widen_bfloat16(p), high = widen_bfloat16(p + 8);
}
ATTNSCOPE_INLINE Vector widen_float16(const char* p) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(reinterpret_cast<const std::uint16_t*>(p))));
}
ATTNSCOPE_INLINE Vector widen_int8(const char* p) {
    std::uint32_t four;
    __builtin_memcpy(&four, p, sizeof four);
    const int16x8_t wide = vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(four)));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
}

using Four = float32x4_t;

ATTNSCOPE_INLINE Four load_four(const float* p) { return vld1q_f32(p); }
ATTNSCOPE_INLINE void store_four(float* p, Four a) { vst1q_f32(p, a); }
ATTNSCOPE_INLINE Four broadcast_four(float a) { return vdupq_n_f32(a); }
// In double, rounded once: a factor rounded to float32 would move all scores in one direction
ATTNSCOPE_INLINE Four scale_four(Four a, double factor) {
    const float64x2_t low = vmulq_n_f64(vcvt_f64_f32(vget_low_f32(a)), factor);
    const float64x2_t high = vmulq_n_f64(vcvt_high_f64_f32(a), factor);
    return vcvt_high_f32_f64(vcvt_f32_f64(low), high);
}
ATTNSCOPE_INLINE Four fma_four(Four a, Four b, Four c) { return vfmaq_f32(c, a, b); }
ATTNSCOPE_INLINE bool any_equal_four(Four a, Four b) { return vmaxvq_u32(vceqq_f32(a, b)) != 0; }
ATTNSCOPE_INLINE void transpose_four(Four& a, Four& b, Four& c, Four& d) {
    const float32x4x2_t ab = vtrnq_f32(a, b);
    const float32x4x2_t cd = vtrnq_f32(c, d);
    a = vcombine_f32(vget_low_f32(ab.val[0]), vget_low_f32(cd.val[0]));
    b = vcombine_f32(vget_low_f32(ab.val[1]), vget_low_f32(cd.val[1]));
    c = vcombine_f32(vget_high_f32(ab.val[0]), vget_high_f32(cd.val[0]));
    d = vcombine_f32(vget_high_f32(ab.val[1]), vget_high_f32(cd.val[1]));
}
ATTNSCOPE_INLINE Vector repeat_four(Four a) { return a; }
template <int I>
ATTNSCOPE_INLINE Vector repeat_quarter(Vector a) {
    return a;
}
template <int I>
ATTNSCOPE_INLINE Vector repeat_element(Vector a) {
    return vdupq_laneq_f32(a, I);
}
ATTNSCOPE_INLINE void transpose_quarters(Vector& a, Vector& b, Vector& c, Vector& d) {
    transpose_four(a, b, c, d);
}
ATTNSCOPE_INLINE Four widen_four_bfloat16(const char* p) { return widen_bfloat16(p); }
ATTNSCOPE_INLINE Four widen_four_float16(const char* p) { return widen_float16(p); }
// Rounds to nearest even; a NaN must be the canonical one
ATTNSCOPE_INLINE void narrow_four_bfloat16(char* p, Four a) {
    const uint32x4_t bits = vreinterpretq_u32_f32(a), last = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    vst1_u16(reinterpret_cast<std::uint16_t*>(p),
             vshrn_n_u32(vaddq_u32(bits, vaddq_u32(last, vdupq_n_u32(0x7fff))), 16));
}
ATTNSCOPE_INLINE void narrow_four_float16(char* p, Four a) {
    vst1_u16(reinterpret_cast<std::uint16_t*>(p), vreinterpret_u16_f16(vcvt_f16_f32(a)));
}
ATTNSCOPE_INLINE float float16_to_float(std::uint16_t bits) {
    return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(bits))), 0);
}
ATTNSCOPE_INLINE std::uint16_t float_to_float16(float a) {
    return vget_lane_u16(vreinterpret_u16_f16(vcvt_f16_f32(vdupq_n_f32(a))), 0);
}
ATTNSCOPE_INLINE double fma_scalar(double a, double b, double c) {
    return vget_lane_f64(vfma_f64(vdup_n_f64(c), vdup_n_f64(a), vdup_n_f64(b)), 0);
}
// Into the second cache
ATTNSCOPE_INLINE void prefetch(const void* p) { __builtin_prefetch(p, 0, 2); }

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
