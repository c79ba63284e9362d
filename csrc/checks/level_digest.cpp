// Prints a digest of many small attention problems for each level that runs here. Built for two machines (or
// run under an emulator), the lines must be equal: that is how NEON is held to the bits of AVX2 and AVX-512.
#include <cinttypes>
#include <cstdio>

#include "../dispatch.hpp"
#include "random_backward.hpp"

namespace {

// FNV-1a
std::uint64_t digest(std::uint64_t so_far, const void* data, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i)
        so_far = (so_far ^ static_cast<const unsigned char*>(data)[i]) * 1099511628211u;
    return so_far;
}

}  // namespace

int main() {
    if (attnscope::usable_levels().empty()) {
        std::fprintf(stderr, "level_digest: this CPU can run none of the compiled levels\n");
        return 1;
    }
    for (const attnscope::KernelTable* table : attnscope::usable_levels()) {
        std::uint64_t sum = 14695981039346656037u;
        for (int number = 0; number < 200; ++number) {
            const attnscope::Random random(static_cast<std::uint64_t>(number));
            attnscope::RandomCall call(random, {.statistics = number % 2 == 0, .pages = number % 3 == 0});
            call.run(*table);
            const auto add = [&](const void* data, std::size_t size) { sum = digest(sum, data, size); };
            call.for_each_result(add);
            attnscope::RandomBackward backward(random, {});
            if (!backward.is_one_strip()) continue;
            backward.run(*table);
            backward.run_backward(*table);
            backward.for_each_gradient(add);
        }
        std::printf("%016" PRIx64 " %s\n", sum, table->level);
    }
}
