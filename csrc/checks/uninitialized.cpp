// Fails if a level computes on memory that it has not written: its workspace and results are filled with
// signalling NaNs, and arithmetic on one of them raises the floating-point exception FE_INVALID. Moving such
// a NaN or selecting another number instead of it raises nothing, so this finds what a comparison of results
// cannot.
#include <cfenv>
#include <cstdio>

#include "../dispatch.hpp"
#include "random_backward.hpp"

namespace {

// The backward pass of a call after its forward pass
bool backward_is_clean(const attnscope::KernelTable& table, int number) {
    attnscope::RandomBackward backward(attnscope::Random(static_cast<std::uint64_t>(number)), {});
    if (!backward.is_one_strip()) return true;
    backward.run(table);
    backward.poison_backward(table);
    std::feclearexcept(FE_INVALID);
    backward.run_backward(table);
    if (!std::fetestexcept(FE_INVALID)) return true;
    std::fprintf(stderr, "%s: the backward pass of call %d computes on memory that was not written\n",
                 table.level, number);
    return false;
}

}  // namespace

int main() {
    if (attnscope::usable_levels().empty()) {
        std::fprintf(stderr, "uninitialized: this CPU can run none of the compiled levels\n");
        return 1;
    }
    int failures = 0;
    for (const attnscope::KernelTable* table : attnscope::usable_levels())
        for (int number = 0; number < 280; ++number) {
            if (!backward_is_clean(*table, number)) ++failures;
            for (const bool observed : {false, true}) {
                attnscope::RandomCall call(attnscope::Random(static_cast<std::uint64_t>(number)),
                                           {.statistics = observed, .pages = number % 3 == 0});
                call.poison(*table);
                std::feclearexcept(FE_INVALID);
                call.run(*table);
                if (!std::fetestexcept(FE_INVALID)) continue;
                std::fprintf(stderr, "%s: call %d%s computes on memory that was not written\n", table->level,
                             number, observed ? ", observed," : "");
                ++failures;
            }
        }
    if (failures == 0) std::printf("no level computes on memory that was not written\n");
    return failures != 0;
}
