// The algorithms, written once for all levels; a level file includes its lanes, then this.
#pragma once

#include "../gradient_call.hpp"
#include "../kernel_table.hpp"

// Each file uses those before it
// clang-format off
#include "exponential.inl.hpp"
#include "arithmetic.inl.hpp"
#include "formats.inl.hpp"
#include "rows.inl.hpp"
#include "prefetch.inl.hpp"
#include "stored.inl.hpp"
#include "blocks.inl.hpp"
#include "row_layout.inl.hpp"
#include "stretches.inl.hpp"
#include "transpose.inl.hpp"
#include "micro.inl.hpp"
#include "rows_in_lanes.inl.hpp"
#include "dims_micro.inl.hpp"
#include "dims_in_lanes.inl.hpp"
#include "statistics_state.inl.hpp"
#include "statistics.inl.hpp"
#include "write_statistics.inl.hpp"
#include "tile.inl.hpp"
#include "run.inl.hpp"
#include "survey.inl.hpp"
#include "gradient_rows.inl.hpp"
#include "gradient_products.inl.hpp"
#include "gradient_scores.inl.hpp"
#include "gradients.inl.hpp"
#include "limits.inl.hpp"
// clang-format on

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {

static constexpr KernelTable make_table(const char* level) {
    return {.level = level,
            .lanes = lanes,
            .count_tiles = count_tiles,
            .count_workspace_bytes = count_workspace_bytes,
            .count_state_floats = count_state_floats,
            .run_some_tiles = run_some_tiles,
            .run_part = run_part,
            .finish_tile = finish_tile,
            .count_survey_tasks = count_survey_tasks,
            .count_survey_workspace_bytes = count_survey_workspace_bytes,
            .run_survey = run_survey,
            .count_gradient_workspace_bytes = count_gradient_workspace_bytes,
            .find_means = find_means,
            .begin_strip = begin_strip,
            .take_row_block = take_row_block,
            .add_query_gradients = add_query_gradients,
            .finish_strip = finish_strip,
            .fma_loop = fma_loop,
            .read_loop = read_loop,
            .apply_function = apply_function};
}

}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
