// What observe() asks of a tile's rows: a few more sums beside the softmax's, from the same scores and weights.
//
// computes   with p_j = exp2(s_j - largest), relative to which all sums are held:
//            surprise = sum p (s - largest), distance = sum p |position - j|, first = sum p over the first keys,
//            a sum of p for each segment; the strongest key, how many are visible, the top_keys best scores
// entropy    -sum w ln w = ln Z sum w - sum w ln(2) s, with every s relative to the largest, so that no large numbers
//            cancel; when the largest grows by c, sum p (s - largest) becomes 2^-c (sum p (s - largest) - c sum p)
// order      four partial sums over key mod 4, each in falling order of keys, added left to right, then to the blocks
//            before: the same bits in both layouts and on all levels
// layout     state: unit-wide vectors, one a sum, as `largest` and `sum` are; then top_keys scores and keys a row
// numbers    keys and counts are held as floats, exact below 2^24: who calls sees to it
// source     Shannon 1948, section 6; the online softmax as in tile.inl.hpp
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

constexpr float no_key = -1.0f;

template <class Layout>
struct Observer {
    static constexpr int width = Layout::shrink_floats;
    enum Sum : int { surprise, distance, first_mass, strongest, visible, segment };  // the segments follow

    const AttentionCall& call;
    const TileRows& rows;

    static std::int64_t sums(const AttentionCall& call) { return segment + call.statistics.segments; }
    static std::int64_t state_floats(const AttentionCall& call) {
        if (!call.statistics.wanted()) return 0;
        return sums(call) * width + 2 * tile_rows * call.statistics.top_keys;
    }
    // A block's scores, and what the softmax held before it
    static std::int64_t kept_floats(const AttentionCall& call) {
        return call.statistics.wanted() ? Layout::score_floats() + 2 * width : 0;
    }
    static float* kept_largest(float* kept) { return kept + Layout::score_floats(); }
    static float* kept_sum(float* kept) { return kept_largest(kept) + width; }

    float* sum_of(float* state, int which, int unit = 0) const {
        return state + Layout::state_floats(call) + which * width + unit * lanes;
    }
    float* top_scores(float* state, std::int64_t row) const {
        return sum_of(state, static_cast<int>(sums(call))) + row * 2 * call.statistics.top_keys;
    }

    void clear(float* state) const {
        for (int which = 0; which < sums(call); ++which)
            for (int u = 0; u < width / lanes; ++u)
                store(sum_of(state, which, u), which == strongest ? broadcast(no_key) : zero());
        for (std::int64_t row = 0; row < rows.count; ++row) {
            float* best = top_scores(state, row);
            for (std::int64_t i = 0; i < call.statistics.top_keys; ++i) best[i] = -infinity, best[call.statistics.top_keys + i] = no_key;
        }
    }

    // Before the softmax turns scores into weights in their own place
    void keep(const Block& block, float* scores, float* state, float* kept) const {
        for (int u = 0; u < Layout::units(rows); ++u) {
            for (std::int64_t i = 0; i < Layout::cells(block); ++i)
                store(Layout::cell(kept, u, i), load(Layout::cell(scores, u, i)));
            store(kept_largest(kept) + u * lanes, load(Layout::largest(state) + u * lanes));
            store(kept_sum(kept) + u * lanes, load(Layout::sum(state) + u * lanes));
        }
    }

    // After it
    void count(const Block& block, float* weights, float* kept, const float* shrink, float* state) const {
        for (int u = 0; u < Layout::units(rows); ++u) count_unit(block, u, weights, kept, load(shrink + u * lanes), state);
        count_segments(block, weights, shrink, state);
        for (std::int64_t row = 0; row < rows.count; ++row) {
            const std::int64_t seen = block.all_see_all ? block.key_count
                                                        : __builtin_popcountll(block.seen[row] & bits_below(block.key_count));
            for (int copy = 0; copy < Layout::keys_a_cell; ++copy)
                sum_of(state, visible)[Layout::element(row) + copy] += static_cast<float>(seen);
        }
        if (call.statistics.top_keys > 0) find_top_keys(block, kept, state);
    }

