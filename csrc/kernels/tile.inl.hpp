// Attention for the rows of one tile, part by part, block by block.
//
// computes   output = sum_j softmax_j(score_j) v_j,   score_j = cap(scale * q.k_j) + bias_j - slope |p - j|
// invariant  largest is the largest score seen, or -inf before the first visible key;
//            sum and mixed are relative to exp2(largest)
// bits       a hidden key adds an exact 0 and an unchanged maximum shrinks by an exact 1: a row's result does not
//            depend on the tile, the lane, the layout or the blocks that other rows made it visit
// empty row  no key seen: output = 0 and log_normalizer = -inf
// NaN        of a visible slot reaches its own rows only, as the one canonical NaN; of a hidden slot, nobody
// source     online softmax: Milakov & Gimelshein 2018, arXiv:1805.02867, Algorithm 3;
//            rescaled output: Dao et al. 2022, arXiv:2205.14135, Algorithm 1
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

// A thread's scratch memory
struct Workspace {
    float *packed, *scores, *weights, *part, *total, *wide_keys, *wide_values;
};

// What is held of a tile's rows: the softmax's sums, then what observe() asks for. Layout: RowsInLanes or DimsInLanes.
template <class Layout>
static std::int64_t state_floats_of(const AttentionCall& call) {
    return Layout::state_floats(call) + Observer<Layout>::state_floats(call);
}

template <class Layout>
static std::int64_t divide_workspace(const AttentionCall& call, float* base, Workspace& work) {
    std::int64_t used = 0;
    const auto take = [&](float*& piece, std::int64_t floats) {
        piece = base == nullptr ? nullptr : base + used;
        used += (floats + 15) / 16 * 16;  // whole cache lines
    };
    const bool wide = !Layout::reads_in_place && (call.key_value_format != Format::float32 || !call.whole_blocks());
    take(work.packed, Layout::packed_floats(call));
    take(work.scores, Layout::score_floats());
    work.weights = work.scores;  // in place, unless statistics need both
    if (call.statistics.wanted()) take(work.weights, Layout::score_floats());
    take(work.part, state_floats_of<Layout>(call));
    take(work.total, call.key_len > part_keys ? state_floats_of<Layout>(call) : 0);
    take(work.wide_keys, wide ? block_keys * call.key_dim : 0);
    take(work.wide_values, wide ? block_keys * call.value_dim : 0);
    return used * static_cast<std::int64_t>(sizeof(float));
}

