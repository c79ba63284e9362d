#include "dispatch.hpp"

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
        // These check every feature of the level (v3: AVX2, FMA, F16C, BMI, LZCNT, MOVBE, ...), and XCR0:
        // that the operating system saves the registers.
        __builtin_cpu_init();
        if (__builtin_cpu_supports("x86-64-v4")) found.push_back(&x86_v4_kernel);
        if (__builtin_cpu_supports("x86-64-v3")) found.push_back(&x86_v3_kernel);
#elif defined(__aarch64__)
        found.push_back(&neon_kernel);  // part of the AArch64 baseline
#endif
        return found;
    }();
    return usable;
}

}  // namespace attnscope
