// Level "x86-64-v3". Its only export is the table: everything else has internal linkage, so that no code
// compiled for this level can be merged into another by the linker.
#define ATTNSCOPE_LEVEL_NAMESPACE x86_v3
#include "../lanes/x86_v3.hpp"

#include "../kernels/all.inl.hpp"

namespace attnscope {
extern constinit const KernelTable x86_v3_kernel;
constinit const KernelTable x86_v3_kernel = x86_v3::make_table("x86-64-v3");
}  // namespace attnscope
