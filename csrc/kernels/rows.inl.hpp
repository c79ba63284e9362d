// Which query rows make a tile, and which keys of a block each of them sees.
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

constexpr int tile_rows = tile_vectors * lanes;

ATTNSCOPE_INLINE std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }
ATTNSCOPE_INLINE std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

// The rows that share a kv head's keys, in the order query by query, then head by head within the group:
// neighbours see nearly the same keys, and one reading of the keys serves all heads of the group.
struct TileRows {
    std::int64_t batch, kv_head, count;
    std::int64_t query[tile_rows], head[tile_rows];
    const char* query_row[tile_rows];
    char* output_row[tile_rows];
    std::int64_t first_key[2][tile_rows], end_key[2][tile_rows];  // the spans; empty ones are (0, 0)
    const std::uint64_t* words[tile_rows];                         // the bitmap's rows, or null
    std::int64_t range_first[2], range_end[2];                     // keys that any row's span holds
    std::int64_t all_first, all_end;                               // keys that every row's first span holds

    std::int64_t reach() const { return range_end[0] > range_end[1] ? range_end[0] : range_end[1]; }
};

ATTNSCOPE_INLINE std::int64_t tiles_per_kv_head(const AttentionCall& call) {
    return (call.query_len * call.group() + tile_rows - 1) / tile_rows;
}

ATTNSCOPE_INLINE std::int64_t count_tiles(const AttentionCall& call) {
    return call.batch * call.kv_heads * tiles_per_kv_head(call);
}

static void find_visible_ranges(const AttentionCall& call, TileRows& rows) {
    const Visibility& sight = call.visibility;
    const std::int64_t key_len = call.keys_of(rows.batch);
    for (int s = 0; s < 2; ++s) {
        rows.range_first[s] = key_len;
        rows.range_end[s] = 0;
    }
    rows.all_first = 0;
    rows.all_end = key_len;
    for (std::int64_t r = 0; r < rows.count; ++r) {
        rows.words[r] = nullptr;
        for (int s = 0; s < 2; ++s) rows.first_key[s][r] = rows.end_key[s][r] = 0;
        if (sight.first_key != nullptr) {
            const std::int64_t at = rows.batch * sight.span_batch_stride + rows.query[r] * sight.spans;
            for (std::int64_t s = 0; s < sight.spans; ++s) {  // spans count the longest row's keys
                const std::int64_t first = sight.first_key[at + s], end = smaller(sight.end_key[at + s], key_len);
                if (first < end) rows.first_key[s][r] = first, rows.end_key[s][r] = end;
            }
        } else {
            rows.end_key[0][r] = key_len;
            if (sight.words != nullptr)
                rows.words[r] = sight.words + rows.batch * sight.words_batch_stride +
                                rows.head[r] * sight.words_head_stride + rows.query[r] * sight.words_query_stride;
        }
        for (int s = 0; s < 2; ++s) {
            const std::int64_t first = rows.first_key[s][r], end = rows.end_key[s][r];
            if (first >= end) continue;
            if (first < rows.range_first[s]) rows.range_first[s] = first;
            if (end > rows.range_end[s]) rows.range_end[s] = end;
        }
        if (rows.first_key[0][r] > rows.all_first) rows.all_first = rows.first_key[0][r];
        if (rows.end_key[0][r] < rows.all_end) rows.all_end = rows.end_key[0][r];
    }
    if (sight.words != nullptr) rows.all_end = 0;
}

ATTNSCOPE_INLINE const char* row_of(const Array4& array, std::int64_t batch, std::int64_t head, std::int64_t query) {
    return array.data + batch * array.batch_stride + head * array.head_stride + query * array.token_stride;
}

// The first row of a tile, among those of its kv head. The last tile comes first: under a causal mask it is the longest, and
// threads end together.
ATTNSCOPE_INLINE std::int64_t first_row(const AttentionCall& call, std::int64_t tile) {
    const std::int64_t per_head = tiles_per_kv_head(call);
    return (per_head - 1 - tile % per_head) * tile_rows;
}

ATTNSCOPE_INLINE std::int64_t count_rows(const AttentionCall& call, std::int64_t tile) {
    return smaller(call.query_len * call.group() - first_row(call, tile), tile_rows);
}

// Calls body(batch, kv_head, r, head, query) for each row r of a tile, and returns how many there are
template <typename Body>
ATTNSCOPE_INLINE std::int64_t for_each_row(const AttentionCall& call, std::int64_t tile, const Body& body) {
    const std::int64_t group = call.group(), first = first_row(call, tile), count = count_rows(call, tile);
    const std::int64_t pair = tile / tiles_per_kv_head(call), batch = pair / call.kv_heads, kv_head = pair % call.kv_heads;
    std::int64_t query = first / group, of_group = first % group;
    for (std::int64_t r = 0; r < count; ++r) {
        body(batch, kv_head, r, kv_head * group + of_group, query);
        if (++of_group == group) of_group = 0, ++query;
    }
    return count;
}

static void find_rows(const AttentionCall& call, std::int64_t tile, TileRows& rows) {
    rows.count = for_each_row(call, tile, [&](std::int64_t batch, std::int64_t kv_head, std::int64_t r, std::int64_t head,
                                              std::int64_t query) ATTNSCOPE_LAMBDA {
        rows.batch = batch;
        rows.kv_head = kv_head;
        rows.head[r] = head;
        rows.query[r] = query;
        rows.query_row[r] = row_of(call.query, batch, head, query);
        rows.output_row[r] = const_cast<char*>(row_of(call.output, batch, head, query));
    });
    find_visible_ranges(call, rows);
}

// Whether any span reaches into the keys [first, end); between two spans whole blocks are passed over
ATTNSCOPE_INLINE bool any_row_reaches(const TileRows& rows, std::int64_t first, std::int64_t end) {
    return (first < rows.range_end[0] && end > rows.range_first[0]) ||
           (first < rows.range_end[1] && end > rows.range_first[1]);
}

// Cuts keys off a block's ends that no row sees
ATTNSCOPE_INLINE void narrow_to_spans(const TileRows& rows, std::int64_t& first, std::int64_t& end) {
    const std::int64_t last = rows.reach();
    const std::int64_t start =
        (rows.range_first[0] < rows.range_first[1] ? rows.range_first[0] : rows.range_first[1]) / 4 * 4;
    if (end > last) end = last;
    if (first < start) first = start;
}

ATTNSCOPE_INLINE std::uint64_t bits_below(std::int64_t end) {
    return end <= 0 ? 0 : end >= block_keys ? ~std::uint64_t{0} : (std::uint64_t{1} << end) - 1;
}

// Bit k of seen[r]: row r sees key first + k; rows past the tile's see nothing
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
