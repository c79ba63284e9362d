// Tasks over threads.
#pragma once

#include <cstdint>
#include <functional>

namespace attnscope {

// Below this many multiply-adds (about 20 us of work for one thread) a call is done before a sleeping thread,
// which needs 35 us, has woken up. A fuzzer's calls are small, and are to use threads.
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
inline constexpr double worth_a_thread = 1e3;
#else
inline constexpr double worth_a_thread = 1e6;
#endif

// Runs some of the tasks [first, end), at least the first, and returns the first task that it has not run.
using RunSome = std::function<std::int64_t(std::int64_t first, std::int64_t end, void* workspace)>;
// Called by the calling thread between its tasks. If it returns false, no further task starts.
using GoOn = std::function<bool()>;

// Runs the tasks [0, tasks) on the calling thread and up to threads - 1 workers. A thread takes a range of
// neighbouring tasks, a share of those that are left and at the end one, so that all threads end at nearly
// the same time.
//
// workspace  64-byte aligned; belongs to one thread
// returns    true if all tasks have run, false if `go_on` ended them; an empty `go_on` never does
// throws     what a body throws, after all threads have left the job; std::bad_alloc before any task has run
//            if there is no memory for the caller's workspace or for threads
// callers    any number of threads may call this at once, and `go_on` may call it too
bool parallel_ranges(std::int64_t tasks, std::int64_t threads, std::int64_t workspace_bytes,
                     const RunSome& body, const GoOn& go_on);

// Runs jobs on the threads of the process's own OpenMP from now on, if `use` is true and one is loaded, and
// returns true. Otherwise, and in a child after a fork, they run on a pool of our own.
//
// torch computes on OpenMP's threads, which spin for a while after each of its operations: beside them a
// second pool would have to share their CPUs. One job at a time has the team; others use the pool.
bool use_openmp(bool use);

// The same task by task: body(task, workspace)
template <typename Body>
bool parallel_for(std::int64_t tasks, std::int64_t threads, std::int64_t workspace_bytes, const Body& body,
                  const GoOn& go_on = {}) {
    const RunSome one = [&](std::int64_t first, std::int64_t, void* workspace) {
        body(first, workspace);
        return first + 1;
    };
    return parallel_ranges(tasks, threads, workspace_bytes, one, go_on);
}

}  // namespace attnscope
