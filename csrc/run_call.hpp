// A call over threads.
#pragma once

#include "kernel_table.hpp"
#include "parallel.hpp"

namespace attnscope {

// Computes a call, with the second pass of observe() if it asks for it. A call with little work uses one
// thread and ignores `go_on`. Returns false if `go_on` ended it.
bool run_call(const KernelTable& table, const AttentionCall& call, std::int64_t threads, const GoOn& go_on);

}  // namespace attnscope
