// What the arithmetic works on: a block of keys, and reading and writing the rows of a tile.
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

// Rows that are needed soon: they are fetched into the second cache in address order, a line between a few multiply-adds.
// In a burst, or only when they are needed, they would keep the multiply-adds waiting.
struct Ahead {
    const char *line, *row_end;
    std::int64_t row_bytes, gap;  // between two rows

    ATTNSCOPE_MEMBER void step() {
        prefetch_l2(line);
        line += 64;
        if (line < row_end) return;
        line = row_end + gap;
        row_end = line + row_bytes;
    }
};

// Where the keys or the values of a tile lie
struct Stored {
    const AttentionCall& call;
    const Array4& array;
    const Scales& scales;
    std::int64_t batch, kv_head, dim;

    const char* row(std::int64_t token) const { return at(array, token); }
    const char* scale_of(std::int64_t token) const { return scales.data == nullptr ? nullptr : at(scales, token); }
    float scale(std::int64_t token) const {
        return scales.data == nullptr ? 1.0f : read_float(scale_of(token), Format::float32);
    }
    // How many tokens from this one on follow each other at the array's stride
    std::int64_t run(std::int64_t token) const {
        const Pages& pages = call.pages;
        return pages.table == nullptr ? call.key_len - token : pages.page_tokens - token % pages.page_tokens;
    }
    // Whether these tokens follow each other all the same, as where neighbouring pages do
    bool side_by_side(std::int64_t first, std::int64_t end) const {
        for (std::int64_t token = first + run(first); token < end; token += run(token))
            if (row(token) != row(first) + (token - first) * array.token_stride ||
                scale_of(token) != scale_of(first) + (token - first) * scales.token_stride)
                return false;
        return true;
    }
    // The rows from this token on. Those past the last do no harm.
    Ahead ahead(std::int64_t token) const {
        const char* first = row(token);
        return {first, first + row_bytes(), row_bytes(), array.token_stride - row_bytes()};
    }
    std::int64_t row_bytes() const { return dim * item_bytes(call.key_value_format); }

private:
    template <typename Strided>
    const char* at(const Strided& data, std::int64_t token) const {
        const Pages& pages = call.pages;
        std::int64_t outer = batch;
        if (pages.table != nullptr) {
            outer = pages.table[batch * pages.table_stride + token / pages.page_tokens];
            token %= pages.page_tokens;
        }
        return data.data + outer * data.batch_stride + kv_head * data.head_stride + token * data.token_stride;
    }
};

struct KeysAndValues {
    Stored keys, values;
};

// The addresses of a block's rows, and of their scales, where they lie wherever their pages do
struct Scattered {
    const char *rows[block_keys], *scales[block_keys];
};

// A block's rows, `stride` bytes apart or scattered; from `next` to before `next_end` are the tokens to be fetched
// meanwhile.
struct Matrix {
    const char* data;
    std::int64_t stride, rows;
    Format format;
    const char* scales;  // of int8 rows
    std::int64_t scale_stride;
    std::int64_t next, next_end;
    const Scattered* scattered;

    const char* row(std::int64_t i) const { return scattered == nullptr ? data + i * stride : scattered->rows[i]; }
    // Of rows that are not scattered
    const float* floats(std::int64_t i) const { return reinterpret_cast<const float*>(data + i * stride); }
    std::int64_t float_stride() const { return stride / static_cast<std::int64_t>(sizeof(float)); }
    float scale(std::int64_t i) const {
        if (scales == nullptr) return 1.0f;
        return read_float(scattered == nullptr ? scales + i * scale_stride : scattered->scales[i], Format::float32);
    }
    float element(std::int64_t i, std::int64_t d) const {
        const float read = read_float(row(i) + d * item_bytes(format), format);
        return format == Format::int8 ? read * scale(i) : read;
    }
};

// Fetches the next block in address order, a few lines between a few multiply-adds. In decode memory's speed decides:
// the hardware's prefetcher alone does not follow several rows at once, and a burst would leave memory idle after it.
// Half a block ahead is too late where rows are few.
class Prefetcher {
public:
    // The block's lines are spread evenly over this many steps; 0: nothing is fetched
    Prefetcher(const Stored& stored, const Matrix& matrix, std::int64_t steps)
        : stored_(stored), token_(matrix.next), end_(matrix.next_end) {
        const std::int64_t lines = (end_ - token_) * ((stored.row_bytes() + 63) / 64);
        lines_per_step_ = steps == 0 ? 0 : (lines + steps - 1) / steps;
    }

    ATTNSCOPE_MEMBER void step() {
        for (std::int64_t i = 0; i < lines_per_step_; ++i) {
            if (line_ >= lines_end_ && !find_lines()) return;
            prefetch(line_);
            line_ += 64;
        }
    }

private:
    // The next row, or all rows that follow it without a gap
    bool find_lines() {
        if (token_ >= end_) {
            lines_per_step_ = 0;
            return false;
        }
        const std::int64_t bytes = stored_.row_bytes(), run = smaller(stored_.run(token_), end_ - token_);
        const std::int64_t rows = stored_.array.token_stride == bytes ? run : 1;
        line_ = stored_.row(token_);
        lines_end_ = line_ + rows * bytes;
        token_ += rows;
        return true;
    }

    const Stored& stored_;
    std::int64_t token_, end_, lines_per_step_;
    const char *line_ = nullptr, *lines_end_ = nullptr;
};