    // Before the layout merges the softmax's own sums
    void merge(float* total, float* part) const {
        for (int u = 0; u < Layout::units(rows); ++u) {
            const Vector before = load(Layout::largest(total) + u * lanes), other = load(Layout::largest(part) + u * lanes);
            const Vector now = max(before, other), anchor = anchor_of(now);
            const Vector shrink_total = exp2_not_positive(sub(before, anchor)), shrink_part = exp2_not_positive(sub(other, anchor));
            const Vector of_total = anew(load(sum_of(total, surprise, u)), before, now, load(Layout::sum(total) + u * lanes));
            const Vector of_part = anew(load(sum_of(part, surprise, u)), other, now, load(Layout::sum(part) + u * lanes));
            store(sum_of(total, surprise, u), add(mul(of_total, shrink_total), mul(of_part, shrink_part)));
            for (int which = distance; which < sums(call); ++which) {
                if (which == strongest || which == visible) continue;
                float* cell = sum_of(total, which, u);
                store(cell, fma(load(sum_of(part, which, u)), shrink_part, mul(load(cell), shrink_total)));
            }
            float* key = sum_of(total, strongest, u);
            store(key, select(equal(now, before), load(key), load(sum_of(part, strongest, u))));
            float* seen = sum_of(total, visible, u);
            store(seen, add(load(seen), load(sum_of(part, visible, u))));
        }
        const std::int64_t most = call.statistics.top_keys;
        for (std::int64_t row = 0; row < rows.count; ++row) {
            const float* best = top_scores(part, row);
            for (std::int64_t i = 0; i < most && best[i] > -infinity; ++i) insert(top_scores(total, row), best[i], best[most + i]);
        }
    }

    // What the keys alone amount to; a sink, which joins next, is no key
    struct OfKeys {
        float largest[tile_rows], sum[tile_rows];
    };
    void take_sums(float* state, OfKeys& keys) const {
        for (std::int64_t row = 0; row < rows.count; ++row) {
            keys.largest[row] = Layout::largest_of(state, row);
            keys.sum[row] = Layout::sum_of(state, row);
        }
    }

    void write(float* state, const OfKeys& keys) const {
        for (std::int64_t row = 0; row < rows.count; ++row) write_row(state, row, keys.largest[row], keys.sum[row]);
    }

private:
    // sum p (s - largest) relative to a new largest, before it shrinks; nothing was summed before the first visible key
    ATTNSCOPE_INLINE Vector anew(Vector surprised, Vector before, Vector now, Vector total) {
        const Vector moved = fma(sub(before, now), total, surprised);
        return select(equal(before, broadcast(-infinity)), zero(), moved);
    }

    void count_unit(const Block& block, int u, float* weights, float* kept, Vector shrink, float* state) const {
        const Vector before = load(kept_largest(kept) + u * lanes), now = load(Layout::largest(state) + u * lanes);
        const Vector anchor = anchor_of(now), one_cell = broadcast(static_cast<float>(Layout::keys_a_cell));
        const std::int64_t cells = Layout::cells(block);
        Vector key = keys_of_cell(block, cells - 1), found = broadcast(-infinity);
        const Vector position = positions(u);
        Vector surprised[Layout::partials], far[Layout::partials];
        for (int i = 0; i < Layout::partials; ++i) surprised[i] = far[i] = zero();
        const auto look = [&](std::int64_t i, int into) ATTNSCOPE_LAMBDA {
            const Vector weight = load(Layout::cell(weights, u, i));
            // A hidden key weighs 0 whatever it scored, NaN included
            const Vector below = select(equal(weight, zero()), broadcast(-127.0f), sub(load(Layout::cell(kept, u, i)), anchor));
            surprised[into] = fma(weight, below, surprised[into]);
            found = select(equal(below, zero()), sub(zero(), key), found);
            far[into] = fma(weight, magnitude(sub(key, position)), far[into]);
            key = sub(key, one_cell);
        };
        std::int64_t i = cells;
        for (; i % Layout::partials != 0; --i) look(i - 1, static_cast<int>((i - 1) % Layout::partials));
        for (; i > 0; i -= Layout::partials)
            for (int into = Layout::partials - 1; into >= 0; --into) look(i - Layout::partials + into, into);

        float* sum = sum_of(state, surprise, u);
        const Vector moved = anew(load(sum), before, now, load(kept_sum(kept) + u * lanes));
        store(sum, fma(moved, shrink, Layout::fold_sum(surprised)));
        sum = sum_of(state, distance, u);
        store(sum, fma(load(sum), shrink, Layout::fold_sum(far)));
        sum = sum_of(state, strongest, u);
        store(sum, select(equal(now, before), load(sum), sub(zero(), Layout::fold_max(found))));
        sum = sum_of(state, first_mass, u);
        store(sum, fma(load(sum), shrink, mass_of_first(block, u, weights)));
    }

    Vector mass_of_first(const Block& block, int u, float* weights) const {
        Vector mass[Layout::partials];
        for (int i = 0; i < Layout::partials; ++i) mass[i] = zero();
        const std::int64_t wanted = call.statistics.first_keys - block.first;
        if (wanted > 0) {
            const std::int64_t keys = smaller(wanted, block.key_count);
            const Vector end = broadcast(static_cast<float>(block.first + keys));
            for (std::int64_t i = (keys + Layout::keys_a_cell - 1) / Layout::keys_a_cell - 1; i >= 0; --i) {
                Vector& into = mass[i % Layout::partials];
                into = add(into, select(greater(end, keys_of_cell(block, i)), load(Layout::cell(weights, u, i)), zero()));
            }
        }
        return Layout::fold_sum(mass);
    }

