#include "cpu_features.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace attnscope {

namespace {

struct Feature {
    const char* name;
    std::uint32_t CpuRegisters::* in;
    int bit;
};

constexpr Feature v3_features[] = {
    {"SSE3", &CpuRegisters::leaf1_ecx, 0},     {"SSSE3", &CpuRegisters::leaf1_ecx, 9},
    {"FMA", &CpuRegisters::leaf1_ecx, 12},     {"CMPXCHG16B", &CpuRegisters::leaf1_ecx, 13},
    {"SSE4.1", &CpuRegisters::leaf1_ecx, 19},  {"SSE4.2", &CpuRegisters::leaf1_ecx, 20},
    {"MOVBE", &CpuRegisters::leaf1_ecx, 22},   {"POPCNT", &CpuRegisters::leaf1_ecx, 23},
    {"AVX", &CpuRegisters::leaf1_ecx, 28},     {"F16C", &CpuRegisters::leaf1_ecx, 29},
    {"BMI1", &CpuRegisters::leaf7_ebx, 3},     {"AVX2", &CpuRegisters::leaf7_ebx, 5},
    {"BMI2", &CpuRegisters::leaf7_ebx, 8},     {"LAHF", &CpuRegisters::extended_ecx, 0},
    {"LZCNT", &CpuRegisters::extended_ecx, 5},
};
constexpr Feature v4_features[] = {
    {"AVX512F", &CpuRegisters::leaf7_ebx, 16},  {"AVX512DQ", &CpuRegisters::leaf7_ebx, 17},
    {"AVX512CD", &CpuRegisters::leaf7_ebx, 28}, {"AVX512BW", &CpuRegisters::leaf7_ebx, 30},
    {"AVX512VL", &CpuRegisters::leaf7_ebx, 31},
};
constexpr std::uint64_t avx_registers = 0x6;      // XMM and YMM
constexpr std::uint64_t avx512_registers = 0xe0;  // the masks, and both halves of ZMM
// macOS sets these bits only for a thread that has used AVX-512, so there x86-64-v4 counts as missing

}  // namespace

CpuRegisters read_cpu_registers() {
    CpuRegisters cpu = {};
#if defined(__x86_64__)
    std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx)) cpu.leaf1_ecx = ecx;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) cpu.leaf7_ebx = ebx;
    if (__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx)) cpu.extended_ecx = ecx;
    constexpr std::uint32_t xgetbv_is_allowed = 1u << 27;  // OSXSAVE
    if (cpu.leaf1_ecx & xgetbv_is_allowed) {
        asm volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
        cpu.saved = std::uint64_t{edx} << 32 | eax;
    }
#endif
    return cpu;
}

std::vector<const char*> missing_features(std::string_view level, const CpuRegisters& cpu) {
    std::vector<const char*> missing;
    const auto add = [&](const auto& features) {
        for (const Feature& feature : features)
            if (!(cpu.*feature.in >> feature.bit & 1)) missing.push_back(feature.name);
    };
    add(v3_features);
    if ((cpu.saved & avx_registers) != avx_registers) missing.push_back("saved AVX registers");
    if (level != "x86-64-v4") return missing;
    add(v4_features);
    if ((cpu.saved & avx512_registers) != avx512_registers) missing.push_back("saved AVX-512 registers");
    return missing;
}

}  // namespace attnscope