// The keys first ... first + key_count - 1, and which of them each row sees
struct Block {
    std::int64_t keys;  // up to the last that any row of the tile reaches
    std::int64_t first, key_count;
    std::int64_t soon;  // the key that is read after these: the next block's first, or, most likely, the next tile's
    bool all_see_all;
    std::uint64_t seen[tile_rows];  // bit k: key first + k; not set where all see all

    bool shows(std::int64_t row, std::int64_t k) const { return (seen[row] >> k & 1) != 0; }
};

// Fetches, a row between a few keys, what is needed when a tile is done: the rows it writes to, and the queries of one
// that comes next. Asked for only then, memory would keep the tile waiting.
class RowPrefetcher {
public:
    RowPrefetcher() = default;  // fetches nothing
    RowPrefetcher(const AttentionCall& call, const TileRows& rows, std::int64_t next_tile) {
        bytes_ = larger(call.key_dim * item_bytes(call.format), call.value_dim * item_bytes(call.output_format));
        for (std::int64_t r = 0; r < rows.count; ++r) rows_[left_++] = rows.output_row[r];
        if (next_tile >= count_tiles(call)) return;
        for_each_row(call, next_tile, [&](std::int64_t batch, std::int64_t, std::int64_t, std::int64_t head,
                                          std::int64_t query) ATTNSCOPE_LAMBDA {
            rows_[left_++] = row_of(call.query, batch, head, query);
        });
    }

    ATTNSCOPE_MEMBER void step() {
        if (left_ == 0) return;
        const char* row = rows_[--left_];
        for (std::int64_t byte = 0; byte < bytes_; byte += 64) prefetch(row + byte);
    }

private:
    const char* rows_[2 * tile_rows];
    std::int64_t left_ = 0, bytes_ = 0;
};

// Four elements of a query row, times factor; rows past the tile's are 0
ATTNSCOPE_INLINE Four read_query(const AttentionCall& call, const TileRows& rows, int row, std::int64_t d, double factor) {
    if (row >= rows.count) return broadcast_four(0.0f);
    return scale_four(read_four(rows.query_row[row], d, call.key_dim, call.format), factor);
}

// The bias of a row and four keys. A bias of -inf hides its key, as a mask would.
static inline Four read_bias(const AttentionCall& call, const TileRows& rows, std::int64_t row, Block& block,
                             std::int64_t key) {
    if (row >= rows.count) return broadcast_four(0.0f);
    const Bias& bias = call.bias;
    const char* at = bias.data + rows.batch * bias.batch_stride + rows.head[row] * bias.head_stride +
                     rows.query[row] * bias.query_stride + (block.first + key) * bias.key_stride;
    float terms[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    for (std::int64_t k = 0; k < 4 && key + k < block.key_count; ++k)
        terms[k] = read_float(at + k * bias.key_stride, bias.format);
    const Four four = load_four(terms);
    if (any_equal_four(four, broadcast_four(-infinity)))
        for (std::int64_t k = 0; k < 4; ++k)
            if (terms[k] == -infinity) block.seen[row] &= ~(std::uint64_t{1} << (key + k));
    return four;
}

ATTNSCOPE_INLINE float query_position(const AttentionCall& call, const TileRows& rows, std::int64_t row) {
    return static_cast<float>(rows.query[row] + call.keys_of(rows.batch) - call.query_len);
}

// The first `count` of four elements, from `at` on
ATTNSCOPE_INLINE void write_four(char* row, std::int64_t at, std::int64_t count, Four four, Format format) {
    const std::int64_t bytes = item_bytes(format);
    if (count == 4) {
        if (format == Format::float32) return store_four(reinterpret_cast<float*>(row + at * bytes), four);
        if (format == Format::bfloat16) return narrow_four_bfloat16(row + at * bytes, four);
        return narrow_four_float16(row + at * bytes, four);
    }
    float elements[4];
    store_four(elements, four);
    for (std::int64_t i = 0; i < count; ++i) write_float(row + (at + i) * bytes, elements[i], format);
}

// Whether these rows are finite, bit i: row i. Multiplied by 0 and added up, they give NaN exactly where something is not;
// in several sums, as each add waits for the one before.
static bool all_finite(const Matrix& values, std::int64_t dim, std::uint64_t which) {
    constexpr int together = 4;
    Vector sum[together];
    for (Vector& part : sum) part = zero();
    float tail = 0.0f;
    with_format(values.format, [&]<Format F>() {
        constexpr std::int64_t bytes = item_bytes(F);
        for (; which != 0; which &= which - 1) {
            const int row = __builtin_ctzll(which);
            const char* at = values.row(row);
            const Vector scale = broadcast(values.scale(row));
            std::int64_t d = 0;
            for (; d + together * lanes <= dim; d += together * lanes)
                for (int i = 0; i < together; ++i)
                    sum[i] = fma(widen<F>(at + (d + i * lanes) * bytes, scale), zero(), sum[i]);
            for (; d + lanes <= dim; d += lanes) sum[0] = fma(widen<F>(at + d * bytes, scale), zero(), sum[0]);
            for (; d < dim; ++d) tail += values.element(row, d) * 0.0f;
        }
    });
    return !any(is_nan(add(add(sum[0], sum[1]), add(sum[2], sum[3])))) && tail == 0.0f;
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
