// The survey: the second pass of observe(), for results that need every row's final sum.
//
// computes  weight[i][j] = exp2(s_ij - largest_i) * share_i, with largest and share as the first pass wrote
//           them; received[j] = sum over i of counted_i weight[i][j]
//           map[I][J] = mean over the queries i of block I of the sum over the keys j of block J of
//           weight[i][j]
// tasks     some keys of one head and all its queries: no two tasks write to the same place
// layout    received_parts[key][16], row_parts[column][row of the tile]
// order     a key's weights are 16 partial sums over query mod 16, each in rising order of queries, added
//           left to right; a map's cell adds up runs of at most 256 keys, each row by row: the same bits on
//           all levels
// masked    a fully masked row has share 0 and adds nothing
// NaN       a row whose share is NaN adds NaN to the keys that it sees, and to no others
// source    Milakov & Gimelshein 2018, arXiv:1805.02867, Algorithm 1: two passes, the second with the final
//           sum
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

// Taken together: their partial sums, 16 KiB, stay in the first cache
constexpr std::int64_t survey_keys = 256;
constexpr std::int64_t query_residues = 16;
static_assert(query_residues % lanes == 0 && tile_rows % lanes == 0);

// The first index of block `part` of `parts`: total * part / parts, rounded up
ATTNSCOPE_INLINE std::int64_t block_start(std::int64_t part, std::int64_t total, std::int64_t parts) {
    return (part * total + parts - 1) / parts;
}

struct SurveyColumns {
    std::int64_t count, per_task;  // columns of the map, or of 256 keys if there is no map

    explicit SurveyColumns(const AttentionCall& call) {
        const Statistics& wanted = call.statistics;
        count = wanted.map != nullptr ? wanted.map_columns : (call.key_len + survey_keys - 1) / survey_keys;
        per_task = call.key_len == 0 ? 1 : larger(1, survey_keys * count / call.key_len);
    }
    std::int64_t tasks() const { return (count + per_task - 1) / per_task; }
    std::int64_t first_key(const AttentionCall& call, std::int64_t column) const {
        return call.statistics.map != nullptr ? block_start(column, call.key_len, count)
                                              : smaller(column * survey_keys, call.key_len);
    }
};

// One head of one batch row, as a call of its own
static AttentionCall head_of(const AttentionCall& call, std::int64_t batch, std::int64_t head) {
    AttentionCall one = call;
    const std::int64_t kv_head = head / call.group();
    const auto skip = [&](auto& stored) ATTNSCOPE_LAMBDA {
        if (stored.data == nullptr) return;
        stored.data +=
            kv_head * stored.head_stride + (call.pages.table == nullptr ? batch * stored.batch_stride : 0);
    };
    one.batch = one.query_heads = one.kv_heads = 1;
    one.query.data = row_of(call.query, batch, head, 0);
    one.output.data = row_of(call.output, batch, head, 0);
    skip(one.key), skip(one.value), skip(one.key_scales), skip(one.value_scales);
    if (one.pages.table != nullptr) one.pages.table += batch * call.pages.table_stride;
    if (one.key_lens != nullptr) one.key_lens += batch;
    Visibility& visibility = one.visibility;
    if (visibility.first_key != nullptr) {
        visibility.first_key += batch * visibility.span_batch_stride;
        visibility.end_key += batch * visibility.span_batch_stride;
    }
    if (visibility.words != nullptr)
        visibility.words += batch * visibility.words_batch_stride + head * visibility.words_head_stride;
    if (one.bias.data != nullptr)
        one.bias.data += batch * one.bias.batch_stride + head * one.bias.head_stride;
    if (one.slopes != nullptr) one.slopes += head;
    const std::int64_t row = (batch * call.query_heads + head) * call.query_len;
    one.statistics.largest += row;
    one.statistics.share += row;
    if (one.statistics.counted != nullptr) one.statistics.counted += row;
    return one;
}

struct SurveyWorkspace {
    float *packed, *scores, *wide_keys, *received_parts, *row_parts;
};

static std::int64_t divide_survey_workspace(const AttentionCall& call, float* base, SurveyWorkspace& work) {
    using Largest = RowsInLanes<tile_vectors>;
    std::int64_t used = 0;
    const auto take = [&](float*& piece, std::int64_t floats) {
        piece = base == nullptr ? nullptr : base + used;
        used += (floats + 15) / 16 * 16;
    };
    take(work.packed, Largest::packed_floats(call));
    take(work.scores, Largest::score_floats());
    take(work.wide_keys, block_keys * call.key_dim);
    take(work.received_parts, survey_keys * query_residues);
    take(work.row_parts, SurveyColumns(call).per_task * tile_rows);
    return used * static_cast<std::int64_t>(sizeof(float));
}

