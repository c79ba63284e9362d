// Steps of the softmax that are the same whichever way the lanes run.
#pragma once

namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE {
namespace {

constexpr float infinity = __builtin_inff();
constexpr double ln_2 = 0.69314718055994530942;
constexpr float log2_e = static_cast<float>(1.0 / ln_2);

// Scores are held times log2(e), so that every exponential is an exp2
ATTNSCOPE_INLINE float base_2(double natural) { return static_cast<float>(natural * (1.0 / ln_2)); }

ATTNSCOPE_INLINE Vector magnitude(Vector a) { return max(a, sub(broadcast(-0.0f), a)); }  // |a|; a NaN stays one

// What exponents are taken relative to: before the first visible key the largest score is -inf, and -inf - -inf
// would be NaN
ATTNSCOPE_INLINE Vector anchor_of(Vector largest) { return select(equal(largest, broadcast(-infinity)), zero(), largest); }

struct Merge {
    Vector shrink_total, shrink_part;
};

// Two softmax sums over disjoint keys become one, relative to the larger maximum
ATTNSCOPE_INLINE Merge merge_sums(float* largest, float* sum, Vector part_largest, Vector part_sum) {
    const Vector before = load(largest);
    const Vector now = max(before, part_largest);
    const Vector anchor = anchor_of(now);
    const Merge step = {exp2_not_positive(sub(before, anchor)), exp2_not_positive(sub(part_largest, anchor))};
    store(sum, fma(part_sum, step.shrink_part, mul(load(sum), step.shrink_total)));
    store(largest, now);
    return step;
}

// What a row's mixed values are multiplied by at its end. A row without a sum saw nothing and is 0.
ATTNSCOPE_INLINE Vector share_of(Vector sum) { return select(equal(sum, zero()), zero(), div(broadcast(1.0f), sum)); }

// Adding 0 leaves no -0, whose sign could differ between ways that are otherwise equal; and there is one NaN.
ATTNSCOPE_INLINE Vector normalize(Vector mixed, Vector share) {
    const Vector output = fma(mixed, share, zero());
    return select(is_nan(output), broadcast(__builtin_nanf("")), output);
}

ATTNSCOPE_INLINE float natural_logsumexp(float largest, float sum) {
    if (sum != sum) return __builtin_nanf("");
    if (sum == 0.0f) return -infinity;
    return static_cast<float>(fma_scalar(largest, ln_2, log_positive(sum)));
}

}  // namespace
}  // namespace attnscope::ATTNSCOPE_LEVEL_NAMESPACE
