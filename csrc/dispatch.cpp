#include "dispatch.hpp"

#include "cpu_features.hpp"

namespace attnscope {

#if defined(__x86_64__)
extern constinit const KernelTable x86_v3_kernel;
extern constinit const KernelTable x86_v4_kernel;
#elif defined(__aarch64__)
extern constinit const KernelTable neon_kernel;
#endif

const std::vector<const KernelTable*>& usable_levels() {
    static const std::vector<const KernelTable*> usable = [] {
        std::vector<const KernelTable*> found;
#if defined(__x86_64__)
        const CpuRegisters cpu = read_cpu_registers();
        for (const KernelTable* table : {&x86_v4_kernel, &x86_v3_kernel})
            if (missing_features(table->level, cpu).empty()) found.push_back(table);
#elif defined(__aarch64__)
        found.push_back(&neon_kernel);  // part of the AArch64 baseline
#endif
        return found;
    }();
    return usable;
}

}  // namespace attnscope
