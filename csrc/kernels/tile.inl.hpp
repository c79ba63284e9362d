// Attention for the rows of a few tiles, part by part, block by block.
//
// computes   output = sum_j softmax_j(score_j) v_j,   score_j = cap(scale * q.k_j) + bias_j - slope |p - j|
// invariant  largest is the largest score seen, or -inf before the first visible key;
//            sum and mixed are relative to exp2(largest)
// bits       a hidden key adds an exact 0 and an unchanged maximum shrinks by an exact 1: a row's result does not
//            depend on the tile, the lane, the layout or the blocks that other rows made it visit
// empty row  no key seen: output = 0 and logsumexp = -inf
// NaN        of a visible slot reaches its own rows only, as the one canonical NaN; of a hidden slot, nobody
// source     online softmax: Milakov & Gimelshein 2018, arXiv:1805.02867, Algorithm 3;
//            rescaled output: Dao et al. 2022, arXiv:2205.14135, Algorithm 1
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

// As many tiles of one kv head take each block of keys in turn: it is fetched, and widened, once for all of them
constexpr int tiles_together = 4;

// A block's keys or values as float32 side by side, where they are not so in memory; kept for the tiles that come next
struct Widened {
    float* floats;
    std::int64_t first, count;
};

// A thread's scratch memory, shared by its tiles
struct Workspace {
    float *scores, *weights;
    Widened keys, values;
};

// What a tile has to itself. The softmax's sums and what observe() asks for are a state: of the part at hand, and of all parts.
template <class Layout>
struct Tile {
    TileRows rows;
    float *packed, *part, *total;
    float* state;  // the one at work
    float* whole;  // of the parts so far, or null
    typename Layout::Soon soon;
};

template <class Layout>
static std::int64_t state_floats_of(const AttentionCall& call) {
    return Layout::state_floats(call) + Observer<Layout>::state_floats(call);
}

template <class Layout>
static std::int64_t divide_workspace(const AttentionCall& call, float* base, Workspace& work, Tile<Layout>* tiles, int count) {
    std::int64_t used = 0;
    const auto take = [&](float*& piece, std::int64_t floats) {
        piece = base == nullptr ? nullptr : base + used;
        used += (floats + 15) / 16 * 16;  // whole cache lines
    };
    const bool wide = !Layout::reads_in_place && (call.key_value_format != Format::float32 || !call.whole_blocks());
    work = {};
    take(work.scores, Layout::score_floats());
    work.weights = work.scores;  // in place, unless statistics need both
    if (call.statistics.wanted()) take(work.weights, Layout::score_floats());
    take(work.keys.floats, wide ? block_keys * call.key_dim : 0);
    take(work.values.floats, wide ? block_keys * call.value_dim : 0);
    for (Tile<Layout>* tile = tiles; tile < tiles + count; ++tile) {
        take(tile->packed, Layout::packed_floats(call));
        take(tile->part, state_floats_of<Layout>(call));
        take(tile->total, call.key_len > part_keys ? state_floats_of<Layout>(call) : 0);
    }
    return used * static_cast<std::int64_t>(sizeof(float));
}

static void widen_block(const Stored& stored, const Block& block, Widened& wide) {
    float* to = wide.floats;
    const std::int64_t end = block.first + block.key_count;
    for (std::int64_t token = block.first; token < end;) {
        const char* row = stored.row(token);
        const std::int64_t run_end = token + stored.run(token) < end ? token + stored.run(token) : end;
        for (; token < run_end; ++token, row += stored.array.token_stride, to += stored.dim)
            widen_row(row, stored.dim, stored.call.key_value_format, stored.scale(token), to);
    }
    wide.first = block.first;
    wide.count = block.key_count;
}