// Keys [first, end) of one head, at most survey_keys of them, in columns [column, column_end)
struct Surveyed {
    std::int64_t first, end, column, column_end;
};

// A tile's rows in the survey: their weights are added to what keys receive, and to rows' sums per column
template <int V>
struct SurveyedRows {
    using Layout = RowsInLanes<V>;
    static constexpr int stride = Layout::stride;

    const AttentionCall& one;
    const TileRows& rows;
    const SurveyWorkspace& work;
    float largest[stride] = {}, share[stride] = {}, counted[stride] = {};

    SurveyedRows(const AttentionCall& call, const TileRows& tile, const SurveyWorkspace& memory)
        : one(call), rows(tile), work(memory) {
        const Statistics& wanted = one.statistics;
        for (std::int64_t r = 0; r < rows.count; ++r) {
            largest[r] = wanted.largest[rows.query[r]];
            share[r] = wanted.share[rows.query[r]];
            counted[r] = wanted.counted == nullptr ? 1.0f : wanted.counted[rows.query[r]];
        }
    }

    // 1. the scores of the first pass
    void score(const Stored& stored, Block& block, std::int64_t next) const {
        Widened wide = {.floats = work.wide_keys, .first = 0, .count = 0};
        const Matrix keys = rows_as_floats(stored, block.first, block.key_count, wide);
        Prefetch ahead = fetch_from(stored, next), none;
        float top[stride];
        Layout::score(one, rows, block, work.packed, keys, ahead, none, work.scores, top);
        if (one.has_softcap) Layout::softcap(one, rows, block, work.scores);
        if (one.bias.data != nullptr) Layout::add_bias(one, rows, block, work.scores);
        if (one.slopes != nullptr) Layout::add_distance(one, rows, block, work.scores);
    }

    // 2. the weights of the first pass, for the keys [k, end) of a block, which are in one column; 3. added
    // to what each key receives (`received`: the block's key 0) and to the rows' sums of the column
    void add_keys(const SeenKeys<V>& seen, const typename Layout::VisibleLanes& visible, std::int64_t k,
                  std::int64_t end, float* received, float* row_sums) const {
        for (int v = 0; v < V; ++v) {
            const int at = v * lanes;
            const Vector row_largest = load(largest + at), row_share = load(share + at),
                         factor = load(counted + at);
            const std::int64_t residue = (rows.query[0] + at) % query_residues;
            Vector row_sum = load(row_sums + at);
            const std::int64_t seen_end = smaller(end, seen.end[v]);
            for (std::int64_t key = larger(k, seen.first[v]); key < seen_end; ++key) {
                const Vector p = exp2_not_positive(sub(load(work.scores + key * stride + at), row_largest));
                const Vector weight = select(visible.mask(key, v), mul(p, row_share), zero());
                float* part = received + key * query_residues + residue;
                store(part, fma(weight, factor, load(part)));
                row_sum = add(row_sum, weight);
            }
            store(row_sums + at, row_sum);
        }
    }
};

template <int V>
static void survey_tile(const AttentionCall& one, const TileRows& rows, const SurveyColumns& columns,
                        const Surveyed& keys, const SurveyWorkspace& work) {
    using Layout = RowsInLanes<V>;
    const SurveyedRows<V> surveyed(one, rows, work);
    for (std::int64_t at = 0; at < (keys.column_end - keys.column) * tile_rows; ++at)
        work.row_parts[at] = 0.0f;
    const double factor = one.has_softcap ? one.scale / one.softcap : one.scale * (1.0 / ln_2);
    Layout::pack_queries(one, rows, factor, work.packed);
    const Stored stored = {.call = one,
                           .array = one.key,
                           .scales = one.key_scales,
                           .batch = 0,
                           .kv_head = 0,
                           .dim = one.key_dim};
    Block block;
    block.keys = one.keys_of(0);
    std::int64_t column = keys.column;
    for (std::int64_t start = keys.first, next = 0; start < keys.end; start = next) {
        next = smaller(keys.end, (start / block_keys + 1) * block_keys);
        if (!find_block(one, rows, start, smaller(next, block.keys), block)) continue;
        if (block.all_see_all)
            find_visible_keys(rows, block.first, block.seen);  // lanes past the tile's rows see none
        const SeenKeys<V> seen(block);                         // before a bias of -inf hides any
        surveyed.score(stored, block, next < block.keys ? next : block.first);
        const typename Layout::VisibleLanes visible(block);
        float* received = work.received_parts + (block.first - keys.first) * query_residues;
        for (std::int64_t k = 0, column_end = 0; k < block.key_count; k = column_end) {
            while (column + 1 < keys.column_end && block.first + k >= columns.first_key(one, column + 1))
                ++column;
            column_end = smaller(block.key_count, columns.first_key(one, column + 1) - block.first);
            surveyed.add_keys(seen, visible, k, column_end, received,
                              work.row_parts + (column - keys.column) * tile_rows);
        }
    }
}

