// Tasks over threads.
#pragma once

#include <cstdint>
#include <functional>

namespace attnscope {

// Runs some of the tasks [first, end), at least the first, and returns the first one that it has not run.
using RunSome = std::function<std::int64_t(std::int64_t first, std::int64_t end, void* workspace)>;
// Called by the calling thread between its tasks; false: no further task begins.
using GoOn = std::function<bool()>;

// Runs the tasks [0, tasks) on the calling thread and up to threads - 1 others. A thread takes a range of
// neighbouring tasks, a share of those that are left, at last one, so that threads end together.
//
// workspace  64-byte aligned; belongs to one thread
// returns    true if all tasks have run, false if `go_on` ended them; an empty `go_on` never does
// throws     what a body throws, after all threads have left the job; std::bad_alloc before any task has run
//            if there is no memory for the caller's workspace
// callers    any number of threads may call this at once, and `go_on` may call it too
bool parallel_ranges(std::int64_t tasks, std::int64_t threads, std::int64_t workspace_bytes,
                     const RunSome& body, const GoOn& go_on);

// The same for each task alone: body(task, workspace)
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