// A block's keys or values: in place or, for a layout that reads no format but float32 side by side, brought together so
template <class Layout>
static inline Matrix block_rows(const Stored& stored, const Block& block, Widened& wide, Scattered& scattered) {
    const std::int64_t end = block.first + block.key_count;
    const std::int64_t next_end = end + block_keys < block.keys ? end + block_keys : block.keys;
    const Format format = stored.call.key_value_format;
    Matrix rows = {stored.row(block.first), stored.array.token_stride, block.key_count, format,
                   stored.scale_of(block.first), stored.scales.token_stride, end, next_end, nullptr};
    const bool side_by_side = stored.side_by_side(block.first, end);
    if (Layout::reads_in_place) {
        if (side_by_side) return rows;
        for (std::int64_t i = 0; i < block.key_count; ++i) {
            scattered.rows[i] = stored.row(block.first + i);
            scattered.scales[i] = stored.scale_of(block.first + i);
        }
        rows.scattered = &scattered;
        return rows;
    }
    if (side_by_side && format == Format::float32) return rows;
    const std::int64_t stride = stored.dim * static_cast<std::int64_t>(sizeof(float));
    if (wide.first != block.first || wide.count < block.key_count) widen_block(stored, block, wide);
    return {reinterpret_cast<const char*>(wide.floats), stride, block.key_count, Format::float32, nullptr, 0, end, next_end, nullptr};
}

// Finds a block's visible keys; false where nobody sees any
static bool find_block(const AttentionCall& call, const TileRows& rows, std::int64_t start, Block& block) {
    std::int64_t end = start + block_keys < block.keys ? start + block_keys : block.keys;
    if (!any_row_reaches(rows, start, end)) return false;
    narrow_to_spans(rows, start, end);
    block.first = start;
    block.key_count = end - start;
    block.soon = end < block.keys ? end : smaller(rows.range_first[0], rows.range_first[1]);
    block.all_see_all = call.bias.data == nullptr && start >= rows.all_first && end <= rows.all_end;
    if (block.all_see_all) return true;
    find_visible_keys(rows, start, block.seen);
    std::uint64_t anyone = 0;
    for (std::int64_t r = 0; r < rows.count; ++r) anyone |= block.seen[r];
    return anyone != 0;
}

// Bit k: key k of the block is hidden from some row
ATTNSCOPE_INLINE std::uint64_t hidden_keys(const TileRows& rows, const Block& block) {
    if (block.all_see_all) return 0;
    std::uint64_t everyone = ~std::uint64_t{0};
    for (std::int64_t r = 0; r < rows.count; ++r) everyone &= block.seen[r];
    return bits_below(block.key_count) & ~everyone;
}

// Takes the keys from `start` on, as far as they make a block
template <class Layout>
ATTNSCOPE_INLINE void take_block(const AttentionCall& call, Tile<Layout>& tile, const KeysAndValues& stored, std::int64_t start,
                                 Workspace& work) {
    const TileRows& rows = tile.rows;
    float* state = tile.state;
    // 1. who sees what
    Block block;
    block.keys = rows.reach();
    if (start >= block.keys || !find_block(call, rows, start, block)) return;
    const bool observed = call.statistics.wanted();
    Observer<Layout> observer(call, rows);
    Scattered scattered;
    // 2. scores
    float top[Layout::shrink_floats];
    const Matrix keys = block_rows<Layout>(stored.keys, block, work.keys, scattered);
    Layout::score(call, rows, block, tile.packed, keys, stored.keys, stored.values.ahead(block.first), work.scores, top, tile.soon);
    if (call.has_softcap) Layout::cap(call, rows, block, work.scores);
    if (call.bias.data != nullptr) Layout::add_bias(call, rows, block, work.scores);
    if (call.slopes != nullptr) Layout::add_distance(call, rows, block, work.scores);
    // 3. weights; a new maximum shrinks what was accumulated
    float shrink[Layout::shrink_floats];
    if (observed) observer.keep(state);
    const bool plain = !call.has_softcap && call.slopes == nullptr;  // all see all only where there is no bias
    Layout::soften(rows, block, plain ? top : nullptr, work.scores, work.weights, state, shrink);
    if (observed) observer.count(block, work.scores, work.weights, shrink, state);
    // 4. weights mix the values
    const Matrix values = block_rows<Layout>(stored.values, block, work.values, scattered);
    const std::uint64_t hidden = hidden_keys(rows, block);
    if (hidden != 0 && !all_finite(values, call.value_dim, hidden))
        Layout::mix_carefully(call, rows, block, work.weights, values, shrink, state);
    else
        Layout::mix(call, rows, block, work.weights, values, stored, shrink, state);
}

