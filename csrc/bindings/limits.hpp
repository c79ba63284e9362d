// The machine's limits, measured over all threads.
#pragma once

#include <atomic>
#include <chrono>

#include "../parallel.hpp"
#include "buffer.hpp"
#include "unlocked.hpp"

namespace attnscope {

inline double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// FLOP/s of all threads together, each in a loop of fused multiply-adds on registers
inline double fma_limit(const KernelTable& table, std::int64_t threads, std::int64_t iterations) {
    const Unlocked python;
    std::atomic<std::int64_t> total = 0;
    std::atomic<double> kept = 0;  // so that the compiler keeps the loop
    const auto start = std::chrono::steady_clock::now();
    parallel_for(threads, threads, 0, [&](std::int64_t, void*) {
        std::int64_t flops = 0;
        kept = table.fma_loop(iterations, &flops);
        total += flops;
    });
    return static_cast<double>(total) / seconds_since(start);
}

// Bytes/s of all threads together, which read `data` once, each in many pieces so that they end together
inline double read_bandwidth(const KernelTable& table, Array data, std::int64_t threads) {
    constexpr std::int64_t pieces_per_thread = 16;
    const Buffer view(data, "data", 1);
    const float* floats = view.contiguous<float>({view.size(0)});
    if (threads < 1) throw nb::value_error("threads: expected at least 1");
    const std::int64_t pieces = threads * pieces_per_thread, piece = view.size(0) / pieces;
    const Unlocked python;
    std::atomic<double> kept = 0;
    const auto start = std::chrono::steady_clock::now();
    parallel_for(pieces, threads, 0,
                 [&](std::int64_t i, void*) { kept = table.read_loop(floats + i * piece, piece); });
    return static_cast<double>(pieces * piece * 4) / seconds_since(start);
}

}  // namespace attnscope
