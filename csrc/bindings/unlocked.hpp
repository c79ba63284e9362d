// Releases the GIL while the kernel runs and takes it again safely: for signals, at the end, and while
// Python exits.
#pragma once

#include <nanobind/nanobind.h>
#include <unistd.h>

#include <chrono>

namespace nb = nanobind;

namespace attnscope {

// Python ends a thread that asks for the GIL during finalization, by unwinding its stack through C++ frames
// that must not throw. Such a thread sleeps here instead, until the process has ended.
class SleepIfUnwound {
public:
    void disarm() { armed_ = false; }
    ~SleepIfUnwound() {
        while (armed_) pause();
    }

private:
    bool armed_ = true;
};

// Not inlined: the guard needs a frame of its own, below the frames that must not throw.
[[gnu::noinline]] inline void take_gil(PyThreadState* state) {
    SleepIfUnwound guard;
    PyEval_RestoreThread(state);
    guard.disarm();
}

// Whether Python runs signal handlers in this thread. Needs the GIL.
inline bool is_main_thread() {
    const nb::module_ threading = nb::module_::import_("threading");
    return threading.attr("main_thread")().attr("ident").equal(threading.attr("get_ident")());
}

// The GIL is released from the constructor to the destructor.
class Unlocked {
public:
    Unlocked() : state_(PyEval_SaveThread()) {}
    Unlocked(const Unlocked&) = delete;
    Unlocked& operator=(const Unlocked&) = delete;
    ~Unlocked() { take_gil(state_); }

    // For the calling thread, between two pieces of its work. Runs the handlers of pending signals, every
    // 100 ms, in the main thread only. Returns false if one raised: the error is set, and the call must end.
    bool go_on() {
        if (!polls_) return true;
        if (std::chrono::steady_clock::now() < next_) return true;
        take_gil(state_);
        const bool raised = !run_handlers();
        state_ = PyEval_SaveThread();
        next_ = std::chrono::steady_clock::now() + between_polls;
        return !raised;
    }

private:
    bool run_handlers() {
        if (PyErr_CheckSignals() != 0) return false;
        if (knows_thread_) return true;
        try {
            polls_ = is_main_thread();
        } catch (nb::python_error& error) {
            error.restore();  // also a signal's: Python code ran
            return false;
        }
        knows_thread_ = true;
        return true;
    }

    static constexpr std::chrono::milliseconds between_polls{100};
    PyThreadState* state_;
    std::chrono::steady_clock::time_point next_ = std::chrono::steady_clock::now() + between_polls;
    bool polls_ = true, knows_thread_ = false;
};

}  // namespace attnscope
