// Level "x86-64-v4". Its only export is the table: everything else has internal linkage, so that no code
// compiled for this level can be merged into another by the linker.
#define ATTNSCOPE_LEVEL_NAMESPACE x86_v4
#include "../lanes/x86_v4.hpp"

#include "../kernels/all.inl.hpp"

namespace attnscope {
extern constinit const KernelTable x86_v4_kernel;
constinit const KernelTable x86_v4_kernel = x86_v4::make_table("x86-64-v4");
}  // namespace attnscope
