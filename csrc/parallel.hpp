// Tasks over threads.
#pragma once

#include <cstdint>
#include <functional>

namespace attnscope {

// Runs body(first, end, workspace) for ranges that make up the tasks [0, tasks), on the calling thread and up to
// threads - 1 others. A range is a share of the tasks that are left, at last one, so that threads end together.
// The workspace is 64-byte aligned and belongs to one thread. Any number of threads may call this at once.
// Throws std::bad_alloc before any task has run where the caller's workspace cannot be had.
void parallel_ranges(std::int64_t tasks, std::int64_t threads, std::int64_t workspace_bytes,
                     const std::function<void(std::int64_t, std::int64_t, void*)>& body);

// The same for each task alone: body(task, workspace)
template <typename Body>
void parallel_for(std::int64_t tasks, std::int64_t threads, std::int64_t workspace_bytes, const Body& body) {
    parallel_ranges(tasks, threads, workspace_bytes, [&](std::int64_t first, std::int64_t end, void* workspace) {
        for (; first < end; ++first) body(first, workspace);
    });
}

}  // namespace attnscope
