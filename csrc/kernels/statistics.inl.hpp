// The statistics of observe(): more sums beside the softmax's, from the same scores and weights.
//
// computes  with p_j = exp2(s_j - largest), relative to which all sums are held:
//           surprise = sum p (s - largest), distance = sum p |position - j|, first_mass = sum p over the
//           first keys, a sum of p for each segment; the strongest key, the number of visible keys, the
//           top_keys best scores
// layout    state, after the layout's own: arrays with one number per row, one per sum; then per row top_keys
//           scores in falling order and their keys
// invariant as `largest` grows by c, sum p (s - largest) becomes 2^-c (sum p (s - largest) - c sum p)
// order     four partial sums over key mod 4, each in falling order of keys, added left to right, then to the
//           blocks before: the same bits in both layouts and on all levels
// numbers   keys and counts are held as float32, exact below most_observed_keys
// masked    a fully masked row has sums of 0, no strongest key and no top keys
// NaN       of a visible score: in this row's statistics only
// source    Shannon 1948, section 6; the online softmax as in tile.inl.hpp
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

// Accumulates the statistics of a tile's rows, block by block
template <RowLayout Layout>
struct Observer {
    using State = StatisticsState<Layout>;
    using enum StatisticsSums::Sum;
    static constexpr int width = Layout::row_floats;

    const AttentionCall& call;
    const TileRows& rows;
    float largest_before[width], sum_before[width];  // of the softmax, before a block

    Observer(const AttentionCall& of, const TileRows& which) : call(of), rows(which) {}

    void clear(float* state) const {
        const std::int64_t most = call.statistics.top_keys;
        for (int which = 0; which < State::sums(call); ++which)
            for (int at = 0; at < width; at += lanes)
                store(State::sum(call, state, which) + at, which == strongest ? broadcast(no_key) : zero());
        for (std::int64_t row = 0; row < rows.count; ++row) {
            float* best = State::top(call, state, row);
            for (std::int64_t i = 0; i < most; ++i) best[i] = -infinity, best[most + i] = no_key;
        }
    }

    void before_softmax(const float* state) {
        for (int u = 0; u < Layout::units(rows); ++u) {
            store(largest_before + u * lanes, load(Layout::largest(state) + u * lanes));
            store(sum_before + u * lanes, load(Layout::sum(state) + u * lanes));
        }
    }

    // Hidden scores are -inf
    void after_softmax(const Block& block, const float* scores, const float* weights, const float* shrink,
                       float* state) const {
        Vector mass[width / lanes];
        for (int u = 0; u < Layout::units(rows); ++u) {
            const Vector before = load(largest_before + u * lanes),
                         now = load(Layout::largest(state) + u * lanes);
            const Vector shrunk = load(shrink + u * lanes);
            mass[u] = any(greater(now, before))
                          ? count_unit<true>(block, u, scores, weights, before, now, shrunk, state)
                          : count_unit<false>(block, u, scores, weights, before, now, shrunk, state);
        }
        count_segments(block, weights, mass, shrink, state);
        for (std::int64_t row = 0; row < rows.count; ++row) {
            const std::int64_t seen =
                block.all_see_all ? block.key_count
                                  : __builtin_popcountll(block.seen[row] & bits_below(block.key_count));
            for (int copy = 0; copy < Layout::keys_per_cell; ++copy)
                State::sum(call, state, visible)[Layout::index(row) + copy] += static_cast<float>(seen);
        }
        if (call.statistics.top_keys > 0) find_top_keys(block, scores, state);
    }

