// Level "neon". Its only export is the table: everything else has internal linkage, so that no code compiled
// for this level can be merged into another by the linker.
#define ATTNSCOPE_LEVEL_NAMESPACE neon
#include "../lanes/neon.hpp"

#include "../kernels/all.inl.hpp"

namespace attnscope {
extern constinit const KernelTable neon_kernel;
constinit const KernelTable neon_kernel = neon::make_table("neon");
}  // namespace attnscope
