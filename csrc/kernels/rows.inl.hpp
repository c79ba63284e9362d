// The query rows of a tile, and the keys that each of them sees.
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

constexpr int tile_rows = tile_vectors * lanes;

ATTNSCOPE_INLINE std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }
ATTNSCOPE_INLINE std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

// Rows of one kv head, in the order query by query and, within a query, head by head of the group: neighbours
// see nearly the same keys, and the keys are read once for all heads of the group.
struct TileRows {
    std::int64_t batch, kv_head, count;
    std::int64_t query[tile_rows], head[tile_rows];
    const char* query_row[tile_rows];
    char* output_row[tile_rows];
    std::int64_t first_key[2][tile_rows], end_key[2][tile_rows];  // the spans; an empty span is (0, 0)
    const std::uint64_t* words[tile_rows];                        // the bitmap's rows, or null
    std::int64_t range_first[2], range_end[2];                    // keys that the span of any row contains
    std::int64_t all_first, all_end;  // keys that the first span of every row contains

    // One past the last key that any row sees
    std::int64_t reach() const { return larger(range_end[0], range_end[1]); }
};

ATTNSCOPE_INLINE std::int64_t tiles_per_kv_head(const AttentionCall& call) {
    return (call.query_len * call.group() + tile_rows - 1) / tile_rows;
}

ATTNSCOPE_INLINE std::int64_t count_tiles(const AttentionCall& call) {
    return call.batch * call.kv_heads * tiles_per_kv_head(call);
}

static void find_row_spans(const AttentionCall& call, TileRows& rows, std::int64_t r) {
    const Visibility& visibility = call.visibility;
    const std::int64_t key_len = call.keys_of(rows.batch);
    rows.words[r] = nullptr;
    for (int s = 0; s < 2; ++s) rows.first_key[s][r] = rows.end_key[s][r] = 0;
    if (visibility.first_key != nullptr) {
        const std::int64_t at = rows.batch * visibility.span_batch_stride + rows.query[r] * visibility.spans;
        for (std::int64_t s = 0; s < visibility.spans; ++s) {  // a span may reach past this batch row's keys
            const std::int64_t first = visibility.first_key[at + s];
            const std::int64_t end = smaller(visibility.end_key[at + s], key_len);
            if (first < end) rows.first_key[s][r] = first, rows.end_key[s][r] = end;
        }
        return;
    }
    rows.end_key[0][r] = key_len;
    if (visibility.words != nullptr)
        rows.words[r] = visibility.words + rows.batch * visibility.words_batch_stride +
                        rows.head[r] * visibility.words_head_stride +
                        rows.query[r] * visibility.words_query_stride;
}

static void find_visible_ranges(const AttentionCall& call, TileRows& rows) {
    const std::int64_t key_len = call.keys_of(rows.batch);
    for (int s = 0; s < 2; ++s) {
        rows.range_first[s] = key_len;
        rows.range_end[s] = 0;
    }
    rows.all_first = 0;
    rows.all_end = key_len;
    for (std::int64_t r = 0; r < rows.count; ++r) {
        find_row_spans(call, rows, r);
        for (int s = 0; s < 2; ++s) {
            const std::int64_t first = rows.first_key[s][r], end = rows.end_key[s][r];
            if (first >= end) continue;
            rows.range_first[s] = smaller(first, rows.range_first[s]);
            rows.range_end[s] = larger(end, rows.range_end[s]);
        }
        rows.all_first = larger(rows.first_key[0][r], rows.all_first);
        rows.all_end = smaller(rows.end_key[0][r], rows.all_end);
    }
    if (call.visibility.words != nullptr) rows.all_end = 0;  // a bitmap may hide any key
}

template <typename Byte>
ATTNSCOPE_INLINE Byte* row_of(const StridedArray<Byte>& array, std::int64_t batch, std::int64_t head,
                              std::int64_t query) {
    return array.data + batch * array.batch_stride + head * array.head_stride + query * array.token_stride;
}