    // Call it before the layout merges the softmax's own sums
    void merge(float* total, const float* part) const {
        for (int u = 0; u < Layout::units(rows); ++u) {
            const int at = u * lanes;
            const Vector before = load(Layout::largest(total) + at), other = load(Layout::largest(part) + at);
            const Vector now = max(before, other), anchor = anchor_of(now);
            const Vector shrink_total = exp2_not_positive(sub(before, anchor));
            const Vector shrink_part = exp2_not_positive(sub(other, anchor));
            const auto sum_of = [&](auto* state, int which)
                                    ATTNSCOPE_LAMBDA { return State::sum(call, state, which) + at; };
            const Vector of_total =
                moved(load(sum_of(total, surprise)), before, now, load(Layout::sum(total) + at));
            const Vector of_part =
                moved(load(sum_of(part, surprise)), other, now, load(Layout::sum(part) + at));
            store(sum_of(total, surprise), add(mul(of_total, shrink_total), mul(of_part, shrink_part)));
            for (int which = distance; which < State::sums(call); ++which) {
                if (which == strongest || which == visible) continue;
                float* cell = sum_of(total, which);
                store(cell, fma(load(sum_of(part, which)), shrink_part, mul(load(cell), shrink_total)));
            }
            float* key = sum_of(total, strongest);
            store(key, select(equal(now, before), load(key), load(sum_of(part, strongest))));
            float* seen = sum_of(total, visible);
            store(seen, add(load(seen), load(sum_of(part, visible))));
        }
        const std::int64_t most = call.statistics.top_keys;
        for (std::int64_t row = 0; row < rows.count; ++row) {
            const float* best = State::top(call, part, row);
            for (std::int64_t i = 0; i < most && best[i] > -infinity; ++i)
                insert_top_key(State::top(call, total, row), most, best[i], best[most + i]);
        }
    }

private:
    // sum p (s - largest) relative to a new largest, before it shrinks; 0 before the first visible key
    ATTNSCOPE_INLINE Vector moved(Vector surprised, Vector before, Vector now, Vector total) {
        const Mask none = equal(before, broadcast(-infinity));
        const Vector fall = sub(select(none, zero(), before), anchor_of(now));
        return select(none, zero(), fma(fall, total, surprised));
    }

