// The keys and values of one kv head where they are in memory, and a block of them as a matrix.
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

// The keys or the values of one kv head
struct Stored {
    const AttentionCall& call;
    const InputArray& array;
    const InputArray& scales;
    std::int64_t batch, kv_head, dim;

    std::int64_t row_bytes() const { return dim * item_bytes(call.key_value_format); }
    const char* row(std::int64_t token) const { return address(array, token); }
    const char* scale_of(std::int64_t token) const {
        return scales.data == nullptr ? nullptr : address(scales, token);
    }
    float scale(std::int64_t token) const {
        return scales.data == nullptr ? 1.0f : read_float(scale_of(token), Format::float32);
    }
    // How many tokens from this one on follow each other at the array's stride
    std::int64_t run(std::int64_t token) const {
        const Pages& pages = call.pages;
        return pages.table == nullptr ? call.key_len - token : pages.page_tokens - token % pages.page_tokens;
    }
    // Whether the tokens [first, end) follow each other at the array's stride, possibly across pages
    bool side_by_side(std::int64_t first, std::int64_t end) const {
        for (std::int64_t token = first + run(first); token < end; token += run(token))
            if (row(token) != row(first) + (token - first) * array.token_stride ||
                scale_of(token) != scale_of(first) + (token - first) * scales.token_stride)
                return false;
        return true;
    }
    // Calls body(token, row) for the tokens [first, end)
    template <typename Body>
    void for_each_row(std::int64_t first, std::int64_t end, const Body& body) const {
        for (std::int64_t token = first; token < end;) {
            const char* at = row(token);
            const std::int64_t run_end = smaller(token + run(token), end);
            for (; token < run_end; ++token, at += array.token_stride) body(token, at);
        }
    }

private:
    const char* address(const InputArray& of, std::int64_t token) const {
        const Pages& pages = call.pages;
        std::int64_t outer = batch;
        if (pages.table != nullptr) {
            outer = pages.table[batch * pages.table_stride + token / pages.page_tokens];
            token %= pages.page_tokens;
        }
        return of.data + outer * of.batch_stride + kv_head * of.head_stride + token * of.token_stride;
    }
};

struct KeysAndValues {
    Stored keys, values;
};

// The addresses of a block's rows and scales, if its pages do not follow each other
struct Scattered {
    const char *rows[block_keys], *scales[block_keys];
};

// A block's keys or values [key][dim]: in place, or a widened copy
struct Matrix {
    const char* data;
    std::int64_t stride;  // in bytes
    std::int64_t rows;
    Format format;
    const char* scales = nullptr;  // int8: the scale of row 0
    std::int64_t scale_stride = 0;
    const Scattered* scattered = nullptr;  // not null: the rows have addresses of their own

    const char* row(std::int64_t i) const {
        return scattered == nullptr ? data + i * stride : scattered->rows[i];
    }
    // float32 rows at one stride
    const float* floats(std::int64_t i) const { return reinterpret_cast<const float*>(data + i * stride); }
    std::int64_t float_stride() const { return stride / static_cast<std::int64_t>(sizeof(float)); }
    float scale(std::int64_t i) const {
        if (scales == nullptr) return 1.0f;
        return read_float(scattered == nullptr ? scales + i * scale_stride : scattered->scales[i],
                          Format::float32);
    }
    float element(std::int64_t i, std::int64_t d) const {
        const float read = read_float(row(i) + d * item_bytes(format), format);
        return format == Format::int8 ? read * scale(i) : read;
    }
};

// A block's keys or values copied to float32 rows without gaps, kept for the tiles that read the block next
struct Widened {
    float* floats;
    std::int64_t first, count;
};

ATTNSCOPE_ALONE void widen_rows(const Stored& stored, std::int64_t first, std::int64_t count, Widened& wide) {
    float* to = wide.floats;
    stored.for_each_row(first, first + count, [&](std::int64_t token, const char* row) ATTNSCOPE_LAMBDA {
        widen_row(row, stored.dim, stored.call.key_value_format, stored.scale(token), to);
        to += stored.dim;
    });
    wide.first = first;
    wide.count = count;
}

// Writes the addresses of the rows [first, end) and, if there are any, of their scales
ATTNSCOPE_ALONE void list_rows(const Stored& stored, std::int64_t first, std::int64_t end, const char** rows,
                               const char** scales) {
    stored.for_each_row(first, end, [&](std::int64_t token, const char* row) ATTNSCOPE_LAMBDA {
        rows[token - first] = row;
        if (scales != nullptr) scales[token - first] = stored.scale_of(token);
    });
}

// The rows in place, or at their own addresses if they do not follow each other
static inline Matrix rows_in_place(const Stored& stored, std::int64_t first, std::int64_t count,
                                   Scattered& scattered) {
    const bool side_by_side = stored.side_by_side(first, first + count);
    if (!side_by_side) list_rows(stored, first, first + count, scattered.rows, scattered.scales);
    return {.data = stored.row(first),
            .stride = stored.array.token_stride,
            .rows = count,
            .format = stored.call.key_value_format,
            .scales = stored.scale_of(first),
            .scale_stride = stored.scales.token_stride,
            .scattered = side_by_side ? nullptr : &scattered};
}

// The rows as float32 at one stride: in place if they are so in memory, else widened
static inline Matrix rows_as_floats(const Stored& stored, std::int64_t first, std::int64_t count,
                                    Widened& wide) {
    if (stored.call.key_value_format == Format::float32 && stored.side_by_side(first, first + count))
        return {.data = stored.row(first),
                .stride = stored.array.token_stride,
                .rows = count,
                .format = Format::float32};
    if (wide.first != first || wide.count < count) widen_rows(stored, first, count, wide);
    return {.data = reinterpret_cast<const char*>(wide.floats),
            .stride = stored.dim * static_cast<std::int64_t>(sizeof(float)),
            .rows = count,
            .format = Format::float32};
}

// The row of token `first` and those that follow at the array's stride, for Prefetch::fetch_line()
static inline Prefetch fetch_from(const Stored& stored, std::int64_t first) {
    return {stored.row(first), stored.row_bytes(), stored.array.token_stride, stored.run(first)};
}

// The rows [first, end), for Prefetch::step(). `listed` receives their addresses if they do not follow each
// other, and must outlive the result.
static inline Prefetch fetch_rows(const Stored& stored, std::int64_t first, std::int64_t end,
                                  const char** listed) {
    if (first >= end) return {};
    if (stored.side_by_side(first, end))
        return {stored.row(first), stored.row_bytes(), stored.array.token_stride, end - first};
    list_rows(stored, first, end, listed, nullptr);
    return {listed, stored.row_bytes(), end - first};
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
