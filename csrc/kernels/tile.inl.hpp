// Attention of a tile's rows, part by part, block by block.
//
// computes   output = sum_j softmax_j(score_j) v_j,   score_j = cap(scale * q.k_j) + bias_j - slope |p - j|
// layout     see RowLayout; the tiles of a thread share one block of keys at a time
// invariant  largest is the largest score seen, or -inf before the first visible key;
//            sum and mixed are relative to exp2(largest)
// bits       a hidden key adds an exact 0 and an unchanged maximum shrinks by an exact 1, so a row's result
//            does not depend on the tile, the lane, the layout or the blocks that other rows made it visit
// masked     a fully masked row has output 0 and logsumexp -inf
// NaN        of a visible slot: only in the rows that see it, as the one canonical NaN; of a hidden slot: in
//            no row
// source     online softmax: Milakov & Gimelshein 2018, arXiv:1805.02867, Algorithm 3;
//            rescaled output: Dao et al. 2022, arXiv:2205.14135, Algorithm 1
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

// As many tiles of one kv head take each block of keys in turn: it is fetched, and widened, once for them all
constexpr int tiles_together = 4;

// A thread's scratch memory, shared by its tiles
struct Workspace {
    float *scores, *weights;
    Widened keys, values;
};

// What a tile has of its own. A state holds the sums of the softmax and of observe(), over one part or more
template <RowLayout Layout>
struct Tile {
    TileRows rows;
    float *packed, *part, *total;
    float* state;  // of the part at hand
    float* whole;  // of the parts before, or null
    // Rows that are needed when the tile is done: its output rows, and the queries of the next tile
    const char* later_rows[2 * tile_rows];
    Prefetch later;
};

template <RowLayout Layout>
static std::int64_t state_floats_of(const AttentionCall& call) {
    return Layout::state_floats(call) + StatisticsState<Layout>::floats(call);
}

