// exp2, tanh and log by fixed polynomials, so that every level returns the same bits.
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

// 2^x = 2^n * (1 + f * q(f)),  n = round(x),  f = x - n in [-1/2, 1/2]
// q      minimax for the relative error of 1 + f * q(f): 2.0e-9 before rounding (fitted by reweighted least
//        squares)
// error  at most 1 ulp for -126 <= x <= 0; below about -126.5 the result is 0; exp2(0) = 1 exactly
// NaN    stays NaN: the clamp keeps it (max returns its second argument), and so does the final product
template <int N>
struct Exp2Parts {
    Vector power[N];     // 2^n
    Vector fraction[N];  // f
    Vector q[N];         // (2^f - 1) / f
};

// N vectors at once, step by step: a step depends on the one before, and the other vectors fill the wait
template <int N>
ATTNSCOPE_INLINE Exp2Parts<N> exp2_parts(const Vector (&x)[N]) {
    constexpr float coefficients[] = {0x1.41fbbap-13f, 0x1.5f3e54p-10f, 0x1.3b2d4cp-7f,
                                      0x1.c6aee8p-5f,  0x1.ebfbdcp-3f,  0x1.62e430p-1f};
    // 1.5 * 2^23 + 127: adding it leaves round(x) + 127, a float's exponent field, in the low bits
    const Vector rounder = broadcast(12583039.0f);
    Exp2Parts<N> parts;
    for (int i = 0; i < N; ++i) parts.fraction[i] = max(broadcast(-127.0f), x[i]);
    for (int i = 0; i < N; ++i) parts.power[i] = add(parts.fraction[i], rounder);
    for (int i = 0; i < N; ++i) parts.fraction[i] = sub(parts.fraction[i], sub(parts.power[i], rounder));
    for (int i = 0; i < N; ++i) parts.power[i] = shift_bits_left_23(parts.power[i]);
    for (int i = 0; i < N; ++i) parts.q[i] = broadcast(coefficients[0]);
    for (int c = 1; c < 6; ++c)
        for (int i = 0; i < N; ++i)
            parts.q[i] = fma(parts.q[i], parts.fraction[i], broadcast(coefficients[c]));
    return parts;
}

template <int N>
ATTNSCOPE_INLINE void exp2_not_positive(Vector (&x)[N]) {
    const Exp2Parts<N> parts = exp2_parts(x);
    for (int i = 0; i < N; ++i) x[i] = fma(parts.q[i], parts.fraction[i], broadcast(1.0f));
    for (int i = 0; i < N; ++i) x[i] = mul(x[i], parts.power[i]);
}

ATTNSCOPE_INLINE Vector exp2_not_positive(Vector x) {
    Vector one[1] = {x};
    exp2_not_positive(one);
    return one[0];
}

// tanh(y) = -t / (2 + t) with t = e^(-2|y|) - 1, which keeps its relative accuracy near 0; the sign is y's
ATTNSCOPE_INLINE Vector tanh(Vector y) {
    const Vector sign_bit = broadcast(-0.0f);
    const Vector positive = max(y, sub(sign_bit, y));                     // |y|, or NaN
    const Vector exponent[1] = {mul(positive, broadcast(-2.88539008f))};  // -2 log2(e)
    const Exp2Parts<1> parts = exp2_parts(exponent);
    const Vector t =
        fma(parts.power[0], mul(parts.q[0], parts.fraction[0]), sub(parts.power[0], broadcast(1.0f)));
    const Vector result = div(t, add(broadcast(2.0f), t));  // -tanh(|y|)
    return select(equal(positive, y), sub(sign_bit, result), result);
}

// Natural log of a positive float, in double: log(m 2^e) = e ln 2 + 2 atanh((m - 1) / (m + 1)), m in
// [sqrt(1/2), sqrt(2)]. The series' next term is below 1e-11 of the result, far under a float's half ulp.
ATTNSCOPE_INLINE double log_positive(float a) {
    std::uint32_t bits;
    __builtin_memcpy(&bits, &a, sizeof bits);
    std::int32_t exponent = static_cast<std::int32_t>(bits >> 23) - 127;
    bits = (bits & 0x007fffffu) | 0x3f800000u;
    float mantissa;
    __builtin_memcpy(&mantissa, &bits, sizeof mantissa);
    double m = mantissa;
    if (m > 1.4142135623730951) {
        m *= 0.5;
        exponent += 1;
    }
    const double z = (m - 1.0) / (m + 1.0);
    const double z2 = z * z;
    double series = 1.0 / 13.0;
    for (int odd = 11; odd >= 1; odd -= 2) series = fma_scalar(series, z2, 1.0 / odd);
    return fma_scalar(static_cast<double>(exponent), 0.6931471805599453, 2.0 * z * series);
}

// For tests: function 0 is exp2, function 1 is tanh; count is a multiple of lanes
static void apply_function(int function, const float* from, float* to, std::int64_t count) {
    for (std::int64_t i = 0; i < count; i += lanes)
        store(to + i, function == 0 ? exp2_not_positive(load(from + i)) : tanh(load(from + i)));
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
