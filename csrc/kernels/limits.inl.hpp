// The machine's two limits, measured with the instructions of the kernel.
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

// Twelve independent chains hide a multiply-add's latency (4 cycles) in both pipes, all in registers
static double fma_loop(std::int64_t iterations, std::int64_t* flops) {
    constexpr int chains = 12;
    Vector sum[chains];
    for (int i = 0; i < chains; ++i) sum[i] = broadcast(static_cast<float>(i));
    const Vector factor = broadcast(0.999f), step = broadcast(0.001f);
    for (std::int64_t n = 0; n < iterations; ++n)
        for (int i = 0; i < chains; ++i) sum[i] = fma(sum[i], factor, step);
    float result[lanes];
    for (int i = 1; i < chains; ++i) sum[0] = add(sum[0], sum[i]);
    store(result, sum[0]);
    *flops = iterations * chains * lanes * 2;
    return result[0];
}

static double read_loop(const float* data, std::int64_t count) {
    Vector sum[8];
    for (Vector& part : sum) part = zero();
    for (std::int64_t at = 0; at + 8 * lanes <= count; at += 8 * lanes)
        for (int i = 0; i < 8; ++i) sum[i] = add(sum[i], load(data + at + i * lanes));
    float result[lanes];
    for (int i = 1; i < 8; ++i) sum[0] = add(sum[0], sum[i]);
    store(result, sum[0]);
    return result[0];
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