// Points work and tiles into the memory at base; returns the bytes that are needed, also if base is null
template <RowLayout Layout>
static std::int64_t divide_workspace(const AttentionCall& call, float* base, Workspace& work,
                                     Tile<Layout>* tiles, int count) {
    std::int64_t used = 0;
    const auto take = [&](float*& piece, std::int64_t floats) {
        piece = base == nullptr ? nullptr : base + used;
        used += (floats + 15) / 16 * 16;  // whole cache lines
    };
    const bool wide =
        !Layout::reads_in_place && (call.key_value_format != Format::float32 || !call.whole_blocks());
    work = {};
    take(work.scores, Layout::score_floats());
    work.weights = work.scores;  // the same memory, unless statistics need both
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

template <RowLayout Layout>
static inline Matrix block_rows(const Stored& stored, const Block& block, Widened& wide,
                                Scattered& scattered) {
    if constexpr (Layout::reads_in_place)
        return rows_in_place(stored, block.first, block.key_count, scattered);
    else
        return rows_as_floats(stored, block.first, block.key_count, wide);
}

// The rows that are fetched while scores are computed, and while values are mixed
struct BlockPrefetch {
    const char *listed[block_keys], *listed_too[block_keys];
    Prefetch during_scores, during_mix;

    template <RowLayout Layout>
    void choose(const KeysAndValues& stored, const Block& block) {
        if constexpr (Layout::fetches_next_block) {
            const std::int64_t next_end = smaller(block.end() + block_keys, block.keys);
            during_scores = fetch_rows(stored.keys, block.end(), next_end, listed);
            during_mix = fetch_rows(stored.values, block.end(), next_end, listed_too);
        } else {
            during_scores = fetch_from(stored.values, block.first);
            during_mix = fetch_from(stored.keys, block.soon);
        }
    }
};

// The block of keys that begins at `start`
template <RowLayout Layout>
ATTNSCOPE_INLINE void attend_block(const AttentionCall& call, Tile<Layout>& tile, const KeysAndValues& stored,
                                   std::int64_t start, Workspace& work) {
    const TileRows& rows = tile.rows;
    float* state = tile.state;
    // 1. which rows see which keys
    Block block;
    block.keys = rows.reach();
    if (!find_block(call, rows, start, smaller(start + block_keys, block.keys), block)) return;
    const bool observed = call.statistics.wanted();
    Observer<Layout> observer(call, rows);
    Scattered scattered;
    BlockPrefetch ahead;
    ahead.template choose<Layout>(stored, block);
    // 2. scores
    float top[Layout::row_floats];
    const Matrix keys = block_rows<Layout>(stored.keys, block, work.keys, scattered);
    Layout::score(call, rows, block, tile.packed, keys, ahead.during_scores, tile.later, work.scores, top);
    if (call.has_softcap) Layout::softcap(call, rows, block, work.scores);
    if (call.bias.data != nullptr) Layout::add_bias(call, rows, block, work.scores);
    if (call.slopes != nullptr) Layout::add_distance(call, rows, block, work.scores);
    // 3. weights; a new maximum shrinks what was accumulated
    float shrink[Layout::row_floats];
    if (observed) observer.before_softmax(state);
    const bool unchanged = !call.has_softcap && call.bias.data == nullptr && call.slopes == nullptr;
    Layout::softmax(rows, block, unchanged ? top : nullptr, work.scores, work.weights, state, shrink);
    if (observed) observer.after_softmax(block, work.scores, work.weights, shrink, state);
    // 4. output: the weights mix the values
    const Matrix values = block_rows<Layout>(stored.values, block, work.values, scattered);
    const std::uint64_t hidden = hidden_keys(rows, block);
    if (hidden != 0 && !all_finite(values, call.value_dim, hidden))
        Layout::mix_carefully(call, rows, block, work.weights, values, shrink, state);
    else
        Layout::mix(call, rows, block, work.weights, values, ahead.during_mix, shrink, state);
}

// The keys of one part, into cleared states. The tiles are of one kv head.
template <RowLayout Layout>
static void attend_part(const AttentionCall& call, Tile<Layout>* const* tiles, int count, std::int64_t part,
                        Workspace& work) {
    if (count == 0) return;
    const std::int64_t batch = tiles[0]->rows.batch, kv_head = tiles[0]->rows.kv_head;
    const KeysAndValues stored = {.keys = {.call = call,
                                           .array = call.key,
                                           .scales = call.key_scales,
                                           .batch = batch,
                                           .kv_head = kv_head,
                                           .dim = call.key_dim},
                                  .values = {.call = call,
                                             .array = call.value,
                                             .scales = call.value_scales,
                                             .batch = batch,
                                             .kv_head = kv_head,
                                             .dim = call.value_dim}};
    std::int64_t end = 0;
    for (int i = 0; i < count; ++i) {
        Layout::clear(call, tiles[i]->state);
        if (call.statistics.wanted()) Observer<Layout>(call, tiles[i]->rows).clear(tiles[i]->state);
        end = larger(end, smaller((part + 1) * part_keys, tiles[i]->rows.reach()));
    }
    for (std::int64_t start = part * part_keys; start < end; start += block_keys)
        for (int i = 0; i < count; ++i) attend_block(call, *tiles[i], stored, start, work);
}

// The rows that are needed when this tile is done, a row per step
template <RowLayout Layout>
static void fetch_later(const AttentionCall& call, Tile<Layout>& tile, std::int64_t next_tile) {
    tile.later = {};
    if (Layout::fetches_next_block) return;  // a few rows are not worth it
    std::int64_t count = 0;
    if (next_tile < count_tiles(call))
        for_each_row(
            call, next_tile,
            [&](std::int64_t batch, std::int64_t, std::int64_t, std::int64_t head, std::int64_t query)
                ATTNSCOPE_LAMBDA { tile.later_rows[count++] = row_of(call.query, batch, head, query); });
    for (std::int64_t r = 0; r < tile.rows.count; ++r) tile.later_rows[count++] = tile.rows.output_row[r];
    const std::int64_t row_bytes =
        larger(call.key_dim * item_bytes(call.format), call.value_dim * item_bytes(call.output_format));
    tile.later = {tile.later_rows, row_bytes, count};
    tile.later.step_by_row();
}

template <RowLayout Layout>
static void begin(const AttentionCall& call, std::int64_t first, int count, Tile<Layout>* tiles) {
    const double factor = call.has_softcap ? call.scale / call.softcap : call.scale * (1.0 / ln_2);
    for (int i = 0; i < count; ++i) {
        Tile<Layout>& tile = tiles[i];
        find_rows(call, first + i, tile.rows);
        fetch_later(call, tile, first + i + count);
        tile.whole = nullptr;
        Layout::pack_queries(call, tile.rows, factor, tile.packed);
    }
}

template <RowLayout Layout>
static void merge_states(const AttentionCall& call, const TileRows& rows, float* total, const float* part) {
    if (call.statistics.wanted()) Observer<Layout>(call, rows).merge(total, part);
    Layout::merge(call, rows, total, part);
}

template <RowLayout Layout>
static void finish(const AttentionCall& call, const TileRows& rows, float* state) {
    // A sink is no key: statistics are over the keys alone, so they are written before it joins the sum
    if (call.statistics.wanted()) write_statistics<Layout>(call, rows, state);
    if (call.sinks != nullptr) Layout::add_sinks(call, rows, state);
    if (call.statistics.wanted()) write_sink_mass<Layout>(call, rows, state);
    Layout::write_rows(call, rows, state);
    if (call.logsumexp == nullptr) return;
    for (std::int64_t r = 0; r < rows.count; ++r)
        call.logsumexp[row_index(call, rows, r)] =
            natural_logsumexp(Layout::largest_of(state, r), Layout::sum_of(state, r));
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