// The keys of one part, from cleared states. The tiles are of one kv head.
template <class Layout>
static void attend_part(const AttentionCall& call, Tile<Layout>* const* tiles, int count, std::int64_t part, Workspace& work) {
    if (count == 0) return;
    const std::int64_t batch = tiles[0]->rows.batch, kv_head = tiles[0]->rows.kv_head;
    const KeysAndValues stored = {{call, call.key, call.key_scales, batch, kv_head, call.key_dim},
                                  {call, call.value, call.value_scales, batch, kv_head, call.value_dim}};
    std::int64_t end = 0;
    for (int i = 0; i < count; ++i) {
        Layout::clear(call, tiles[i]->state);
        if (call.statistics.wanted()) Observer<Layout>(call, tiles[i]->rows).clear(tiles[i]->state);
        end = larger(end, smaller((part + 1) * part_keys, tiles[i]->rows.reach()));
    }
    for (std::int64_t start = part * part_keys; start < end; start += block_keys)
        for (int i = 0; i < count; ++i) take_block(call, *tiles[i], stored, start, work);
}

template <class Layout>
static void begin(const AttentionCall& call, std::int64_t first, int count, Tile<Layout>* tiles) {
    const double factor = call.has_softcap ? call.scale / call.softcap : call.scale * (1.0 / ln_2);
    for (int i = 0; i < count; ++i) {
        Tile<Layout>& tile = tiles[i];
        find_rows(call, first + i, tile.rows);
        tile.soon = typename Layout::Soon(call, tile.rows, first + i + count);
        tile.whole = nullptr;
        Layout::pack_queries(call, tile.rows, factor, tile.packed);
    }
}

template <class Layout>
static void merge_states(const AttentionCall& call, const TileRows& rows, float* total, float* part) {
    if (call.statistics.wanted()) Observer<Layout>(call, rows).merge(total, part);
    Layout::merge(call, rows, total, part);
}

template <class Layout>
static void finish(const AttentionCall& call, const TileRows& rows, float* state) {
    const Observer<Layout> observer(call, rows);
    // A sink is no key: statistics are over the keys alone, and are written before it joins the normalizer
    if (call.statistics.wanted()) observer.write(state);
    if (call.sinks != nullptr) Layout::add_sinks(call, rows, state);
    if (call.statistics.wanted()) observer.write_sink_mass(state);
    Layout::write_rows(call, rows, state);
    if (call.logsumexp == nullptr) return;
    for (std::int64_t r = 0; r < rows.count; ++r)
        call.logsumexp[(rows.batch * call.query_heads + rows.head[r]) * call.query_len + rows.query[r]] =
            natural_logsumexp(Layout::largest_of(state, r), Layout::sum_of(state, r));
}

