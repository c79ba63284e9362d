// A block of keys, and reading and writing the rows of a tile.
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

// The keys first ... first + key_count - 1, and the rows that see them
struct Block {
    std::int64_t keys;  // of the tile: up to the last that any row sees
    std::int64_t first, key_count;
    std::int64_t
        soon;  // the key that is read after these: the next block's first or, as a guess, the next tile's
    bool all_see_all;
    std::uint64_t seen[tile_rows];  // bit k: the row sees key first + k; not set if all_see_all

    std::int64_t end() const { return first + key_count; }
    bool shows(std::int64_t row, std::int64_t k) const { return (seen[row] >> k & 1) != 0; }
};

// Finds the visible keys among [start, end), which are at most a block; false if no row sees any of them
static bool find_block(const AttentionCall& call, const TileRows& rows, std::int64_t start, std::int64_t end,
                       Block& block) {
    if (start >= end || !any_row_reaches(rows, start, end)) return false;
    narrow_to_spans(rows, start, end);
    block.first = start;
    block.key_count = end - start;
    block.soon = end < block.keys ? end : smaller(rows.range_first[0], rows.range_first[1]);
    block.all_see_all = call.bias.data == nullptr && start >= rows.all_first && end <= rows.all_end;
    if (block.all_see_all) return true;
    find_visible_keys(rows, start, block.seen);
    std::uint64_t visible = 0;
    for (std::int64_t r = 0; r < rows.count; ++r) visible |= block.seen[r];
    return visible != 0;
}

// Bit k: key k of the block is hidden from at least one row
ATTNSCOPE_INLINE std::uint64_t hidden_keys(const TileRows& rows, const Block& block) {
    if (block.all_see_all) return 0;
    std::uint64_t seen_by_all = ~std::uint64_t{0};
    for (std::int64_t r = 0; r < rows.count; ++r) seen_by_all &= block.seen[r];
    return bits_below(block.key_count) & ~seen_by_all;
}

// Four elements of a query row, times factor; 0 for lanes past the tile's rows
ATTNSCOPE_INLINE Four read_query(const AttentionCall& call, const TileRows& rows, int row, std::int64_t d,
                                 double factor) {
    if (row >= rows.count) return broadcast_four(0.0f);
    return scale_four(read_four(rows.query_row[row], d, call.key_dim, call.format), factor);
}

// The bias of a row and four keys. A bias of -inf hides its key, as a mask does.
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

// Writes the first `count` of four elements, from `at` on
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

// Whether the rows in `which` (bit i: row i) are finite. Each element is multiplied by 0 and added: the sum
// is NaN if an element is not finite. Several sums, because an addition waits for the one before.
static bool all_finite(const Matrix& values, std::int64_t dim, std::uint64_t which) {
    constexpr int sums = 4;
    Vector sum[sums];
    for (Vector& each : sum) each = zero();
    float tail = 0.0f;
    with_format(values.format, [&]<Format F>() {
        constexpr std::int64_t bytes = item_bytes(F);
        for (; which != 0; which &= which - 1) {
            const int row = __builtin_ctzll(which);
            const char* at = values.row(row);
            const Vector scale = broadcast(values.scale(row));
            std::int64_t d = 0;
            for (; d + sums * lanes <= dim; d += sums * lanes)
                for (int i = 0; i < sums; ++i)
                    sum[i] = fma(widen<F>(at + (d + i * lanes) * bytes, scale), zero(), sum[i]);
            for (; d + lanes <= dim; d += lanes)
                sum[0] = fma(widen<F>(at + d * bytes, scale), zero(), sum[0]);
            for (; d < dim; ++d) tail += values.element(row, d) * 0.0f;
        }
    });
    return !any(is_nan(add(add(sum[0], sum[1]), add(sum[2], sum[3])))) && tail == 0.0f;
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
