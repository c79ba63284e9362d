// A tile's statistics, from their sums to the arrays of observe().
//
// computes  weights are w_j = p_j / sum p over the visible keys, which sum to 1; a sink is no key, and
//           sink_mass is its share of the whole softmax
// entropy   -sum w ln w = ln Z - sum w ln(2) s with every s relative to the largest, so that no large numbers
//           cancel
// masked    a fully masked row: all 0, max_key -1
// NaN       a row whose sum is NaN has NaN in every float, and max_key -1
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

ATTNSCOPE_INLINE float exp2_of(float not_positive) {
    float elements[lanes];
    store(elements, exp2_not_positive(broadcast(not_positive)));
    return elements[0];
}

// The place of a row's numbers in arrays [batch][query_heads][query_len]
ATTNSCOPE_INLINE std::int64_t row_index(const AttentionCall& call, const TileRows& rows, std::int64_t row) {
    return (rows.batch * call.query_heads + rows.head[row]) * call.query_len + rows.query[row];
}

template <RowLayout Layout>
static void write_top_keys(const AttentionCall& call, const TileRows& rows, const float* state,
                           std::int64_t row, float share) {
    const std::int64_t at = row_index(call, rows, row), most = call.statistics.top_keys;
    const float* best = most == 0 ? nullptr : StatisticsState<Layout>::top(call, state, row);
    const float largest = Layout::largest_of(state, row);
    const bool is_number = share == share;
    for (std::int64_t i = 0; i < most; ++i) {
        const bool found = is_number && best[i] > -infinity;
        call.statistics.top_key[at * most + i] = found ? static_cast<std::int32_t>(best[most + i]) : -1;
        const float weight = found ? share * exp2_of(best[i] - largest) : 0.0f;
        call.statistics.top_weight[at * most + i] = is_number ? weight : nan;
    }
}

template <RowLayout Layout>
static void write_row_statistics(const AttentionCall& call, const TileRows& rows, const float* state,
                                 std::int64_t row) {
    using State = StatisticsState<Layout>;
    const Statistics& to = call.statistics;
    const std::int64_t at = row_index(call, rows, row);
    const auto held = [&](int which) { return State::sum(call, state, which)[Layout::index(row)]; };
    const float sum = Layout::sum_of(state, row);
    const bool masked = sum == 0.0f, is_number = sum == sum;
    const float share = !is_number ? nan : masked ? 0.0f : 1.0f / sum;  // weight = p * share
    const double log_sum = masked ? 0.0 : log_positive(sum);
    const double nats = static_cast<double>(share) * (log_sum * sum - ln_2 * held(State::surprise));
    to.entropy[at] = !is_number ? nan : masked || nats < 0.0 ? 0.0f : static_cast<float>(nats);
    to.max_weight[at] = share;
    to.max_key[at] = is_number && !masked ? static_cast<std::int32_t>(held(State::strongest)) : -1;
    to.first_mass[at] = is_number ? share * held(State::first_mass) : nan;
    to.mean_distance[at] = !is_number ? nan : masked ? 0.0f : held(State::distance) / sum;
    to.visible_keys[at] = static_cast<std::int32_t>(held(State::visible));
    for (std::int64_t s = 0; s < to.segments; ++s)
        to.segment_mass[at * to.segments + s] =
            is_number ? share * held(State::segment + static_cast<int>(s)) : nan;
    write_top_keys<Layout>(call, rows, state, row, share);
    if (to.largest == nullptr) return;
    to.largest[at] = masked || !is_number ? 0.0f : Layout::largest_of(state, row);
    to.share[at] = share;
}

// Call it before a sink joins the sum
template <RowLayout Layout>
static void write_statistics(const AttentionCall& call, const TileRows& rows, const float* state) {
    for (std::int64_t row = 0; row < rows.count; ++row) write_row_statistics<Layout>(call, rows, state, row);
}

// Call it after a sink joined the sum: sink_mass = exp2(sink - largest) / sum
template <RowLayout Layout>
static void write_sink_mass(const AttentionCall& call, const TileRows& rows, const float* state) {
    for (std::int64_t row = 0; row < rows.count; ++row) {
        float& mass = call.statistics.sink_mass[row_index(call, rows, row)];
        const float sum = Layout::sum_of(state, row);
        mass = sum == sum ? 0.0f : nan;
        if (call.sinks == nullptr || !(sum > 0.0f)) continue;
        mass = exp2_of(log2_e * call.sinks[rows.head[row]] - Layout::largest_of(state, row)) / sum;
    }
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
