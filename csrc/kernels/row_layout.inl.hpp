// What attention over a tile needs to know about the lanes: which axis they run along.
#pragma once

#include <concepts>

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

// A layout decides where the scores and sums of a tile's rows are in memory, and computes the steps of a
// block there. It has no data, only static members. Both layouts keep the order of every sum, so a row has
// the same bits in each.
//
// Sizes, in floats
//   row_floats          an array with one number per row, as `top` and `shrink` below; whole vectors
//   packed_floats(call) the packed queries of a tile
//   score_floats()      the scores of a block; its weights need as many
//   state_floats(call)  the sums over the keys so far
//
// Memory
//   reads_in_place      whether score() and mix() read every format and scattered rows; if not, they get
//                       float32 rows at one stride
//   fetches_next_block  which rows score() and mix() prefetch: true, those of the next block; false, the rows
//                       that the next step reads: this block's values, then the next block's keys
//
// State: the sums, relative to exp2(largest)
//   largest, sum        arrays with one number per row: the largest visible score, -inf before the first; the
//                       sum of weights
//   mixed               the sum of weight * value
//   largest_of, sum_of  the same numbers of one row
//   clear               before the first key
//   merge               adds a part's sums to the total; the part comes later in the order of keys
//   add_sinks           adds each row's sink to its sum
//   write_rows          divides by the sum and writes the output rows; destroys `mixed`
//
// Steps of a block, in this order
//   pack_queries        once per tile: factor * query, in the order in which score() reads it
//   score               dot products of all keys that any row of a vector sees; `top`, if it is computed: the
//                       largest score of each row, hidden keys included. Its two prefetches are those of
//                       fetches_next_block and, row by row, the rows that are needed when the tile is done.
//   softcap, add_bias, add_distance
//                       what the call asks for; a bias of -inf hides its key
//   softmax             weights; largest and sum of the state; in `shrink` the factor of what was accumulated
//                       before. Hidden scores are -inf and hidden weights 0 afterwards. `weights` may be
//                       `scores`. `top` is from score() if no step changed the scores since, else null.
//   mix                 mixed = shrink * mixed + weights * values
//   mix_carefully       the same if a hidden value may be NaN or infinite: hidden terms are skipped, since 0
//                       * NaN is NaN
//
// A walk over scores or weights, for statistics: units(rows) vectors of rows, each of cells(block) vectors
//   cell(scores, u, i)  cell i of unit u: keys_per_cell keys, neighbouring lanes first, of each of its rows
//   row_of(u, lane)     the row of a lane; index(row): its place in an array with one number per row
//   partials            how many cells in turn are added up separately, so that sums are over key mod 4
//   fold_sum, fold_max  the sum of those partial sums, the largest of a cell, per row
template <class Layout>
concept RowLayout = requires(const AttentionCall& call, const TileRows& rows, Block& block, const Block& seen,
                             const Matrix& matrix, Prefetch& fetched, float* floats, const float* read, int u,
                             std::int64_t n, double factor, Vector vector, const Vector* vectors) {
    { Layout::row_floats } -> std::convertible_to<int>;
    { Layout::packed_floats(call) } -> std::same_as<std::int64_t>;
    { Layout::score_floats() } -> std::same_as<std::int64_t>;
    { Layout::state_floats(call) } -> std::same_as<std::int64_t>;

    { Layout::reads_in_place } -> std::convertible_to<bool>;
    { Layout::fetches_next_block } -> std::convertible_to<bool>;

    { Layout::largest(floats) } -> std::same_as<float*>;
    { Layout::largest(read) } -> std::same_as<const float*>;
    { Layout::sum(floats) } -> std::same_as<float*>;
    { Layout::sum(read) } -> std::same_as<const float*>;
    { Layout::mixed(floats) } -> std::same_as<float*>;
    { Layout::mixed(read) } -> std::same_as<const float*>;
    { Layout::largest_of(read, n) } -> std::same_as<float>;
    { Layout::sum_of(read, n) } -> std::same_as<float>;
    Layout::clear(call, floats);
    Layout::merge(call, rows, floats, read);
    Layout::add_sinks(call, rows, floats);
    Layout::write_rows(call, rows, floats);

    Layout::pack_queries(call, rows, factor, floats);
    Layout::score(call, rows, seen, read, matrix, fetched, fetched, floats, floats);
    Layout::softcap(call, rows, seen, floats);
    Layout::add_bias(call, rows, block, floats);
    Layout::add_distance(call, rows, seen, floats);
    Layout::softmax(rows, seen, read, floats, floats, floats, floats);
    Layout::mix(call, rows, seen, read, matrix, fetched, read, floats);
    Layout::mix_carefully(call, rows, seen, read, matrix, read, floats);

    { Layout::units(rows) } -> std::same_as<int>;
    { Layout::cells(seen) } -> std::same_as<std::int64_t>;
    { Layout::keys_per_cell } -> std::convertible_to<int>;
    { Layout::partials } -> std::convertible_to<int>;
    { Layout::cell(read, u, n) } -> std::same_as<const float*>;
    { Layout::row_of(u, u) } -> std::same_as<std::int64_t>;
    { Layout::index(n) } -> std::same_as<std::int64_t>;
    store(floats, Layout::fold_sum(vectors));
    store(floats, Layout::fold_max(vector));
};

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
