// A small pool of our own, not OpenMP: GNU's OpenMP hangs in a child that was forked after its parent used
// it, and its threads spin between calls for as long as there is nothing to do. Here idle workers sleep,
// callers share the workers, and a forked child starts anew.
#include "parallel.hpp"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace attnscope {
namespace {

// A thread's scratch memory, kept from call to call. A call takes it out of its thread, since a signal
// handler may compute attention in the middle of it.
class Workspace {
public:
    void* of(std::int64_t bytes) {
        if (bytes > size_) {
            const std::int64_t whole = (bytes + 4095) / 4096 * 4096;
            memory_.reset(std::aligned_alloc(64, static_cast<std::size_t>(whole)));
            size_ = memory_ ? whole : 0;
        }
        return memory_.get();
    }

private:
    struct Free {
        void operator()(void* p) const { std::free(p); }
    };
    std::unique_ptr<void, Free> memory_;
    std::int64_t size_ = 0;
};

thread_local Workspace thread_workspace;

// To be woken takes a sleeping thread about 35 us, as long as a small call: who waits looks around for a
// little while before it sleeps, leaving its CPU to anyone who wants it. Decode calls again at once.
constexpr std::chrono::microseconds awake_for{100};

template <typename Condition>
void look_out_for(const Condition& met) {
    const auto end = std::chrono::steady_clock::now() + awake_for;
    while (!met() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
}

struct Job {
    std::int64_t tasks, threads;
    std::int64_t workspace_bytes;
    const RunSome& body;
    std::atomic<std::int64_t> next = 0;
    std::atomic<bool> ended_early = false;
    std::atomic<std::int64_t> active = 0;  // changed under the pool's mutex
    // guarded by the pool's mutex
    std::int64_t openings = 0;
    std::condition_variable finished = {};
    std::exception_ptr thrown = {};

    // Takes part until no task is left; returns what a body threw
    std::exception_ptr work(void* workspace, const GoOn& go_on) noexcept {
        try {
            for (std::int64_t first = next.load(std::memory_order_relaxed); first < tasks;) {
                const std::int64_t end = first + std::max<std::int64_t>(1, (tasks - first) / (4 * threads));
                if (!next.compare_exchange_weak(first, end, std::memory_order_relaxed)) continue;
                while (first < end && !ended_early.load(std::memory_order_relaxed)) {
                    first = body(first, end, workspace);
                    if (go_on && !go_on()) end_early();
                }
                first = next.load(std::memory_order_relaxed);
            }
        } catch (...) {
            end_early();
            return std::current_exception();
        }
        return {};
    }

private:
    void end_early() {
        ended_early.store(true, std::memory_order_relaxed);
        next.store(tasks, std::memory_order_relaxed);
    }
};

class Pool {
public:
    void run(Job& job, std::int64_t helpers, void* workspace, const GoOn& go_on) {
        {
            const std::lock_guard lock(mutex_);
            hire(helpers);
            job.openings = std::min(helpers, workers_);
            open_.push_back(&job);
            ++posted_;
        }
        for (std::int64_t i = 0; i < helpers; ++i) wake_.notify_one();
        std::exception_ptr thrown = job.work(workspace, go_on);
        look_out_for([&] { return job.active == 0; });
        std::unique_lock lock(mutex_);
        open_.erase(std::find(open_.begin(), open_.end(), &job));
        job.finished.wait(lock, [&] { return job.active == 0; });
        if (!job.thrown) job.thrown = std::move(thrown);
    }

private:
    void hire(std::int64_t wanted) {
        if (workers_ >= wanted) return;
        // Signals belong to the threads that the program started
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        try {
            for (; workers_ < wanted; ++workers_) std::thread([this] { serve(); }).detach();
        } catch (const std::system_error&) {
            // the system gives no more threads: those that there are do the work
        }
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }

    [[noreturn]] void serve() {
        std::unique_lock lock(mutex_);
        for (;;) {
            Job* job = nullptr;
            wake_.wait(lock, [&] {
                const auto found =
                    std::find_if(open_.begin(), open_.end(), [](Job* j) { return j->openings > 0; });
                job = found == open_.end() ? nullptr : *found;
                return job != nullptr;
            });
            --job->openings;
            ++job->active;
            const std::uint64_t seen = posted_;
            lock.unlock();
            std::exception_ptr thrown;
            if (void* workspace = thread_workspace.of(job->workspace_bytes))
                thrown = job->work(workspace, {});
            lock.lock();
            if (thrown) job->thrown = std::move(thrown);
            if (--job->active == 0) job->finished.notify_one();
            lock.unlock();
            look_out_for([&] { return posted_ != seen; });
            lock.lock();
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_;
    std::vector<Job*> open_;
    std::atomic<std::uint64_t> posted_ = 0;  // jobs so far; changed under the mutex
    std::int64_t workers_ = 0;
};

// Never destroyed: sleeping workers must outlive every static destructor. A forked child has none of its
// parent's workers, and the parent's lock may be held: it forgets the pool and makes its own at the first
// call.
std::atomic<Pool*> current_pool = nullptr;

Pool& pool() {
    static const int forgets = pthread_atfork(nullptr, nullptr, [] { current_pool.store(nullptr); });
    (void)forgets;
    Pool* found = current_pool.load();
    if (found == nullptr) {
        auto fresh = std::make_unique<Pool>();
        if (current_pool.compare_exchange_strong(found, fresh.get())) found = fresh.release();
    }
    return *found;
}

}  // namespace

bool parallel_ranges(std::int64_t tasks, std::int64_t threads, std::int64_t workspace_bytes,
                     const RunSome& body, const GoOn& go_on) {
    if (tasks <= 0) return true;
    Workspace own = std::exchange(thread_workspace, {});
    void* workspace = own.of(std::max<std::int64_t>(workspace_bytes, 64));
    if (workspace == nullptr) throw std::bad_alloc();
    const std::int64_t helpers = std::max<std::int64_t>(std::min(threads, tasks), 1) - 1;
    Job job{tasks, helpers + 1, std::max<std::int64_t>(workspace_bytes, 64), body};
    if (helpers == 0)
        job.thrown = job.work(workspace, go_on);
    else
        pool().run(job, helpers, workspace, go_on);
    thread_workspace = std::move(own);
    if (job.thrown) std::rethrow_exception(job.thrown);
    return !job.ended_early;
}

}  // namespace attnscope
