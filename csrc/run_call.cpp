#include "run_call.hpp"

#include <vector>

namespace attnscope {
namespace {

// From this many tiles per thread on, tiles that do not divide evenly leave threads idle for less than 1/8 of
// the time. Sharing out the parts of rows instead would cost more, because parts must be merged.
constexpr std::int64_t many_tiles_per_thread = 8;

double multiply_adds(const AttentionCall& call) {
    return static_cast<double>(call.batch) * static_cast<double>(call.query_heads) *
           static_cast<double>(call.query_len) * static_cast<double>(call.key_len) *
           static_cast<double>(call.key_dim + call.value_dim);
}

// Tiles over threads or, if there are too few of them, the parts of their rows: the same arithmetic
bool run_rows(const KernelTable& table, const AttentionCall& call, std::int64_t threads, const GoOn& go_on) {
    const std::int64_t tiles = table.count_tiles(call), parts = call.parts();
    const std::int64_t workspace = table.count_workspace_bytes(call);
    if (threads == 1 || parts == 1 || tiles % threads == 0 || tiles >= many_tiles_per_thread * threads) {
        const RunSome run_some = [&](std::int64_t first, std::int64_t end, void* work) {
            return table.run_some_tiles(call, first, end, work);
        };
        return parallel_ranges(tiles, threads, workspace, run_some, go_on);
    }
    const std::int64_t state = table.count_state_floats(call);
    std::vector<float> states(static_cast<std::size_t>(tiles * parts * state));
    const auto run_part = [&](std::int64_t task, void* work) {
        table.run_part(call, task / parts, task % parts, states.data() + task * state, work);
    };
    const auto finish_tile = [&](std::int64_t tile, void*) {
        table.finish_tile(call, tile, states.data() + tile * parts * state);
    };
    return parallel_for(tiles * parts, threads, workspace, run_part, go_on) &&
           parallel_for(tiles, threads, workspace, finish_tile, go_on);
}

bool run_survey(const KernelTable& table, const AttentionCall& call, std::int64_t threads,
                const GoOn& go_on) {
    if (!call.statistics.surveys()) return true;
    const auto run_task = [&](std::int64_t task, void* work) { table.run_survey(call, task, work); };
    return parallel_for(table.count_survey_tasks(call), threads, table.count_survey_workspace_bytes(call),
                        run_task, go_on);
}

}  // namespace

bool run_call(const KernelTable& table, const AttentionCall& call, std::int64_t threads, const GoOn& go_on) {
    const bool is_small = multiply_adds(call) < worth_a_thread;
    const std::int64_t used = is_small ? 1 : threads;
    const GoOn never_asked;
    const GoOn& asked = is_small ? never_asked : go_on;
    return run_rows(table, call, used, asked) && run_survey(table, call, used, asked);
}

}  // namespace attnscope
