// At a mask's edge: the vectors of rows that see none of some keys skip them.
//
// The edge of a causal mask or of a window crosses a block. If a tile's rows are V vectors, about a third of
// the edge's multiplications concern keys that no row of a vector sees. Skipping them changes no bit: a key
// that is computed and then hidden adds an exact 0. What is skipped has no score, so nothing may read it
// before it is set to -inf.
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

// For each of V vectors of rows: the keys of a block that any of its rows sees, rounded outwards to fours
template <int V>
struct SeenKeys {
    std::int64_t first[V], end[V];  // both 0 if the rows see none

    explicit SeenKeys(const Block& block) {
        for (int v = 0; v < V; ++v) {
            first[v] = 0, end[v] = block.key_count;
            if (block.all_see_all) continue;
            std::uint64_t seen = 0;
            for (int lane = 0; lane < lanes; ++lane) seen |= block.seen[v * lanes + lane];
            const int lowest = seen == 0 ? 0 : __builtin_ctzll(seen);
            const int past_highest = seen == 0 ? 0 : 64 - __builtin_clzll(seen);
            first[v] = lowest / 4 * 4;
            end[v] = smaller(block.key_count, (past_highest + 3) / 4 * 4);
        }
    }
    bool has(int v, std::int64_t key) const { return key >= first[v] && key < end[v]; }
};

// The keys [first, end) of a block, seen by the vectors of rows [low, high)
struct Stretch {
    std::int64_t first, end;
    int low, high;
};

// A block's seen keys in rising order
template <int V>
class Stretches {
public:
    explicit Stretches(const Block& block) {
        if (block.all_see_all)
            stretches_[count_++] = {.first = 0, .end = block.key_count, .low = 0, .high = V};
        else
            cut(SeenKeys<V>(block), block.key_count);
    }
    const Stretch* begin() const { return stretches_; }
    const Stretch* end() const { return stretches_ + count_; }

private:
    void cut(const SeenKeys<V>& seen, std::int64_t key_count) {
        for (std::int64_t key = 0, next; key < key_count; key = next) {
            Stretch stretch = {.first = key, .end = key_count, .low = V, .high = 0};
            for (int v = 0; v < V; ++v) {
                if (key < seen.first[v]) stretch.end = smaller(stretch.end, seen.first[v]);
                if (!seen.has(v, key)) continue;
                stretch.end = smaller(stretch.end, seen.end[v]);
                stretch.low = v < stretch.low ? v : stretch.low;
                stretch.high = v + 1;
            }
            if (stretch.low < stretch.high) stretches_[count_++] = stretch;
            next = stretch.end;
        }
    }

    Stretch stretches_[2 * V];  // a stretch ends where a vector's keys begin or end
    int count_ = 0;
};

// Calls body<low, high>(), with 0 <= low < high <= V
template <int V, typename Body>
ATTNSCOPE_INLINE void with_vectors(int low, int high, const Body& body) {
    if (low == 0 && high == V) return body.template operator()<0, V>();
    if constexpr (V == 2)
        return low == 0 ? body.template operator()<0, 1>() : body.template operator()<1, 2>();
    if constexpr (V == 3) {
        if (low == 0) return high == 1 ? body.template operator()<0, 1>() : body.template operator()<0, 2>();
        if (low == 2) return body.template operator()<2, 3>();
        return high == 2 ? body.template operator()<1, 2>() : body.template operator()<1, 3>();
    }
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