    void count_segments(const Block& block, float* weights, const float* shrink, float* state) const {
        if (call.statistics.segments == 0) return;
        const std::uint8_t* label = call.statistics.labels + rows.batch * call.statistics.labels_batch_stride + block.first;
        std::uint64_t present = 0;
        for (std::int64_t k = 0; k < block.key_count; ++k) present |= std::uint64_t{1} << label[k];
        for (int u = 0; u < Layout::units(rows); ++u)
            for (int s = 0; s < static_cast<int>(call.statistics.segments); ++s) {
                float* sum = sum_of(state, segment + s, u);
                const Vector shrunk = mul(load(sum), load(shrink + u * lanes));
                store(sum, shrunk);
            }
        // Keys of one label and one remainder modulo 4 are one partial sum
        std::uint8_t order[block_keys];
        int start[4 * 64 + 1] = {};
        if ((present & (present - 1)) != 0) sort_by_label(block, label, order, start);
        for (int u = 0; u < Layout::units(rows); ++u)
            for (std::uint64_t left = present; left != 0; left &= left - 1) {
                const int s = __builtin_ctzll(left);
                float* sum = sum_of(state, segment + s, u);
                const bool alone = left == present && (left & (left - 1)) == 0;
                const Vector mass = alone ? mass_of_block(block, u, weights) : mass_of_label(block, u, weights, s, label, order, start);
                store(sum, add(load(sum), mass));
            }
    }

    static void sort_by_label(const Block& block, const std::uint8_t* label, std::uint8_t* order, int* start) {
        for (std::int64_t k = 0; k < block.key_count; ++k) ++start[4 * label[k] + k % 4 + 1];
        for (int i = 0; i < 4 * 64; ++i) start[i + 1] += start[i];
        int next[4 * 64];
        for (int i = 0; i < 4 * 64; ++i) next[i] = start[i];
        for (std::int64_t k = block.key_count - 1; k >= 0; --k) order[next[4 * label[k] + k % 4]++] = static_cast<std::uint8_t>(k);
    }

    Vector mass_of_block(const Block& block, int u, float* weights) const {
        Vector mass[Layout::partials];
        for (int i = 0; i < Layout::partials; ++i) mass[i] = zero();
        for (std::int64_t i = Layout::cells(block) - 1; i >= 0; --i)
            mass[i % Layout::partials] = add(mass[i % Layout::partials], load(Layout::cell(weights, u, i)));
        return Layout::fold_sum(mass);
    }

    Vector mass_of_label(const Block& block, int u, float* weights, int s, const std::uint8_t* label,
                         const std::uint8_t* order, const int* start) const {
        Vector mass[Layout::partials];
        for (int i = 0; i < Layout::partials; ++i) mass[i] = zero();
        if constexpr (Layout::keys_a_cell == 1) {
            for (int i = 0; i < Layout::partials; ++i)
                for (int at = start[4 * s + i]; at < start[4 * s + i + 1]; ++at)
                    mass[i] = add(mass[i], load(Layout::cell(weights, u, order[at])));
        } else {
            for (std::int64_t i = Layout::cells(block) - 1; i >= 0; --i) {
                float belongs[lanes];
                for (int at = 0; at < lanes; ++at) {
                    const std::int64_t k = i * Layout::keys_a_cell + at % Layout::keys_a_cell;
                    belongs[at] = k < block.key_count && label[k] == s ? 1.0f : 0.0f;
                }
                const Vector weight = load(Layout::cell(weights, u, i));
                mass[0] = add(mass[0], select(equal(load(belongs), zero()), zero(), weight));
            }
        }
        return Layout::fold_sum(mass);
    }

