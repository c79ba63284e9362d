"""A described problem and its arrays, computed by the compiled kernel."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import UnsupportedProblemError
from attnscope.kernels.core import Plan, StatisticsArrays
from attnscope.kernels.level import level, why_no_level
from attnscope.kernels.plan import DTYPES, as_bits, make_plan, mask_bytes
from attnscope.kernels.threads import checked_threads, default_threads
from attnscope.problem import AttentionProblem, Operands, lower

# Plans of earlier calls, by what they were made for; a plan that holds a large mask is not kept
MOST_PLANS_KEPT = 64
MOST_BYTES_KEPT = 1 << 20
_plans: dict[tuple[AttentionProblem, str, str], Plan] = {}


def why_not(problem: AttentionProblem) -> str | None:
    """Return the reason why the kernel cannot compute a problem, or None if it can.

    Parameters
    ----------
    problem : AttentionProblem

    Returns
    -------
    str or None
        A clause such as "it computes in float32, and the arrays are float64".

    Examples
    --------
    >>> import numpy as np
    >>> from attnscope.problem import describe
    >>> array = np.ones((2, 3))
    >>> problem, _ = describe(array, array, array)
    >>> why_not(problem)
    'it computes in float32, and the arrays are float64'
    """
    if problem.number_format not in DTYPES:
        return f"it computes in float32, and the arrays are {problem.number_format}"
    return why_no_level()


def run(
    problem: AttentionProblem,
    operands: Operands,
    *,
    out: NDArray[Any] | None = None,
    logsumexp: bool = False,
    output_format: str | None = None,
    threads: int | None = None,
    statistics: StatisticsArrays | None = None,
) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
    """Compute the output and, if asked for, the logsumexp; fill the arrays of `statistics`.

    Parameters
    ----------
    problem : AttentionProblem
    operands : Operands
        The arrays that `problem` was described from.
    out : ndarray, shape (batch, query_heads, query_len, value_dim), optional
        Receives the output.
    logsumexp : bool, default False
    output_format : str, optional
        "float32", "bfloat16" or "float16"; the problem's number format by default.
    threads : int, optional
    statistics : StatisticsArrays, optional

    Returns
    -------
    output : ndarray, shape (batch, query_heads, query_len, value_dim)
    logsumexp : ndarray of float32, shape (batch, query_heads, query_len), or None
        Natural log.

    Raises
    ------
    UnsupportedProblemError
        If why_not() returns a reason.
    AttentionError
        If `threads` is not a number of threads.
    """
    threads = default_threads() if threads is None else checked_threads(threads, "threads")
    output_format = output_format or problem.number_format
    plan = plan_of(problem, output_format)
    shape = problem.shape
    rows = (shape.batch, shape.query_heads, shape.query_len)
    if out is None:
        out = np.empty((*rows, shape.value_dim), DTYPES[output_format])
    normalizer = np.empty(rows, np.float32) if logsumexp else None
    query, key, value, bias, alibi_slopes, sinks, _ = operands
    if problem.number_format == "bfloat16":
        query, key, value = as_bits(query), as_bits(key), as_bits(value)
    plan.run(
        query=query,
        key=key,
        value=value,
        output=as_bits(out),
        logsumexp=normalizer,
        bias=None if bias is None else as_bits(bias),
        slopes=alibi_slopes,
        sinks=sinks,
        threads=threads,
        statistics=statistics,
    )
    return out, normalizer


def plan_of(problem: AttentionProblem, output_format: str) -> Plan:
    name = level()
    reason = why_not(problem)
    if reason or name is None:
        raise UnsupportedProblemError(
            f"the kernel cannot run this problem: {reason}. Use implementation='reference' or 'auto'."
        )
    key = (problem, output_format, name)
    plan = _plans.get(key)
    if plan is None:
        visible = lower(problem.mask, problem.shape)
        number_format = problem.number_format
        plan = make_plan(
            name,
            problem.shape,
            visible,
            problem.scoring,
            number_format=number_format,
            key_value_format=number_format,
            output_format=output_format,
        )
        if mask_bytes(visible) <= MOST_BYTES_KEPT:
            if len(_plans) >= MOST_PLANS_KEPT:
                _plans.clear()
            _plans[key] = plan
    return plan
