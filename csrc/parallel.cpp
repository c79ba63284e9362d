// A thread pool of our own: GNU's OpenMP hangs in a child that was forked after its parent used it, and its
// threads spin between calls. Here idle workers block, callers share the workers, and a forked child starts
// new ones. Only beside torch, whose OpenMP spins anyway, jobs run on OpenMP's threads.
#include "parallel.hpp"

#include <dlfcn.h>
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

// A thread's scratch memory, kept from call to call. A call moves it out of the thread's variable, because a
// signal handler may compute attention during the call.
class Workspace {
public:
    void* of(std::int64_t bytes) {
        if (bytes > size_) {
            constexpr std::int64_t page = 4096;
            const std::int64_t whole = (bytes + page - 1) / page * page;
            memory_.reset(std::aligned_alloc(64, static_cast<std::size_t>(whole)));
            size_ = memory_ ? whole : 0;
        }
        return memory_.get();
    }

private:
    struct Free {
        void operator()(void* memory) const { std::free(memory); }
    };
    std::unique_ptr<void, Free> memory_;
    std::int64_t size_ = 0;
};

thread_local Workspace thread_workspace;

// To wake a blocked thread takes about 35 us, as long as a small call. So a thread that waits first spins for
// a while, and yields its CPU to any other thread: decode makes its next call at once.
constexpr std::chrono::microseconds spin_for{100};