    void find_top_keys(const Block& block, float* kept, float* state) const {
        const std::int64_t most = call.statistics.top_keys;
        for (int u = 0; u < Layout::units(rows); ++u) {
            float least[lanes], scores[lanes];
            for (int lane = 0; lane < lanes; ++lane) {
                const std::int64_t row = Layout::row_of(u, lane);
                least[lane] = row < rows.count ? top_scores(state, row)[most - 1] : infinity;
            }
            for (std::int64_t i = 0; i < Layout::cells(block); ++i) {
                const Vector score = load(Layout::cell(kept, u, i));
                if (!any(greater(score, load(least)))) continue;
                store(scores, score);
                for (int lane = 0; lane < lanes; ++lane) {
                    const std::int64_t row = Layout::row_of(u, lane), k = i * Layout::keys_a_cell + lane % Layout::keys_a_cell;
                    if (!(scores[lane] > least[lane]) || k >= block.key_count) continue;
                    if (!block.all_see_all && !block.shows(row, k)) continue;
                    insert(top_scores(state, row), scores[lane], static_cast<float>(block.first + k));
                    const int first = lane / Layout::keys_a_cell * Layout::keys_a_cell;
                    for (int copy = 0; copy < Layout::keys_a_cell; ++copy) least[first + copy] = top_scores(state, row)[most - 1];
                }
            }
        }
    }

    // Into a list that falls; of equals, the first to come stays ahead
    void insert(float* best, float score, float key) const {
        const std::int64_t most = call.statistics.top_keys;
        if (!(score > best[most - 1])) return;
        std::int64_t at = most - 1;
        for (; at > 0 && score > best[at - 1]; --at) best[at] = best[at - 1], best[most + at] = best[most + at - 1];
        best[at] = score;
        best[most + at] = key;
    }

    void write_row(float* state, std::int64_t row, float largest_of_keys, float sum_of_keys) const {
        const Statistics& to = call.statistics;
        const std::int64_t at = (rows.batch * call.query_heads + rows.head[row]) * call.query_len + rows.query[row];
        const auto held = [&](int which) { return sum_of(state, which)[Layout::element(row)]; };
        const float largest = Layout::largest_of(state, row), sum = Layout::sum_of(state, row);
        const bool empty = sum_of_keys == 0.0f, is_number = sum == sum;
        // A key's weight is its p, relative to the largest score of the keys, times this share
        const float shrink = empty ? 0.0f : first_lane(exp2_not_positive(broadcast(largest_of_keys - largest)));
        const float share = empty ? 0.0f : shrink / sum;
        const double log_sum = empty ? 0.0 : log_positive(sum) + (static_cast<double>(largest) - largest_of_keys) * ln_2;
        const double nats = static_cast<double>(share) * (log_sum * sum_of_keys - ln_2 * held(surprise));
        const float nan = __builtin_nanf("");
        to.entropy[at] = !is_number ? nan : empty || nats < 0.0 ? 0.0f : static_cast<float>(nats);
        to.max_weight[at] = is_number ? share : nan;
        to.max_key[at] = is_number && !empty ? static_cast<std::int32_t>(held(strongest)) : -1;
        to.first_mass[at] = is_number ? share * held(first_mass) : nan;
        to.mean_distance[at] = !is_number ? nan : empty ? 0.0f : held(distance) / sum_of_keys;
        to.visible_keys[at] = static_cast<std::int32_t>(held(visible));
        for (std::int64_t s = 0; s < to.segments; ++s)
            to.segment_mass[at * to.segments + s] = is_number ? share * held(segment + static_cast<int>(s)) : nan;
        write_top_keys(state, row, at, largest_of_keys, share, is_number);
        if (to.largest == nullptr) return;
        to.largest[at] = empty || !is_number ? 0.0f : largest;
        to.share[at] = !is_number ? nan : empty ? 0.0f : 1.0f / sum;
    }

    void write_top_keys(float* state, std::int64_t row, std::int64_t at, float largest, float share, bool is_number) const {
        const std::int64_t most = call.statistics.top_keys;
        const float* best = most == 0 ? nullptr : top_scores(state, row);
        for (std::int64_t i = 0; i < most; ++i) {
            const bool there = is_number && best[i] > -infinity;
            call.statistics.top_key[at * most + i] = there ? static_cast<std::int32_t>(best[most + i]) : -1;
            const float weight = there ? share * first_lane(exp2_not_positive(broadcast(best[i] - largest))) : 0.0f;
            call.statistics.top_weight[at * most + i] = is_number ? weight : __builtin_nanf("");
        }
    }

    ATTNSCOPE_INLINE float first_lane(Vector a) {
        float elements[lanes];
        store(elements, a);
        return elements[0];
    }

    ATTNSCOPE_INLINE Vector keys_of_cell(const Block& block, std::int64_t cell) {
        float key[lanes];
        for (int lane = 0; lane < lanes; ++lane)
            key[lane] = static_cast<float>(block.first + cell * Layout::keys_a_cell + lane % Layout::keys_a_cell);
        return load(key);
    }

    Vector positions(int u) const {
        float position[lanes];
        for (int lane = 0; lane < lanes; ++lane) {
            const std::int64_t row = Layout::row_of(u, lane);
            position[lane] = row < rows.count ? query_position(call, rows, row) : 0.0f;
        }
        return load(position);
    }
};

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