// Adds the sums of a tile's rows per column to the rows of the map
static void add_to_map(const AttentionCall& call, std::int64_t pair, const TileRows& rows,
                       const Surveyed& keys, const SurveyWorkspace& work) {
    const Statistics& wanted = call.statistics;
    for (std::int64_t r = 0; r < rows.count; ++r) {
        const std::int64_t map_row = rows.query[r] * wanted.map_rows / call.query_len;
        float* cells = wanted.map + (pair * wanted.map_rows + map_row) * wanted.map_columns;
        for (std::int64_t column = keys.column; column < keys.column_end; ++column)
            cells[column] += work.row_parts[(column - keys.column) * tile_rows + r];
    }
}

static void survey_keys_of_head(const AttentionCall& call, const AttentionCall& one, std::int64_t pair,
                                const SurveyColumns& columns, const Surveyed& keys,
                                const SurveyWorkspace& work) {
    const Statistics& wanted = call.statistics;
    for (std::int64_t at = 0; at < (keys.end - keys.first) * query_residues; ++at)
        work.received_parts[at] = 0.0f;
    for (std::int64_t tile = count_tiles(one) - 1; tile >= 0; --tile) {  // tiles count from the last query
        TileRows rows;
        find_rows(one, tile, rows);
        if (!any_row_reaches(rows, keys.first, keys.end)) continue;
        if (rows.count <= lanes)
            survey_tile<1>(one, rows, columns, keys, work);
        else if (rows.count <= 2 * lanes)
            survey_tile<2>(one, rows, columns, keys, work);
        else
            survey_tile<3>(one, rows, columns, keys, work);
        if (wanted.map != nullptr) add_to_map(call, pair, rows, keys, work);
    }
    if (wanted.received == nullptr) return;
    for (std::int64_t key = keys.first; key < keys.end; ++key) {
        const float* parts = work.received_parts + (key - keys.first) * query_residues;
        float total = 0.0f;
        for (int i = 0; i < query_residues; ++i) total += parts[i];
        wanted.received[pair * call.key_len + key] = total;
    }
}

static std::int64_t count_survey_tasks(const AttentionCall& call) {
    return call.batch * call.query_heads * SurveyColumns(call).tasks();
}

static std::int64_t count_survey_workspace_bytes(const AttentionCall& call) {
    SurveyWorkspace unused;
    return divide_survey_workspace(call, nullptr, unused);
}

static void run_survey(const AttentionCall& call, std::int64_t task, void* workspace) {
    SurveyWorkspace work;
    divide_survey_workspace(call, static_cast<float*>(workspace), work);
    const SurveyColumns columns(call);
    const std::int64_t pair = task / columns.tasks(), column = task % columns.tasks() * columns.per_task;
    const std::int64_t column_end = smaller(column + columns.per_task, columns.count);
    const AttentionCall one = head_of(call, pair / call.query_heads, pair % call.query_heads);
    const std::int64_t end = columns.first_key(call, column_end);
    for (std::int64_t first = columns.first_key(call, column); first < end; first += survey_keys)
        survey_keys_of_head(call, one, pair, columns,
                            {.first = first,
                             .end = smaller(first + survey_keys, end),
                             .column = column,
                             .column_end = column_end},
                            work);
    if (call.statistics.map == nullptr) return;
    const std::int64_t rows = call.statistics.map_rows;
    for (std::int64_t row = 0; row < rows; ++row) {
        const std::int64_t queries =
            block_start(row + 1, call.query_len, rows) - block_start(row, call.query_len, rows);
        float* cells = call.statistics.map + (pair * rows + row) * call.statistics.map_columns;
        for (std::int64_t at = column; at < column_end; ++at) cells[at] /= static_cast<float>(queries);
    }
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