// The three ways into tiles, for whichever layout their rows call for
struct RunTiles {
    template <class Layout>
    static void in(const AttentionCall& call, std::int64_t first, int count, float* scratch) {
        Tile<Layout> tiles[tiles_together];
        Workspace work;
        divide_workspace(call, scratch, work, tiles, count);
        begin(call, first, count, tiles);
        for (std::int64_t part = 0; part < call.parts(); ++part) {
            const bool last = part + 1 == call.parts();
            Tile<Layout>* reaching[tiles_together];
            int reached = 0;
            for (Tile<Layout>* tile = tiles; tile < tiles + count; ++tile) {
                const bool empty = tile->whole == nullptr && last;  // it saw nothing, and is 0
                if (!empty && !any_row_reaches(tile->rows, part * part_keys, (part + 1) * part_keys)) continue;
                tile->state = tile->whole == nullptr && call.parts() > 1 ? tile->total : tile->part;
                reaching[reached++] = tile;
            }
            attend_part(call, reaching, reached, part, work);
            for (int i = 0; i < reached; ++i) {
                Tile<Layout>& tile = *reaching[i];
                if (tile.whole != nullptr) merge_states<Layout>(call, tile.rows, tile.whole, tile.state);
                else tile.whole = tile.state;
            }
        }
        for (Tile<Layout>* tile = tiles; tile < tiles + count; ++tile) finish<Layout>(call, tile->rows, tile->whole);
    }
};

struct RunPart {
    template <class Layout>
    static void in(const AttentionCall& call, std::int64_t first, float* scratch, std::int64_t part, float* state) {
        Tile<Layout> tile, *only = &tile;
        Workspace work;
        divide_workspace(call, scratch, work, only, 1);
        begin(call, first, 1, only);
        tile.state = state;
        attend_part(call, &only, 1, part, work);
    }
};

struct FinishTile {
    template <class Layout>
    static void in(const AttentionCall& call, std::int64_t tile, float* states, std::int64_t state_floats) {
        TileRows rows;
        find_rows(call, tile, rows);
        for (std::int64_t part = 1; part < call.parts(); ++part)
            merge_states<Layout>(call, rows, states, states + part * state_floats);
        finish<Layout>(call, rows, states);
    }
};

template <class Way, typename... Arguments>
static void with_layout(const AttentionCall& call, std::int64_t tile, Arguments... arguments) {
    const std::int64_t rows = count_rows(call, tile);
    if (rows <= DimsInLanes::most_rows)
        Way::template in<DimsInLanes>(call, tile, arguments...);
    else if (rows <= lanes)
        Way::template in<RowsInLanes<1>>(call, tile, arguments...);
    else if (rows <= 2 * lanes)
        Way::template in<RowsInLanes<2>>(call, tile, arguments...);
    else
        Way::template in<RowsInLanes<3>>(call, tile, arguments...);
}

static std::int64_t count_workspace_bytes(const AttentionCall& call) {
    Workspace unused;
    Tile<RowsInLanes<tile_vectors>> tiles[tiles_together];
    Tile<DimsInLanes> tile;
    return larger(divide_workspace(call, nullptr, unused, tiles, tiles_together), divide_workspace(call, nullptr, unused, &tile, 1));
}

static std::int64_t count_state_floats(const AttentionCall& call) {
    return larger(state_floats_of<RowsInLanes<tile_vectors>>(call), state_floats_of<DimsInLanes>(call));
}

// How many tiles from this one on read the same keys, and are whole
static int count_together(const AttentionCall& call, std::int64_t tile, std::int64_t end) {
    const std::int64_t per_head = tiles_per_kv_head(call);
    if (count_rows(call, tile) < tile_rows) return 1;
    int count = 1;
    while (count < tiles_together && tile + count < end && (tile + count) % per_head != 0) ++count;
    return count;
}

static std::int64_t run_some_tiles(const AttentionCall& call, std::int64_t first, std::int64_t end, void* workspace) {
    const int count = count_together(call, first, end);
    with_layout<RunTiles>(call, first, count, static_cast<float*>(workspace));
    return first + count;
}

static void run_part(const AttentionCall& call, std::int64_t tile, std::int64_t part, float* state, void* workspace) {
    with_layout<RunPart>(call, tile, static_cast<float*>(workspace), part, state);
}

static void finish_tile(const AttentionCall& call, std::int64_t tile, float* states) {
    with_layout<FinishTile>(call, tile, states, count_state_floats(call));
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
