// A backward pass over threads.
#pragma once

#include "gradient_call.hpp"
#include "parallel.hpp"

namespace attnscope {

// Computes all gradients of a call. Returns false if `go_on`, which the calling thread asks between two
// blocks of rows, ended it.
bool run_gradients(const KernelTable& table, const GradientCall& call, std::int64_t threads,
                   const GoOn& go_on);

}  // namespace attnscope
