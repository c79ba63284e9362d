// Conversion between the number formats of memory and the float32 of the arithmetic.
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

ATTNSCOPE_INLINE constexpr std::int64_t item_bytes(Format format) {
    return format == Format::float32 ? 4 : format == Format::int8 ? 1 : 2;
}

ATTNSCOPE_INLINE float read_float(const char* p, Format format) {
    if (format == Format::int8) return static_cast<float>(static_cast<signed char>(*p));
    if (format == Format::float32) {
        float a;
        __builtin_memcpy(&a, p, sizeof a);
        return a;
    }
    std::uint16_t half;
    __builtin_memcpy(&half, p, sizeof half);
    if (format == Format::float16) return float16_to_float(half);
    const std::uint32_t bits = static_cast<std::uint32_t>(half) << 16;
    float a;
    __builtin_memcpy(&a, &bits, sizeof a);
    return a;
}

// Rounds to nearest even. A NaN is the canonical NaN here (see normalize), which rounds to itself.
ATTNSCOPE_INLINE void write_float(char* p, float a, Format format) {
    if (format == Format::float32) {
        __builtin_memcpy(p, &a, sizeof a);
        return;
    }
    std::uint16_t half;
    if (format == Format::float16) {
        half = float_to_float16(a);
    } else {
        std::uint32_t bits;
        __builtin_memcpy(&bits, &a, sizeof bits);
        half = static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
    }
    __builtin_memcpy(p, &half, sizeof half);
}

// Four elements of a row from `at` on; elements past `count` are 0 and are not read
ATTNSCOPE_INLINE Four read_four(const char* row, std::int64_t at, std::int64_t count, Format format) {
    const std::int64_t bytes = item_bytes(format);
    if (at + 4 <= count) {
        if (format == Format::float32) return load_four(reinterpret_cast<const float*>(row + at * bytes));
        if (format == Format::bfloat16) return widen_four_bfloat16(row + at * bytes);
        if (format == Format::float16) return widen_four_float16(row + at * bytes);
    }
    float four[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    for (std::int64_t i = 0; i < 4 && at + i < count; ++i)
        four[i] = read_float(row + (at + i) * bytes, format);
    return load_four(four);
}

// One vector of a row in memory; only int8 uses the scale
template <Format F>
ATTNSCOPE_INLINE Vector widen(const char* p, Vector scale) {
    if constexpr (F == Format::float32) return load(reinterpret_cast<const float*>(p));
    if constexpr (F == Format::bfloat16) return widen_bfloat16(p);
    if constexpr (F == Format::float16) return widen_float16(p);
    if constexpr (F == Format::int8) return mul(widen_int8(p), scale);
}

template <Format F>
static inline void widen_row_of(const char* row, std::int64_t dim, float scale, float* wide) {
    std::int64_t d = 0;
    for (; d + lanes <= dim; d += lanes) store(wide + d, widen<F>(row + d * item_bytes(F), broadcast(scale)));
    for (; d < dim; ++d) {
        wide[d] = read_float(row + d * item_bytes(F), F);
        if constexpr (F == Format::int8) wide[d] *= scale;
    }
}

// Calls body<format>()
template <typename Body>
ATTNSCOPE_INLINE void with_format(Format format, const Body& body) {
    switch (format) {
        case Format::float32: return body.template operator()<Format::float32>();
        case Format::bfloat16: return body.template operator()<Format::bfloat16>();
        case Format::float16: return body.template operator()<Format::float16>();
        case Format::int8: return body.template operator()<Format::int8>();
    }
}

static void widen_row(const char* row, std::int64_t dim, Format format, float scale, float* wide) {
    with_format(format, [&]<Format F>() { widen_row_of<F>(row, dim, scale, wide); });
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
