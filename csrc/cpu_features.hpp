// What this CPU and its operating system lack for an x86 level, asked of the CPU itself. The compiler's own
// test, __builtin_cpu_supports, depends on its run-time library, which may not know a level and answers "no".
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace attnscope {

// The four registers that hold all features of the x86-64 levels; see the x86-64 psABI, table 3.1
struct CpuRegisters {
    std::uint32_t leaf1_ecx, leaf7_ebx, extended_ecx;  // of cpuid: leaf 1, leaf 7, leaf 0x80000001
    std::uint64_t saved;                               // XCR0: the registers that the operating system saves
};

// All 0 on a CPU that is not x86-64
CpuRegisters read_cpu_registers();

// Empty if the level can run
std::vector<const char*> missing_features(std::string_view level, const CpuRegisters& cpu);

}  // namespace attnscope
