// The algorithms, once; a level file includes its lanes, then this.
#pragma once

#include "../kernel_table.hpp"

// each stands on those before it
#include "exponential.inl.hpp"
#include "arithmetic.inl.hpp"
#include "formats.inl.hpp"
#include "rows.inl.hpp"
#include "blocks.inl.hpp"
#include "stretches.inl.hpp"
#include "micro.inl.hpp"
#include "rows_in_lanes.inl.hpp"
#include "dims_in_lanes.inl.hpp"
#include "statistics.inl.hpp"
#include "tile.inl.hpp"
#include "survey.inl.hpp"
#include "limits.inl.hpp"

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {

static constexpr KernelTable make_table(const char* level) {
    return {level, lanes, count_tiles, count_workspace_bytes, count_state_floats, run_some_tiles, run_part, finish_tile,
            count_survey_tasks, count_survey_workspace_bytes, run_survey, fma_loop, read_loop, apply_function};
}

}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
