// Choices and strided arrays for made-up calls: from a number, or from the bytes of a fuzzer.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <utility>
#include <vector>

#include "../kernel_table.hpp"

namespace attnscope {

// Draws numbers, the same on every machine: from a seed, or from bytes, after whose end all numbers are 0
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(0x9e3779b97f4a7c15u + seed * 7919u) {
        for (int i = 0; i < 8; ++i) next();
    }
    Random(const std::uint8_t* bytes, std::size_t count) : at_(bytes), end_(bytes + count) {}

    std::int64_t below(std::int64_t end) {
        if (state_ != 0) return static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(end));
        std::int64_t drawn = 0;
        for (std::int64_t range = 1; range < end && at_ != end_; range *= 256) drawn = drawn * 256 + *at_++;
        return drawn % end;
    }
    std::int64_t between(std::int64_t first, std::int64_t last) { return first + below(last - first + 1); }
    // Not for the bytes 0 and 255, of which fuzzers make many
    bool one_in(std::int64_t many) { return below(many) == many * 5 / 8; }
    // in [-2, 2], exact in every format
    float number() { return static_cast<float>(below(513) - 256) / 128.0f; }

private:
    std::uint64_t next() {
        state_ ^= state_ << 13, state_ ^= state_ >> 7, state_ ^= state_ << 17;
        return state_;
    }
    std::uint64_t state_ = 0;
    const std::uint8_t *at_ = nullptr, *end_ = nullptr;
};

inline std::int64_t item_bytes(Format format) {
    return format == Format::float32 ? 4 : format == Format::int8 ? 1 : 2;
}

// The bits of a number that every format has exactly; int8 gets 32 times the number
inline std::uint32_t bits_of(float number, Format format) {
    const auto bits = std::bit_cast<std::uint32_t>(number);
    if (format == Format::int8) return static_cast<std::uint32_t>(static_cast<std::int32_t>(number * 32.0f));
    if (format == Format::bfloat16) return bits >> 16;
    if (format == Format::float32) return bits;
    return number == 0.0f
               ? 0
               : (bits >> 16 & 0x8000u) | (((bits >> 23 & 255u) - 112u) << 10) | (bits >> 13 & 1023u);
}

// NaN, infinities, the largest and smallest numbers, -0; of int8, which has none, the ends of its range
inline std::uint32_t extreme_bits(std::int64_t which, Format format) {
    static constexpr std::array<std::uint32_t, 8> wide = {0x7fc00000, 0x7f800000, 0xff800000, 0x7f7fffff,
                                                          0xff7fffff, 0x00000001, 0x00800000, 0x80000000};
    static constexpr std::array<std::uint32_t, 8> half = {0x7e00, 0x7c00, 0xfc00, 0x7bff,
                                                          0xfbff, 0x0001, 0x0400, 0x8000};
    const auto at = static_cast<std::size_t>(which);
    if (format == Format::float32) return wide[at];
    if (format == Format::bfloat16) return at == 5 ? 1 : wide[at] >> 16;
    return format == Format::float16 ? half[at] : 127u + static_cast<std::uint32_t>(at % 2);
}

// The memory of an array [batch][head][token][dim] of which no byte is spare, so that a sanitizer sees each
// read and write beside it
class Memory {
public:
    std::array<std::int64_t, 3> shape, strides;  // without the last axis; in bytes
    std::int64_t dim, item;

    // Any order of the axes, gaps, and axes that run backwards; if only read, also axes of stride 0
    Memory(Random& random, std::array<std::int64_t, 3> sizes, std::int64_t last, Format format,
           bool read_only)
        : shape(sizes), dim(last), item(item_bytes(format)) {
        std::array<int, 3> order = {2, 1, 0};
        const bool plain = !random.one_in(2);
        if (!plain) std::swap(order[static_cast<std::size_t>(random.below(3))], order[0]);
        std::int64_t stride = dim * item;
        for (const int axis : order) {
            const auto a = static_cast<std::size_t>(axis);
            if (!plain) stride += item * random.below(4);
            const bool shared = !plain && read_only && random.one_in(8);
            strides[a] = shared ? 0 : stride;
            if (!shared) stride *= shape[a];
            if (!plain && random.one_in(8)) strides[a] = -strides[a];
        }
        std::int64_t last_row = 0;
        for (std::size_t a = 0; a < 3; ++a) {
            const std::int64_t reach = strides[a] * (shape[a] - 1);
            if (reach < 0) first_ -= reach;
            last_row += reach < 0 ? -reach : reach;
        }
        bytes_.resize(static_cast<std::size_t>(rows() == 0 ? 0 : last_row + dim * item));
        if (rows() == 0) first_ = 0;
        bytes_.reserve(1);  // as NumPy, whose empty arrays have an address
    }

    std::int64_t rows() const { return shape[0] * shape[1] * shape[2]; }
    std::vector<char>& bytes() { return bytes_; }
    char* row(std::int64_t b, std::int64_t h, std::int64_t t) {
        return bytes_.data() + first_ + b * strides[0] + h * strides[1] + t * strides[2];
    }
    template <typename Byte>
    StridedArray<Byte> view() {
        return {.data = bytes_.data() + first_,
                .batch_stride = strides[0],
                .head_stride = strides[1],
                .token_stride = strides[2]};
    }

    // Ordinary numbers or, if asked for, some extreme ones among them, or any bits at all; repeated after a
    // prime number of them
    void fill(Random& random, Format format, bool extremes) {
        const std::int64_t kind = extremes ? random.below(4) : 0;
        Random numbers(static_cast<std::uint64_t>(random.below(1 << 16)));
        const auto count = std::min(bytes_.size(), static_cast<std::size_t>(251 * item));
        for (std::size_t at = 0; at < count; at += static_cast<std::size_t>(item)) {
            std::uint32_t bits = bits_of(numbers.number(), format);
            if (kind == 1 && numbers.one_in(16)) bits = extreme_bits(numbers.below(8), format);
            if (kind == 2) bits = static_cast<std::uint32_t>(numbers.below(std::int64_t{1} << 32));
            if (kind == 3) bits = extreme_bits(3 + numbers.below(5), format);
            std::memcpy(bytes_.data() + at, &bits, static_cast<std::size_t>(item));  // little-endian
        }
        for (std::size_t at = count; at < bytes_.size(); at += count)
            std::memcpy(bytes_.data() + at, bytes_.data(), std::min(count, bytes_.size() - at));
    }

private:
    std::vector<char> bytes_;
    std::int64_t first_ = 0;
};

}  // namespace attnscope
