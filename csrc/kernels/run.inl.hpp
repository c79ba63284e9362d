// The level's ways into tiles: several tiles at once, one part of a tile, a tile's parts put together.
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

template <RowLayout Layout>
static void run_tiles(const AttentionCall& call, std::int64_t first, int count, float* scratch) {
    Tile<Layout> tiles[tiles_together];
    Workspace work;
    divide_workspace(call, scratch, work, tiles, count);
    begin(call, first, count, tiles);
    for (std::int64_t part = 0; part < call.parts(); ++part) {
        // 1. the tiles that see keys of this part; a tile that saw none needs a cleared state in the last one
        const bool last = part + 1 == call.parts();
        Tile<Layout>* reaching[tiles_together];
        int reached = 0;
        for (Tile<Layout>* tile = tiles; tile < tiles + count; ++tile) {
            const bool saw_none = tile->whole == nullptr && last;
            if (!saw_none && !any_row_reaches(tile->rows, part * part_keys, (part + 1) * part_keys)) continue;
            tile->state = tile->whole == nullptr && call.parts() > 1 ? tile->total : tile->part;
            reaching[reached++] = tile;
        }
        // 2. this part alone
        attend_part(call, reaching, reached, part, work);
        // 3. merged into the parts before
        for (int i = 0; i < reached; ++i) {
            Tile<Layout>& tile = *reaching[i];
            if (tile.whole != nullptr)
                merge_states<Layout>(call, tile.rows, tile.whole, tile.state);
            else
                tile.whole = tile.state;
        }
    }
    for (Tile<Layout>* tile = tiles; tile < tiles + count; ++tile)
        finish<Layout>(call, tile->rows, tile->whole);
}

template <RowLayout Layout>
static void run_part_of(const AttentionCall& call, std::int64_t first, std::int64_t part, float* state,
                        float* scratch) {
    Tile<Layout> tile, *only = &tile;
    Workspace work;
    divide_workspace(call, scratch, work, only, 1);
    begin(call, first, 1, only);
    tile.state = state;
    attend_part(call, &only, 1, part, work);
}

template <RowLayout Layout>
static void finish_parts(const AttentionCall& call, std::int64_t tile, float* states,
                         std::int64_t state_floats) {
    TileRows rows;
    find_rows(call, tile, rows);
    for (std::int64_t part = 1; part < call.parts(); ++part)
        merge_states<Layout>(call, rows, states, states + part * state_floats);
    finish<Layout>(call, rows, states);
}

// Calls body<Layout>() with the layout for this tile's number of rows
template <typename Body>
static void with_layout(const AttentionCall& call, std::int64_t tile, const Body& body) {
    const std::int64_t rows = count_rows(call, tile);
    if (rows <= DimsInLanes::most_rows)
        body.template operator()<DimsInLanes>();
    else if (rows <= lanes)
        body.template operator()<RowsInLanes<1>>();
    else if (rows <= 2 * lanes)
        body.template operator()<RowsInLanes<2>>();
    else
        body.template operator()<RowsInLanes<3>>();
}

static std::int64_t count_workspace_bytes(const AttentionCall& call) {
    Workspace unused;
    Tile<RowsInLanes<tile_vectors>> tiles[tiles_together];
    Tile<DimsInLanes> tile;
    return larger(divide_workspace(call, nullptr, unused, tiles, tiles_together),
                  divide_workspace(call, nullptr, unused, &tile, 1));
}

static std::int64_t count_state_floats(const AttentionCall& call) {
    return larger(state_floats_of<RowsInLanes<tile_vectors>>(call), state_floats_of<DimsInLanes>(call));
}

// How many tiles from this one on have all their rows and read the same keys; 1 for a tile with fewer rows
static int count_together(const AttentionCall& call, std::int64_t tile, std::int64_t end) {
    const std::int64_t per_head = tiles_per_kv_head(call);
    if (count_rows(call, tile) < tile_rows) return 1;
    int count = 1;
    while (count < tiles_together && tile + count < end && (tile + count) % per_head != 0) ++count;
    return count;
}

static std::int64_t run_some_tiles(const AttentionCall& call, std::int64_t first, std::int64_t end,
                                   void* workspace) {
    const int count = count_together(call, first, end);
    with_layout(call, first, [&]<RowLayout Layout>() {
        run_tiles<Layout>(call, first, count, static_cast<float*>(workspace));
    });
    return first + count;
}

static void run_part(const AttentionCall& call, std::int64_t tile, std::int64_t part, float* state,
                     void* workspace) {
    with_layout(call, tile, [&]<RowLayout Layout>() {
        run_part_of<Layout>(call, tile, part, state, static_cast<float*>(workspace));
    });
}

static void finish_tile(const AttentionCall& call, std::int64_t tile, float* states) {
    with_layout(call, tile, [&]<RowLayout Layout>() {
        finish_parts<Layout>(call, tile, states, count_state_floats(call));
    });
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
