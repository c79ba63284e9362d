"""A described problem and its arrays, through the compiled kernel."""

from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from attnscope.errors import UnsupportedProblemError
from attnscope.kernels import _core
from attnscope.kernels.level import level
from attnscope.kernels.threads import checked_threads, default_threads
from attnscope.problem import AttentionProblem, KeyBitmap, KeySpans, Operands, lower

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
DTYPES: dict[str, np.dtype[Any]] = {
    "float32": np.dtype(np.float32),
    "bfloat16": BFLOAT16,
    "float16": np.dtype(np.float16),
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


# Plans of earlier calls, by what they were made for; one that holds a large bitmap is not kept
MOST_PLANS_KEPT = 64
MOST_BYTES_KEPT = 1 << 20
_plans: dict[tuple[AttentionProblem, str, str], "_core.Plan"] = {}


def why_not(problem: AttentionProblem) -> str | None:
    """Why the kernel cannot run this problem, as a sentence; None if it can."""
    if problem.number_format not in DTYPES:
        return f"it computes in float32, and the arrays are {problem.number_format}"
    if level() is None:
        return "this CPU has none of its levels (x86-64-v3, x86-64-v4, neon)"
    return None


def run(
    problem: AttentionProblem,
    operands: Operands,
    *,
    out: NDArray[Any] | None = None,
    logsumexp: bool = False,
    output_format: str | None = None,
    threads: int | None = None,
    statistics: "_core.StatisticsArrays | None" = None,
) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
    """Compute output and, if asked for, the logsumexp; and fill the arrays of statistics that are wanted.

    Shapes
        out, output       (batch, query_heads, query_len, value_dim)
        logsumexp    (batch, query_heads, query_len)      natural log
    Errors
        UnsupportedProblemError when why_not() gives a reason; AttentionError for a bad number of threads.
    """
    threads = default_threads() if threads is None else checked_threads(threads, "threads")
    output_format = output_format or problem.number_format
    plan = _plan_of(problem, output_format)
    shape = problem.shape
    if out is None:
        rows = (shape.batch, shape.query_heads, shape.query_len, shape.value_dim)
        out = np.empty(rows, DTYPES[output_format])
    normalizer = None
    if logsumexp:
        normalizer = np.empty((shape.batch, shape.query_heads, shape.query_len), np.float32)
    query, key, value, bias, alibi_slopes, sinks, _ = operands
    bias_format = "float32"
    if problem.number_format == "bfloat16":
        query, key, value = as_bits(query), as_bits(key), as_bits(value)
    if bias is not None:
        bias_format = NAMES[bias.dtype]
        bias = as_bits(bias)
    plan.run(
        query,
        key,
        value,
        as_bits(out),
        normalizer,
        bias,
        bias_format,
        alibi_slopes,
        sinks,
        threads,
        statistics,
    )
    return out, normalizer


def as_bits(array: NDArray[Any]) -> NDArray[Any]:
    """The array itself, or a bfloat16 array's bits: the buffer protocol knows no bfloat16."""
    return array.view(np.uint16) if array.dtype == BFLOAT16 else array


def _plan_of(problem: AttentionProblem, output_format: str) -> "_core.Plan":
    name = level()
    reason = why_not(problem)
    if reason or name is None:
        raise UnsupportedProblemError(
            f"the kernel cannot run this problem: {reason}. Use implementation='reference' or 'auto'."
        )
    key = (problem, output_format, name)
    plan = _plans.get(key)
    if plan is None:
        plan, mask_bytes = _make_plan(problem, output_format, name)
        if mask_bytes <= MOST_BYTES_KEPT:
            if len(_plans) >= MOST_PLANS_KEPT:
                _plans.clear()
            _plans[key] = plan
    return plan


def _make_plan(problem: AttentionProblem, output_format: str, level_name: str) -> tuple["_core.Plan", int]:
    """The plan, and how many bytes of mask it holds on to."""
    shape, scoring = problem.shape, problem.scoring
    visible = lower(problem.mask, shape)
    spans = visible if isinstance(visible, KeySpans) else None
    words = visible.words if isinstance(visible, KeyBitmap) else None
    sizes = (
        shape.batch,
        shape.query_heads,
        shape.kv_heads,
        shape.query_len,
        shape.key_len,
        shape.key_dim,
        shape.value_dim,
    )
    plan = _core.Plan(
        level_name,
        sizes,
        problem.number_format,
        problem.number_format,
        output_format,
        scoring.scale,
        scoring.softcap,
        None if spans is None else spans.first_key,
        None if spans is None else spans.end_key,
        words,
    )
    mask_bytes = 0 if words is None else words.nbytes
    return plan, mask_bytes if spans is None else spans.first_key.nbytes + spans.end_key.nbytes
