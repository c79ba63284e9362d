// Fails if a level computes on memory that it has not written: its workspace and results are filled with
// signalling NaNs, and arithmetic on one of them raises the floating-point exception FE_INVALID. Moving such
// a NaN or selecting another number instead of it raises nothing, so this finds what a comparison of results
// cannot.
#include <cfenv>
#include <cstdio>

#include "../dispatch.hpp"
#include "random_call.hpp"

int main() {
    int failures = 0;
    for (const attnscope::KernelTable* table : attnscope::usable_levels())
        for (int number = 0; number < 280; ++number)
            for (const bool observed : {false, true}) {
                attnscope::RandomCall call(number, observed);
                call.poison(*table);
                std::feclearexcept(FE_INVALID);
                call.run(*table);
                if (!std::fetestexcept(FE_INVALID)) continue;
                std::fprintf(stderr, "%s: call %d%s computes on memory that was not written\n", table->level,
                             number, observed ? ", observed," : "");
                ++failures;
            }
    if (failures == 0) std::printf("no level computes on memory that was not written\n");
    return failures != 0;
}
