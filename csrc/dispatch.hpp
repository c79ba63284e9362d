// Which compiled levels this CPU and its operating system can run, the best one first.
#pragma once

#include <vector>

#include "kernel_table.hpp"

namespace attnscope {

const std::vector<const KernelTable*>& usable_levels();

}  // namespace attnscope