// The first row of a tile, among the rows of its kv head. Tiles count from the last row: under a causal mask
// those rows see the most keys, and the threads end at nearly the same time if the longest tiles come first.
ATTNSCOPE_INLINE std::int64_t first_row(const AttentionCall& call, std::int64_t tile) {
    const std::int64_t per_head = tiles_per_kv_head(call);
    return (per_head - 1 - tile % per_head) * tile_rows;
}

ATTNSCOPE_INLINE std::int64_t count_rows(const AttentionCall& call, std::int64_t tile) {
    return smaller(call.query_len * call.group() - first_row(call, tile), tile_rows);
}

// Calls body(batch, kv_head, r, head, query) for each row r of a tile; returns the number of rows
template <typename Body>
ATTNSCOPE_INLINE std::int64_t for_each_row(const AttentionCall& call, std::int64_t tile, const Body& body) {
    const std::int64_t group = call.group(), first = first_row(call, tile), count = count_rows(call, tile);
    const std::int64_t pair = tile / tiles_per_kv_head(call);
    const std::int64_t batch = pair / call.kv_heads, kv_head = pair % call.kv_heads;
    std::int64_t query = first / group, of_group = first % group;
    for (std::int64_t r = 0; r < count; ++r) {
        body(batch, kv_head, r, kv_head * group + of_group, query);
        if (++of_group == group) of_group = 0, ++query;
    }
    return count;
}

static void find_rows(const AttentionCall& call, std::int64_t tile, TileRows& rows) {
    const auto find_row = [&](std::int64_t batch, std::int64_t kv_head, std::int64_t r, std::int64_t head,
                              std::int64_t query) ATTNSCOPE_LAMBDA {
        rows.batch = batch;
        rows.kv_head = kv_head;
        rows.head[r] = head;
        rows.query[r] = query;
        rows.query_row[r] = row_of(call.query, batch, head, query);
        rows.output_row[r] = row_of(call.output, batch, head, query);
    };
    rows.count = for_each_row(call, tile, find_row);
    find_visible_ranges(call, rows);
}

// Whether a span of any row meets the keys [first, end); whole blocks between two spans are skipped
ATTNSCOPE_INLINE bool any_row_reaches(const TileRows& rows, std::int64_t first, std::int64_t end) {
    return (first < rows.range_end[0] && end > rows.range_first[0]) ||
           (first < rows.range_end[1] && end > rows.range_first[1]);
}

// Removes keys from both ends of a block that no row sees. The first key stays a multiple of 4, because the
// order of a weight sum counts keys modulo 4.
ATTNSCOPE_INLINE void narrow_to_spans(const TileRows& rows, std::int64_t& first, std::int64_t& end) {
    end = smaller(end, rows.reach());
    first = larger(first, smaller(rows.range_first[0], rows.range_first[1]) / 4 * 4);
}

ATTNSCOPE_INLINE std::uint64_t bits_below(std::int64_t end) {
    return end <= 0 ? 0 : end >= block_keys ? ~std::uint64_t{0} : (std::uint64_t{1} << end) - 1;
}

// Bit k of seen[r]: row r sees key first + k. Lanes past the tile's rows see no key.
static void find_visible_keys(const TileRows& rows, std::int64_t first, std::uint64_t* seen) {
    const int spans = rows.range_end[1] > first ? 2 : 1;
    for (std::int64_t r = 0; r < rows.count; ++r) {
        if (rows.words[r] != nullptr) {
            seen[r] = rows.words[r][first / block_keys] >> (first % block_keys);
            continue;
        }
        seen[r] = 0;
        for (int s = 0; s < spans; ++s)
            seen[r] |= bits_below(rows.end_key[s][r] - first) & ~bits_below(rows.first_key[s][r] - first);
    }
    for (std::int64_t r = rows.count; r < tile_rows; ++r) seen[r] = 0;
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
