// Where the sums of observe() are in a state, after the layout's own.
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

constexpr float no_key = -1.0f;

struct StatisticsSums {
    enum Sum : int {
        surprise,
        distance,
        first_mass,
        strongest,
        visible,
        segment
    };  // the other segments follow
};

// Where the sums are in a state
template <RowLayout Layout>
struct StatisticsState : StatisticsSums {
    static constexpr int width = Layout::row_floats;

    static int sums(const AttentionCall& call) {
        return segment + static_cast<int>(call.statistics.segments);
    }
    static std::int64_t floats(const AttentionCall& call) {
        if (!call.statistics.wanted()) return 0;
        return sums(call) * width + 2 * tile_rows * call.statistics.top_keys;
    }
    // Float is float or const float
    template <typename Float>
    static Float* sum(const AttentionCall& call, Float* state, int which) {
        return state + Layout::state_floats(call) + which * width;
    }
    // top_keys scores, then top_keys keys
    template <typename Float>
    static Float* top(const AttentionCall& call, Float* state, std::int64_t row) {
        return sum(call, state, sums(call)) + row * 2 * call.statistics.top_keys;
    }
};

// Inserts into a list of `most` scores in falling order, and their keys; of equal scores the first to come
// stays first. Without branches, because the place of a score cannot be predicted.
static inline void insert_top_key(float* best, std::int64_t most, float score, float key) {
    float* keys = best + most;
    for (std::int64_t i = most - 1; i > 0; --i) {
        const bool above = score > best[i - 1], here = score > best[i];
        keys[i] = above ? keys[i - 1] : here ? key : keys[i];
        best[i] = above ? best[i - 1] : here ? score : best[i];
    }
    keys[0] = score > best[0] ? key : keys[0];
    best[0] = score > best[0] ? score : best[0];
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
