// How a level's functions are compiled: inlined into the kernels, or on their own.
#pragma once

#define ATTNSCOPE_INLINE [[gnu::always_inline]] static inline
#define ATTNSCOPE_MEMBER [[gnu::always_inline]] inline
#define ATTNSCOPE_LAMBDA __attribute__((always_inline))

// Neither inlined nor specialized for a caller: a micro-kernel, which needs all registers for its sums, or a
// rare path, which must not take registers from the usual one.
#if defined(__clang__)
#define ATTNSCOPE_ALONE [[gnu::noinline]] static
#define ATTNSCOPE_UNROLL _Pragma("clang loop unroll(full)")
#else
#define ATTNSCOPE_ALONE [[gnu::noinline, gnu::noclone]] static
#define ATTNSCOPE_UNROLL _Pragma("GCC unroll 16")
#endif
