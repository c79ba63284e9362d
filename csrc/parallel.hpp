// Tasks over threads.
#pragma once

#include <cstdint>
#include <functional>

namespace attnscope {

// Runs body(task, workspace) once for each task in [0, tasks), on the calling thread and up to threads - 1 others.
// The workspace is 64-byte aligned and belongs to one thread. Any number of threads may call this at once.
// Throws std::bad_alloc before any task has run where the caller's workspace cannot be had.
void parallel_for(std::int64_t tasks, std::int64_t threads, std::int64_t workspace_bytes,
                  const std::function<void(std::int64_t, void*)>& body);

}  // namespace attnscope
