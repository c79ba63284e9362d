// Steps of the softmax that both layouts share.
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

constexpr float infinity = __builtin_inff();
constexpr float nan = __builtin_nanf("");  // the one NaN that results hold
constexpr double ln_2 = 0.69314718055994530942;
constexpr float log2_e = static_cast<float>(1.0 / ln_2);

// Scores are stored times log2(e), so that every exponential is an exp2
ATTNSCOPE_INLINE float base_2(double natural) { return static_cast<float>(natural * (1.0 / ln_2)); }

// |a|; NaN for a NaN
ATTNSCOPE_INLINE Vector magnitude(Vector a) { return max(a, sub(broadcast(-0.0f), a)); }

// The number that exponents are taken relative to: the largest score, or 0 before the first visible key,
// because -inf - -inf would be NaN
ATTNSCOPE_INLINE Vector anchor_of(Vector largest) {
    return select(equal(largest, broadcast(-infinity)), zero(), largest);
}

struct Merge {
    Vector shrink_total, shrink_part;
};

// Combines two softmax sums over disjoint keys, relative to the larger of their maxima
ATTNSCOPE_INLINE Merge merge_sums(float* largest, float* sum, Vector part_largest, Vector part_sum) {
    const Vector before = load(largest);
    const Vector now = max(before, part_largest);
    const Vector anchor = anchor_of(now);
    const Merge step = {.shrink_total = exp2_not_positive(sub(before, anchor)),
                        .shrink_part = exp2_not_positive(sub(part_largest, anchor))};
    store(sum, fma(part_sum, step.shrink_part, mul(load(sum), step.shrink_total)));
    store(largest, now);
    return step;
}

// The factor that turns a row's mixed values into its output; 0 for a fully masked row, whose sum is 0
ATTNSCOPE_INLINE Vector share_of(Vector sum) {
    return select(equal(sum, zero()), zero(), div(broadcast(1.0f), sum));
}

// Adding 0 turns -0 into 0, because the sign of a zero may differ between the layouts. Every NaN becomes the
// same NaN.
ATTNSCOPE_INLINE Vector normalize(Vector mixed, Vector share) {
    const Vector output = fma(mixed, share, zero());
    return select(is_nan(output), broadcast(nan), output);
}

ATTNSCOPE_INLINE float natural_logsumexp(float largest, float sum) {
    if (sum != sum) return nan;
    if (sum == 0.0f) return -infinity;
    return static_cast<float>(fma_scalar(largest, ln_2, log_positive(sum)));
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