template <typename Condition>
void spin_until(const Condition& met) {
    const auto end = std::chrono::steady_clock::now() + spin_for;
    while (!met() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
}

// A thread takes this share of the tasks that are left, divided by the threads. A larger one costs fewer
// atomic operations, and the threads end further apart.
constexpr std::int64_t ranges_per_thread = 4;

struct Job {
    const std::int64_t tasks, threads, workspace_bytes;
    const RunSome& body;
    std::atomic<std::int64_t> next = 0;
    std::atomic<bool> ended_early = false;
    std::atomic<std::int64_t> active = 0;  // workers in the job; changed under the pool's mutex
    // guarded by the pool's mutex
    std::int64_t openings = 0;
    std::condition_variable finished = {};
    std::exception_ptr thrown = {};

    // Takes part until no task is left; returns what a body threw
    std::exception_ptr work(void* workspace, const GoOn& go_on) noexcept {
        try {
            for (std::int64_t first = next.load(std::memory_order_relaxed); first < tasks;) {
                const std::int64_t share = (tasks - first) / (ranges_per_thread * threads);
                const std::int64_t end = first + std::max<std::int64_t>(1, share);
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

// Blocks all signals in this thread and in threads that it starts: signals are for the program's own threads
class BlockedSignals {
public:
    BlockedSignals() {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    BlockedSignals(const BlockedSignals&) = delete;
    BlockedSignals& operator=(const BlockedSignals&) = delete;
    ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_;
};

class Pool {
public:
    void run(Job& job, std::int64_t helpers, void* workspace, const GoOn& go_on) {
        post(job, helpers);
        // From here on nothing throws until the job has left the pool: workers may read it
        for (std::int64_t i = 0; i < helpers; ++i) wake_.notify_one();
        std::exception_ptr thrown = job.work(workspace, go_on);
        spin_until([&] { return job.active == 0; });
        std::unique_lock lock(mutex_);
        open_.erase(std::find(open_.begin(), open_.end(), &job));
        job.finished.wait(lock, [&] { return job.active == 0; });
        if (!job.thrown) job.thrown = std::move(thrown);
    }

private:
    void post(Job& job, std::int64_t helpers) {
        const std::lock_guard lock(mutex_);
        start_workers(helpers);
        job.openings = std::min(helpers, workers_);
        open_.push_back(&job);
        ++posted_;
    }

    void start_workers(std::int64_t wanted) {
        if (workers_ >= wanted) return;
        const BlockedSignals blocked;
        try {
            for (; workers_ < wanted; ++workers_) std::thread([this] { serve(); }).detach();
        } catch (const std::system_error&) {
            // The system has no more threads: the job gets the workers that exist
        }
    }

    [[noreturn]] void serve() {
        std::unique_lock lock(mutex_);
        for (;;) {
            Job* job = nullptr;
            wake_.wait(lock, [&] {
                const auto found = std::find_if(open_.begin(), open_.end(),
                                                [](const Job* each) { return each->openings > 0; });
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
            spin_until([&] { return posted_ != seen; });
            lock.lock();
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_;
    std::vector<Job*> open_;
    std::atomic<std::uint64_t> posted_ = 0;  // jobs so far; changed under the mutex
    std::int64_t workers_ = 0;
};

// GOMP_parallel(function, data, threads, flags) of GNU's OpenMP, which LLVM's has too: calls function(data)
// on the calling thread and on threads of its team, and returns when all have returned.
using Team = void (*)(void (*)(void*), void*, unsigned, unsigned);
std::atomic<Team> team = nullptr;
std::atomic<bool> team_taken = false;

// The one caller that has the team; it does not wait for it
class TakenTeam {
public:
    TakenTeam() : team_(team.load()) {
        if (team_ != nullptr && team_taken.exchange(true)) team_ = nullptr;
    }
    TakenTeam(const TakenTeam&) = delete;
    TakenTeam& operator=(const TakenTeam&) = delete;
    ~TakenTeam() {
        if (team_ != nullptr) team_taken = false;
    }
    explicit operator bool() const { return team_ != nullptr; }

    // Always with all threads that the caller may use: a team of another size ends and starts threads
    void run(Job& job, std::int64_t threads, void* workspace, const GoOn& go_on) const {
        struct Member {
            Job& job;
            void* const workspace;
            const GoOn& go_on;
            const std::thread::id caller = std::this_thread::get_id();
            std::mutex mutex = {};

            void work() {
                const bool is_caller = std::this_thread::get_id() == caller;
                void* own = is_caller ? workspace : thread_workspace.of(job.workspace_bytes);
                if (own == nullptr) return;
                if (std::exception_ptr thrown = job.work(own, is_caller ? go_on : GoOn{})) {
                    const std::lock_guard lock(mutex);
                    job.thrown = std::move(thrown);
                }
            }
        } member{.job = job, .workspace = workspace, .go_on = go_on};
        team_([](void* each) { static_cast<Member*>(each)->work(); }, &member, static_cast<unsigned>(threads),
              0);
    }

private:
    Team team_;
};

// Never destroyed, because blocked workers outlive every static destructor. A forked child has none of its
// parent's workers, and the parent's mutex may be locked, so the child drops the pool and makes its own at
// the first call.
std::atomic<Pool*> current_pool = nullptr;

Pool& pool() {
    static const int dropped_by_children =
        pthread_atfork(nullptr, nullptr, [] { current_pool.store(nullptr); });
    (void)dropped_by_children;
    Pool* found = current_pool.load();
    if (found == nullptr) {
        auto fresh = std::make_unique<Pool>();
        if (current_pool.compare_exchange_strong(found, fresh.get())) found = fresh.release();
    }
    return *found;
}

}  // namespace

bool use_openmp(bool use) {
    // A child after a fork has none of the threads that OpenMP believes to have
    static const int left_by_children = pthread_atfork(nullptr, nullptr, [] {
        team = nullptr;
        team_taken = false;
    });
    (void)left_by_children;
    team = use ? reinterpret_cast<Team>(dlsym(RTLD_DEFAULT, "GOMP_parallel")) : nullptr;
    return team != nullptr;
}

bool parallel_ranges(std::int64_t tasks, std::int64_t threads, std::int64_t workspace_bytes,
                     const RunSome& body, const GoOn& go_on) {
    if (tasks <= 0) return true;
    const std::int64_t helpers = std::max<std::int64_t>(std::min(threads, tasks), 1) - 1;
    Job job{.tasks = tasks,
            .threads = helpers + 1,
            .workspace_bytes = std::max<std::int64_t>(workspace_bytes, 64),
            .body = body};
    Workspace own = std::exchange(thread_workspace, {});
    void* workspace = own.of(job.workspace_bytes);
    if (workspace == nullptr) throw std::bad_alloc();
    if (helpers == 0)
        job.thrown = job.work(workspace, go_on);
    else if (const TakenTeam taken; taken)
        taken.run(job, threads, workspace, go_on);
    else
        pool().run(job, helpers, workspace, go_on);
    thread_workspace = std::move(own);
    if (job.thrown) std::rethrow_exception(job.thrown);
    return !job.ended_early;
}

}  // namespace attnscope