// A block's keys or values: in place or, for a layout that reads no format but float32 side by side, brought together so
template <class Layout>
static inline Matrix block_rows(const Stored& stored, const Block& block, float* wide, Scattered& scattered) {
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
    float* to = wide;
    for (std::int64_t token = block.first; token < end;) {
        const char* row = stored.row(token);
        const std::int64_t run_end = token + stored.run(token) < end ? token + stored.run(token) : end;
        for (; token < run_end; ++token, row += stored.array.token_stride, to += stored.dim)
            widen_row(row, stored.dim, format, stored.scale(token), to);
    }
    const std::int64_t stride = stored.dim * static_cast<std::int64_t>(sizeof(float));
    return {reinterpret_cast<const char*>(wide), stride, block.key_count, Format::float32, nullptr, 0, end, next_end, nullptr};
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

// The keys of one part, from a cleared state
template <class Layout>
static void attend_part(const AttentionCall& call, const TileRows& rows, std::int64_t part, const Workspace& work,
                        float* state) {
    typename Layout::Soon soon(call, rows);
    Layout::clear(call, state);
    const bool observed = call.statistics.wanted();
    Observer<Layout> observer(call, rows);
    if (observed) observer.clear(state);
    const KeysAndValues stored = {{call, call.key, call.key_scales, rows.batch, rows.kv_head, call.key_dim},
                                  {call, call.value, call.value_scales, rows.batch, rows.kv_head, call.value_dim}};
    Block block = {};
    Scattered scattered;
    block.keys = larger(rows.range_end[0], rows.range_end[1]);
    const std::int64_t end = (part + 1) * part_keys < block.keys ? (part + 1) * part_keys : block.keys;
    for (std::int64_t start = part * part_keys; start < end; start += block_keys) {
        // 1. who sees what
        if (!find_block(call, rows, start, block)) continue;
        // 2. scores
        float top[Layout::shrink_floats];
        const Matrix scored = block_rows<Layout>(stored.keys, block, work.wide_keys, scattered);
        Layout::score(call, rows, block, work.packed, scored, stored, work.scores, top, soon);
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
        const Matrix values = block_rows<Layout>(stored.values, block, work.wide_values, scattered);
        if (!all_finite(values, call.value_dim, hidden_keys(rows, block)))
            Layout::mix_carefully(call, rows, block, work.weights, values, shrink, state);
        else
            Layout::mix(call, rows, block, work.weights, values, stored, shrink, state);
    }
}

template <class Layout>
static void begin(const AttentionCall& call, const TileRows& rows, const Workspace& work) {
    const double factor = call.has_softcap ? call.scale / call.softcap : call.scale * (1.0 / ln_2);
    Layout::pack_queries(call, rows, factor, work.packed);
}

template <class Layout>
static void merge_states(const AttentionCall& call, const TileRows& rows, float* total, float* part) {
    if (call.statistics.wanted()) Observer<Layout>(call, rows).merge(total, part);
    Layout::merge(call, rows, total, part);
}

template <class Layout>
static void finish(const AttentionCall& call, const TileRows& rows, float* state) {
    const Observer<Layout> observer(call, rows);
    typename Observer<Layout>::OfKeys keys;
    if (call.statistics.wanted()) observer.take_sums(state, keys);
    if (call.sinks != nullptr) Layout::add_sinks(call, rows, state);
    if (call.statistics.wanted()) observer.write(state, keys);
    Layout::write_rows(call, rows, state);
    if (call.log_normalizer == nullptr) return;
    for (std::int64_t r = 0; r < rows.count; ++r)
        call.log_normalizer[(rows.batch * call.query_heads + rows.head[r]) * call.query_len + rows.query[r]] =
            natural_log_normalizer(Layout::largest_of(state, r), Layout::sum_of(state, r));
}

// The three ways into a tile, for whichever layout its rows call for
struct RunTile {
    template <class Layout>
    static void in(const AttentionCall& call, const TileRows& rows, float* scratch) {
        Workspace work;
        divide_workspace<Layout>(call, scratch, work);
        begin<Layout>(call, rows, work);
        float* whole = nullptr;
        for (std::int64_t part = 0; part < call.parts(); ++part) {
            const std::int64_t end = (part + 1) * part_keys;
            if (!any_row_reaches(rows, part * part_keys, end) && !(whole == nullptr && part + 1 == call.parts())) continue;
            float* state = whole == nullptr ? (call.parts() > 1 ? work.total : work.part) : work.part;
            attend_part<Layout>(call, rows, part, work, state);
            if (whole != nullptr) merge_states<Layout>(call, rows, whole, state);
            else whole = state;
        }
        finish<Layout>(call, rows, whole);
    }
};

struct RunPart {
    template <class Layout>
    static void in(const AttentionCall& call, const TileRows& rows, float* scratch, std::int64_t part, float* state) {
        Workspace work;
        divide_workspace<Layout>(call, scratch, work);
        begin<Layout>(call, rows, work);
        attend_part<Layout>(call, rows, part, work, state);
    }
};

struct FinishTile {
    template <class Layout>
    static void in(const AttentionCall& call, const TileRows& rows, float* states, std::int64_t state_floats) {
        for (std::int64_t part = 1; part < call.parts(); ++part)
            merge_states<Layout>(call, rows, states, states + part * state_floats);
        finish<Layout>(call, rows, states);
    }
};

template <class Way, typename... Arguments>
static void with_layout(const AttentionCall& call, const TileRows& rows, Arguments... arguments) {
    if (rows.count <= DimsInLanes::most_rows)
        Way::template in<DimsInLanes>(call, rows, arguments...);
    else if (rows.count <= lanes)
        Way::template in<RowsInLanes<1>>(call, rows, arguments...);
    else if (rows.count <= 2 * lanes)
        Way::template in<RowsInLanes<2>>(call, rows, arguments...);
    else
        Way::template in<RowsInLanes<3>>(call, rows, arguments...);
}

static std::int64_t count_workspace_bytes(const AttentionCall& call) {
    Workspace unused;
    return larger(divide_workspace<RowsInLanes<tile_vectors>>(call, nullptr, unused),
                  divide_workspace<DimsInLanes>(call, nullptr, unused));
}

static std::int64_t count_state_floats(const AttentionCall& call) {
    return larger(state_floats_of<RowsInLanes<tile_vectors>>(call), state_floats_of<DimsInLanes>(call));
}

static void run_tile(const AttentionCall& call, std::int64_t tile, void* workspace) {
    TileRows rows;
    find_rows(call, tile, rows);
    with_layout<RunTile>(call, rows, static_cast<float*>(workspace));
}

static void run_part(const AttentionCall& call, std::int64_t tile, std::int64_t part, float* state, void* workspace) {
    TileRows rows;
    find_rows(call, tile, rows);
    with_layout<RunPart>(call, rows, static_cast<float*>(workspace), part, state);
}

static void finish_tile(const AttentionCall& call, std::int64_t tile, float* states) {
    TileRows rows;
    find_rows(call, tile, rows);
    with_layout<FinishTile>(call, rows, states, count_state_floats(call));
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
