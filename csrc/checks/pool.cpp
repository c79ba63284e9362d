// Checks the thread pool: a body that throws, memory that runs out at any allocation, many callers at once
// that signals interrupt.
// After each failure the pool must hold no job: a dangling one would be read by the next call's workers.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <thread>
#include <vector>

#include "../parallel.hpp"

namespace {

// The allocation that fails, counted from 1 in this thread; 0: none
thread_local long failing_allocation = 0;

[[noreturn]] void fail(const char* what, long number) {
    std::fprintf(stderr, "pool: %s (%ld)\n", what, number);
    std::exit(1);
}

// Every task runs once
void expect_a_whole_job(std::int64_t tasks, std::int64_t threads) {
    std::vector<std::atomic<int>> runs(static_cast<std::size_t>(tasks));
    const bool whole = attnscope::parallel_for(tasks, threads, 1000, [&](std::int64_t task, void* workspace) {
        static_cast<char*>(workspace)[task % 1000] = 1;
        ++runs[static_cast<std::size_t>(task)];
    });
    if (!whole) fail("a job without go_on ended early", tasks);
    for (const std::atomic<int>& count : runs)
        if (count != 1) fail("a task did not run once", count);
}

void expect_what_a_body_throws(std::int64_t thrower, std::int64_t threads) {
    std::atomic<std::int64_t> running = 0;
    try {
        attnscope::parallel_for(100, threads, 64, [&](std::int64_t task, void*) {
            ++running;
            if (task >= thrower) {
                --running;
                throw std::runtime_error("thrown");
            }
            std::this_thread::yield();
            --running;
        });
    } catch (const std::runtime_error&) {
        if (running != 0) fail("a body ran on after its job had thrown", running);
        return;
    }
    fail("what a body threw was lost", thrower);
}

// Overwrites what returned calls left on the stack, so that a worker that still reads a job of theirs
// crashes. Then makes a call further down, whose own job is not where the old one was.
[[gnu::noinline]] void expect_a_whole_job_further_down(std::int64_t tasks, std::int64_t threads) {
    volatile char stack[1 << 16];
    for (volatile char& byte : stack) byte = 0x7f;
    expect_a_whole_job(tasks, threads);
}

// The first call of a process makes the pool, starts threads and posts its job: it fails at one of its
// allocations, and the next call must be right. Ends the process, with the status `made` if
// there was no such allocation.
[[noreturn]] void fail_at_allocation(long number, int made) {
    const std::int64_t threads = 4;
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, nullptr, &before);
    bool thrown = false;
    failing_allocation = number;
    try {
        attnscope::parallel_for(8, threads, 64, [](std::int64_t, void*) {});
    } catch (const std::bad_alloc&) {
        thrown = true;
    }
    const bool reached = failing_allocation == 0;
    failing_allocation = 0;
    if (reached != thrown) fail("a failed allocation was ignored", number);
    pthread_sigmask(SIG_SETMASK, nullptr, &after);
    for (const int signal : {SIGINT, SIGTERM, SIGALRM})
        if (sigismember(&before, signal) != sigismember(&after, signal)) fail("signals stay blocked", number);
    for (std::int64_t round = 0; round < 20; ++round) expect_a_whole_job_further_down(50, threads);
    std::_Exit(reached ? 0 : made);
}

// Returns how many allocations failed, each in a process of its own
long fail_each_allocation() {
    constexpr int all_made = 77;
    for (long number = 1;; ++number) {
        const pid_t child = fork();
        if (child == 0) fail_at_allocation(number, all_made);
        int status = 0;
        waitpid(child, &status, 0);
        if (WIFEXITED(status) && WEXITSTATUS(status) == all_made) return number - 1;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            fail("a call after a failed one is wrong", number);
    }
}

// go_on ends the job after `polls` polls; then no body runs, and the next job is whole
void expect_an_ended_job(std::int64_t polls, std::int64_t threads) {
    std::atomic<std::int64_t> running = 0;
    std::int64_t asked = 0;
    const bool whole = attnscope::parallel_for(
        1000, threads, 64,
        [&](std::int64_t, void*) {
            ++running;
            --running;
        },
        [&] { return ++asked < polls; });
    if (whole && asked >= polls) fail("go_on did not end the job", asked);
    if (running != 0) fail("a body ran on after its job had ended", running);
}

std::atomic<long> handled = 0;

// Jobs that end well, throw, or are ended, of 64 threads at once, while signals interrupt all of them
void expect_whole_jobs_of_64_callers() {
    struct sigaction action = {};
    action.sa_handler = [](int) { ++handled; };
    sigaction(SIGUSR1, &action, nullptr);
    std::atomic<int> left = 64;
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 64; ++caller)
        callers.emplace_back([caller, &left] {
            for (std::int64_t round = 0; round < 30; ++round) {
                expect_a_whole_job(20 + caller, 1 + (caller + round) % 5);
                expect_what_a_body_throws(round, 3);
                expect_an_ended_job(1 + round % 7, 3);
            }
            --left;
        });
    // A thread that has ended may be signalled until it is joined
    while (left > 0) {
        for (std::thread& caller : callers) pthread_kill(caller.native_handle(), SIGUSR1);
        std::this_thread::yield();
    }
    for (std::thread& caller : callers) caller.join();
    if (handled == 0) fail("no signal was handled", 0);
}

}  // namespace

void* operator new(std::size_t bytes) {
    if (failing_allocation > 0 && --failing_allocation == 0) throw std::bad_alloc();
    if (void* memory = std::malloc(bytes)) return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

int main() {
    const long failed = fail_each_allocation();
    if (failed < 3) fail("the pool, its threads and the job were to allocate", failed);
    for (std::int64_t round = 0; round < 200; ++round) {
        expect_what_a_body_throws(round % 100, 1 + round % 8);
        expect_a_whole_job_further_down(1 + round, 1 + round % 8);
    }
    expect_whole_jobs_of_64_callers();
    std::printf("the pool holds no job that failed (%ld allocations failed)\n", failed);
    std::fflush(stdout);
    std::_Exit(0);  // without destructors: the workers are blocked
}