    // All sums but the segments'; returns the block's mass. Found: any of these rows has a new largest score.
    template <bool Found>
    Vector count_unit(const Block& block, int u, const float* scores, const float* weights, Vector before,
                      Vector now, Vector shrink, float* state) const {
        const std::int64_t cells = Layout::cells(block);
        const Vector anchor = anchor_of(now), least = broadcast(-127.0f);
        const Vector one_cell = broadcast(static_cast<float>(Layout::keys_per_cell));
        const Vector position = positions(u);
        Vector behind = sub(position, keys_of_cell(block, cells - 1)), found = broadcast(-infinity);
        Vector surprised[Layout::partials], far[Layout::partials], mass[Layout::partials];
        for (int i = 0; i < Layout::partials; ++i) surprised[i] = far[i] = mass[i] = zero();
        const auto look = [&](std::int64_t i, int into) ATTNSCOPE_LAMBDA {
            const Vector weight = load(Layout::cell(weights, u, i));
            // The clamp changes no product: exp2 of less is 0. It avoids 0 * -inf, which is NaN.
            const Vector below = max(least, sub(load(Layout::cell(scores, u, i)), anchor));
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

        const auto sum_of = [&](int which)
                                ATTNSCOPE_LAMBDA { return State::sum(call, state, which) + u * lanes; };
        float* sum = sum_of(surprise);
        const Vector surprised_before = moved(load(sum), before, now, load(sum_before + u * lanes));
        store(sum, fma(surprised_before, shrink, Layout::fold_sum(surprised)));
        sum = sum_of(distance);
        store(sum, fma(load(sum), shrink, Layout::fold_sum(far)));
        sum = sum_of(first_mass);
        store(sum, fma(load(sum), shrink, mass_of_first(block, u, weights)));
        if constexpr (Found) {  // in falling order of keys: the furthest behind is the first of equal keys
            sum = sum_of(strongest);
            store(sum, select(equal(now, before), load(sum), sub(position, Layout::fold_max(found))));
        }
        return Layout::fold_sum(mass);
    }

    Vector mass_of_first(const Block& block, int u, const float* weights) const {
        Vector mass[Layout::partials];
        for (int i = 0; i < Layout::partials; ++i) mass[i] = zero();
        const std::int64_t wanted = call.statistics.first_keys - block.first;
        if (wanted > 0) {
            const std::int64_t keys = smaller(wanted, block.key_count);
            const Vector end = broadcast(static_cast<float>(block.first + keys));
            for (std::int64_t i = (keys + Layout::keys_per_cell - 1) / Layout::keys_per_cell - 1; i >= 0;
                 --i) {
                const Vector weight = load(Layout::cell(weights, u, i));
                Vector& into = mass[i % Layout::partials];
                into = add(into, select(greater(end, keys_of_cell(block, i)), weight, zero()));
            }
        }
        return Layout::fold_sum(mass);
    }

    void count_segments(const Block& block, const float* weights, const Vector* block_mass,
                        const float* shrink, float* state) const {
        const Statistics& asked = call.statistics;
        if (asked.segments == 0) return;
        const std::uint8_t* label = asked.labels + rows.batch * asked.labels_batch_stride + block.first;
        std::uint64_t present = 0, keys_of[most_segments];
        for (std::int64_t k = 0; k < block.key_count; ++k) present |= std::uint64_t{1} << label[k];
        const bool alone = (present & (present - 1)) == 0;
        if (!alone) {
            for (std::uint64_t left = present; left != 0; left &= left - 1)
                keys_of[__builtin_ctzll(left)] = 0;
            for (std::int64_t k = 0; k < block.key_count; ++k) keys_of[label[k]] |= std::uint64_t{1} << k;
        }
        for (int u = 0; u < Layout::units(rows); ++u) {
            const Vector shrunk = load(shrink + u * lanes);
            for (int s = 0; s < static_cast<int>(asked.segments); ++s) {
                float* sum = State::sum(call, state, segment + s) + u * lanes;
                const Vector mass = (present >> s & 1) == 0 ? zero()
                                    : alone                 ? block_mass[u]
                                                            : mass_of_keys(block, u, weights, keys_of[s]);
                store(sum, fma(load(sum), shrunk, mass));
            }
        }
    }

    // The mass of some of a block's keys, bit k: key k
    Vector mass_of_keys(const Block& block, int u, const float* weights, std::uint64_t keys) const {
        Vector mass[Layout::partials];
        for (int i = 0; i < Layout::partials; ++i) mass[i] = zero();
        if constexpr (Layout::keys_per_cell == 1) {
            for (int i = 0; i < Layout::partials; ++i)
                for (std::uint64_t left = keys & 0x1111111111111111u << i; left != 0;) {
                    const int k = 63 - __builtin_clzll(left);
                    left ^= std::uint64_t{1} << k;
                    mass[i] = add(mass[i], load(Layout::cell(weights, u, k)));
                }
        } else {
            for (std::int64_t i = Layout::cells(block) - 1; i >= 0; --i) {
                float belongs[lanes];
                for (int at = 0; at < lanes; ++at)
                    belongs[at] = static_cast<float>(keys >> (4 * i + at % 4) & 1);
                const Vector weight = load(Layout::cell(weights, u, i));
                mass[0] = add(mass[0], select(equal(load(belongs), zero()), zero(), weight));
            }
        }
        return Layout::fold_sum(mass);
    }

    void find_top_keys(const Block& block, const float* scores, float* state) const {
        const std::int64_t most = call.statistics.top_keys;
        for (int u = 0; u < Layout::units(rows); ++u) {
            // The least score to beat is read once per block and is checked again for each candidate: to read
            // a vector after its elements were written would stall (store forwarding)
            float least[lanes];
            for (int lane = 0; lane < lanes; ++lane) {
                const std::int64_t row = Layout::row_of(u, lane);
                least[lane] = row < rows.count ? State::top(call, state, row)[most - 1] : infinity;
            }
            const Vector bar = load(least);
            for (std::int64_t i = 0; i < Layout::cells(block); ++i) {
                const float* cell = Layout::cell(scores, u, i);
                for (std::uint32_t better = bits(greater(load(cell), bar)); better != 0;
                     better &= better - 1) {
                    const int lane = __builtin_ctz(better);
                    const std::int64_t k = i * Layout::keys_per_cell + lane % Layout::keys_per_cell;
                    float* best = State::top(call, state, Layout::row_of(u, lane));
                    if (k < block.key_count && cell[lane] > best[most - 1])
                        insert_top_key(best, most, cell[lane], static_cast<float>(block.first + k));
                }
            }
        }
    }

    ATTNSCOPE_INLINE Vector keys_of_cell(const Block& block, std::int64_t cell) {
        float key[lanes];
        for (int lane = 0; lane < lanes; ++lane)
            key[lane] =
                static_cast<float>(block.first + cell * Layout::keys_per_cell + lane % Layout::keys_per_cell);
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
