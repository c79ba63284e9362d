// At a mask's edge: which keys of a block are worth multiplying for which rows.
//
// Where a tile's rows are `V` vectors, the edge of a causal mask or of a window runs across some of a block's keys, and the
// vectors that see none of them are spared: about a third of the edge's work. What is taken all the same and hidden from a
// row adds an exact 0, so the bits do not depend on it.
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

// Keys of a block, from first to before end, that only the vectors of rows from low to before high see
struct Stretch {
    std::int64_t first, end;
    int low, high;
};

// A block's keys in rising order, rounded outwards to four; keys that nobody sees are left out
template <int V>
class Stretches {
public:
    explicit Stretches(const Block& block) {
        if (block.all_see_all)
            add({0, block.key_count, 0, V});
        else
            cut(block);
    }
    const Stretch* begin() const { return stretches_; }
    const Stretch* end() const { return stretches_ + count_; }

private:
    void cut(const Block& block) {
        std::int64_t first[V], end[V];  // the keys that any row of a vector sees
        for (int v = 0; v < V; ++v) {
            std::uint64_t anyone = 0;
            for (int lane = 0; lane < lanes; ++lane) anyone |= block.seen[v * lanes + lane];
            first[v] = anyone == 0 ? 0 : __builtin_ctzll(anyone) / 4 * 4;
            end[v] = anyone == 0 ? 0 : smaller(block.key_count, (67 - __builtin_clzll(anyone)) / 4 * 4);
        }
        for (std::int64_t key = 0, next; key < block.key_count; key = next) {
            Stretch stretch = {key, block.key_count, V, 0};
            for (int v = 0; v < V; ++v) {
                if (key < first[v]) stretch.end = smaller(stretch.end, first[v]);
                if (key < first[v] || key >= end[v]) continue;
                stretch.end = smaller(stretch.end, end[v]);
                stretch.low = v < stretch.low ? v : stretch.low;
                stretch.high = v + 1;
            }
            if (stretch.low < stretch.high) add(stretch);
            next = stretch.end;
        }
    }
    void add(const Stretch& stretch) { stretches_[count_++] = stretch; }

    Stretch stretches_[2 * V];  // a stretch ends where a vector's keys begin or end
    int count_ = 0;
};

// Calls body<low, high>, with 0 <= low < high <= V
template <int V, typename Body>
ATTNSCOPE_INLINE void with_vectors(int low, int high, const Body& body) {
    if (low == 0 && high == V) return body.template operator()<0, V>();
    if constexpr (V == 2) return low == 0 ? body.template operator()<0, 1>() : body.template operator()<1, 2>();
    if constexpr (V == 3) {
        if (low == 0) return high == 1 ? body.template operator()<0, 1>() : body.template operator()<0, 2>();
        if (low == 2) return body.template operator()<2, 3>();
        return high == 2 ? body.template operator()<1, 2>() : body.template operator()<1, 3>();
    }
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
