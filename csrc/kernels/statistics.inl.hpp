// What observe() asks of a tile's rows: a few more sums beside the softmax's, from the same scores and weights.
//
// computes   with p_j = exp2(s_j - largest), relative to which all sums are held:
//            surprise = sum p (s - largest), distance = sum p |position - j|, first = sum p over the first keys,
//            a sum of p for each segment; the strongest key, how many are visible, the top_keys best scores
// weights    w_j = p_j / sum p: over the visible keys alone, summing to 1; a sink's share of the whole is sink_mass
// entropy    -sum w ln w = ln Z - sum w ln(2) s, with every s relative to the largest, so that no large numbers
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
    float largest_before[width], sum_before[width];  // what the softmax held before a block

    Observer(const AttentionCall& of, const TileRows& which) : call(of), rows(which) {}

    static std::int64_t sums(const AttentionCall& call) { return segment + call.statistics.segments; }
    static std::int64_t state_floats(const AttentionCall& call) {
        if (!call.statistics.wanted()) return 0;
        return sums(call) * width + 2 * tile_rows * call.statistics.top_keys;
    }
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

    // Before the softmax of a block
    void keep(float* state) {
        for (int u = 0; u < Layout::units(rows); ++u) {
            store(largest_before + u * lanes, load(Layout::largest(state) + u * lanes));
            store(sum_before + u * lanes, load(Layout::sum(state) + u * lanes));
        }
    }

    // After it: hidden scores are -inf by now
    void count(const Block& block, float* scores, float* weights, const float* shrink, float* state) const {
        Vector mass[width / lanes];
        for (int u = 0; u < Layout::units(rows); ++u) {
            const Vector before = load(largest_before + u * lanes), now = load(Layout::largest(state) + u * lanes);
            const Vector shrunk = load(shrink + u * lanes);
            mass[u] = any(greater(now, before)) ? count_unit<true>(block, u, scores, weights, before, now, shrunk, state)
                                                : count_unit<false>(block, u, scores, weights, before, now, shrunk, state);
        }
        count_segments(block, weights, mass, shrink, state);
        for (std::int64_t row = 0; row < rows.count; ++row) {
            const std::int64_t seen = block.all_see_all ? block.key_count
                                                        : __builtin_popcountll(block.seen[row] & bits_below(block.key_count));
            for (int copy = 0; copy < Layout::keys_a_cell; ++copy)
                sum_of(state, visible)[Layout::element(row) + copy] += static_cast<float>(seen);
        }
        if (call.statistics.top_keys > 0) find_top_keys(block, scores, state);
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

    // Before a sink joins the normalizer: what the keys amount to
    void write(float* state) const {
        for (std::int64_t row = 0; row < rows.count; ++row) write_row(state, row);
    }

    // After it has: the sink's share of the whole, exp2(sink - largest) / sum
    void write_sink_mass(float* state) const {
        for (std::int64_t row = 0; row < rows.count; ++row) {
            float& mass = call.statistics.sink_mass[index(row)];
            const float sum = Layout::sum_of(state, row);
            mass = sum == sum ? 0.0f : __builtin_nanf("");
            if (call.sinks == nullptr || !(sum > 0.0f)) continue;
            const float sink = log2_e * call.sinks[rows.head[row]];
            mass = first_lane(exp2_not_positive(broadcast(sink - Layout::largest_of(state, row)))) / sum;
        }
    }

private:
    // sum p (s - largest) relative to a new largest, before it shrinks; nothing was summed before the first visible key
    ATTNSCOPE_INLINE Vector anew(Vector surprised, Vector before, Vector now, Vector total) {
        const Vector moved = fma(sub(before, now), total, surprised);
        return select(equal(before, broadcast(-infinity)), zero(), moved);
    }

    // Everything but the segments; the block's mass. Found: whether any of these rows met a new largest score.
    template <bool Found>
    Vector count_unit(const Block& block, int u, float* scores, float* weights, Vector before, Vector now, Vector shrink,
                      float* state) const {
        const std::int64_t cells = Layout::cells(block);
        const Vector anchor = anchor_of(now), least = broadcast(-127.0f), one_cell = broadcast(static_cast<float>(Layout::keys_a_cell));
        const Vector position = positions(u);
        Vector behind = sub(position, keys_of_cell(block, cells - 1)), found = broadcast(-infinity);
        Vector surprised[Layout::partials], far[Layout::partials], mass[Layout::partials];
        for (int i = 0; i < Layout::partials; ++i) surprised[i] = far[i] = mass[i] = zero();
        const auto look = [&](std::int64_t i, int into) ATTNSCOPE_LAMBDA {
            const Vector weight = load(Layout::cell(weights, u, i));
            const Vector below = max(least, sub(load(Layout::cell(scores, u, i)), anchor));  // a weight of 0 times -inf would be NaN
            surprised[into] = fma(weight, below, surprised[into]);
            if constexpr (Found) found = select(equal(below, zero()), behind, found);
            far[into] = fma(weight, magnitude(behind), far[into]);
            mass[into] = add(mass[into], weight);
            behind = add(behind, one_cell);
        };
        std::int64_t i = cells;
        for (; i % Layout::partials != 0; --i) look(i - 1, static_cast<int>((i - 1) % Layout::partials));
        for (; i > 0; i -= Layout::partials)
            for (int into = Layout::partials - 1; into >= 0; --into) look(i - Layout::partials + into, into);

        float* sum = sum_of(state, surprise, u);
        store(sum, fma(anew(load(sum), before, now, load(sum_before + u * lanes)), shrink, Layout::fold_sum(surprised)));
        sum = sum_of(state, distance, u);
        store(sum, fma(load(sum), shrink, Layout::fold_sum(far)));
        sum = sum_of(state, first_mass, u);
        store(sum, fma(load(sum), shrink, mass_of_first(block, u, weights)));
        if constexpr (Found) {  // keys were passed in falling order: the furthest behind is the first
            sum = sum_of(state, strongest, u);
            store(sum, select(equal(now, before), load(sum), sub(position, Layout::fold_max(found))));
        }
        return Layout::fold_sum(mass);
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

    void count_segments(const Block& block, float* weights, const Vector* block_mass, const float* shrink, float* state) const {
        if (call.statistics.segments == 0) return;
        const std::uint8_t* label = call.statistics.labels + rows.batch * call.statistics.labels_batch_stride + block.first;
        std::uint64_t present = 0, keys_of[64];
        for (std::int64_t k = 0; k < block.key_count; ++k) present |= std::uint64_t{1} << label[k];
        const bool alone = (present & (present - 1)) == 0;
        if (!alone) {
            for (std::uint64_t left = present; left != 0; left &= left - 1) keys_of[__builtin_ctzll(left)] = 0;
            for (std::int64_t k = 0; k < block.key_count; ++k) keys_of[label[k]] |= std::uint64_t{1} << k;
        }
        for (int u = 0; u < Layout::units(rows); ++u) {
            const Vector shrunk = load(shrink + u * lanes);
            for (int s = 0; s < static_cast<int>(call.statistics.segments); ++s) {
                float* sum = sum_of(state, segment + s, u);
                const Vector mass = (present >> s & 1) == 0 ? zero() : alone ? block_mass[u] : mass_of_keys(block, u, weights, keys_of[s]);
                store(sum, fma(load(sum), shrunk, mass));
            }
        }
    }

    // The mass of some of a block's keys, bit k: key k
    Vector mass_of_keys(const Block& block, int u, float* weights, std::uint64_t keys) const {
        Vector mass[Layout::partials];
        for (int i = 0; i < Layout::partials; ++i) mass[i] = zero();
        if constexpr (Layout::keys_a_cell == 1) {
            for (int i = 0; i < Layout::partials; ++i)
                for (std::uint64_t left = keys & 0x1111111111111111u << i; left != 0;) {
                    const int k = 63 - __builtin_clzll(left);
                    left ^= std::uint64_t{1} << k;
                    mass[i] = add(mass[i], load(Layout::cell(weights, u, k)));
                }
        } else {
            for (std::int64_t i = Layout::cells(block) - 1; i >= 0; --i) {
                float belongs[lanes];
                for (int at = 0; at < lanes; ++at) belongs[at] = static_cast<float>(keys >> (4 * i + at % 4) & 1);
                const Vector weight = load(Layout::cell(weights, u, i));
                mass[0] = add(mass[0], select(equal(load(belongs), zero()), zero(), weight));
            }
        }
        return Layout::fold_sum(mass);
    }

    void find_top_keys(const Block& block, float* scores, float* state) const {
        const std::int64_t most = call.statistics.top_keys;
        for (int u = 0; u < Layout::units(rows); ++u) {
            // The block's own finds raise what is least only afterwards: a vector read after its elements were written
            // would wait for them
            float least[lanes];
            for (int lane = 0; lane < lanes; ++lane) {
                const std::int64_t row = Layout::row_of(u, lane);
                least[lane] = row < rows.count ? top_scores(state, row)[most - 1] : infinity;
            }
            const Vector bar = load(least);
            for (std::int64_t i = 0; i < Layout::cells(block); ++i) {
                const float* cell = Layout::cell(scores, u, i);
                for (std::uint32_t better = bits(greater(load(cell), bar)); better != 0; better &= better - 1) {
                    const int lane = __builtin_ctz(better);
                    const std::int64_t k = i * Layout::keys_a_cell + lane % Layout::keys_a_cell;
                    float* best = top_scores(state, Layout::row_of(u, lane));
                    if (k < block.key_count && cell[lane] > best[most - 1])
                        insert(best, cell[lane], static_cast<float>(block.first + k));
                }
            }
        }
    }

    // Into a list that falls; of equals, the first to come stays ahead. Without branches: where a score belongs is anybody's guess.
    void insert(float* best, float score, float key) const {
        const std::int64_t most = call.statistics.top_keys;
        float* keys = best + most;
        for (std::int64_t i = most - 1; i > 0; --i) {
            const bool above = score > best[i - 1], here = score > best[i];
            keys[i] = above ? keys[i - 1] : here ? key : keys[i];
            best[i] = above ? best[i - 1] : here ? score : best[i];
        }
        keys[0] = score > best[0] ? key : keys[0];
        best[0] = score > best[0] ? score : best[0];
    }

    // Where a row's numbers are written
    std::int64_t index(std::int64_t row) const {
        return (rows.batch * call.query_heads + rows.head[row]) * call.query_len + rows.query[row];
    }

    void write_row(float* state, std::int64_t row) const {
        const Statistics& to = call.statistics;
        const std::int64_t at = index(row);
        const auto held = [&](int which) { return sum_of(state, which)[Layout::element(row)]; };
        const float largest = Layout::largest_of(state, row), sum = Layout::sum_of(state, row);
        const bool empty = sum == 0.0f, is_number = sum == sum;
        const float share = empty ? 0.0f : 1.0f / sum;  // a key's weight is its p times this
        const double log_sum = empty ? 0.0 : log_positive(sum);
        const double nats = static_cast<double>(share) * (log_sum * sum - ln_2 * held(surprise));
        const float nan = __builtin_nanf("");
        to.entropy[at] = !is_number ? nan : empty || nats < 0.0 ? 0.0f : static_cast<float>(nats);
        to.max_weight[at] = is_number ? share : nan;
        to.max_key[at] = is_number && !empty ? static_cast<std::int32_t>(held(strongest)) : -1;
        to.first_mass[at] = is_number ? share * held(first_mass) : nan;
        to.mean_distance[at] = !is_number ? nan : empty ? 0.0f : held(distance) / sum;
        to.visible_keys[at] = static_cast<std::int32_t>(held(visible));
        for (std::int64_t s = 0; s < to.segments; ++s)
            to.segment_mass[at * to.segments + s] = is_number ? share * held(segment + static_cast<int>(s)) : nan;
        write_top_keys(state, row, at, largest, share, is_number);
        if (to.largest == nullptr) return;
        to.largest[at] = empty || !is_number ? 0.0f : largest;
        to.share[at] = !is_number ? nan : share;
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
