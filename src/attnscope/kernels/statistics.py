"""The statistics of observe(), computed by the compiled kernel in the same pass as the output."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import UnsupportedProblemError
from attnscope.kernels.core import StatisticsArrays
from attnscope.kernels.pages import run_pages, shape_of_pages
from attnscope.kernels.run import run
from attnscope.problem import (
    AttentionProblem,
    AttentionShape,
    KeyBitmap,
    KeySpans,
    Operands,
    Pages,
    Questions,
    Scoring,
)
from attnscope.result import Statistics

MOST_KEYS = 2**24  # the kernel counts keys in float32, which is exact below this
OF_FLOATS = ("entropy", "max_weight", "first_mass", "mean_distance", "sink_mass")
OF_KEYS = ("max_key", "visible_keys")

Arrays = dict[str, NDArray[Any]]


def observe(
    problem: AttentionProblem, operands: Operands, asked: Questions, *, threads: int | None = None
) -> tuple[NDArray[Any], Statistics]:
    """Compute the output, with the bits of run(), and the statistics.

    Parameters
    ----------
    problem : AttentionProblem
    operands : Operands
        The arrays that `problem` was described from.
    asked : Questions
    threads : int, optional

    Returns
    -------
    output : ndarray, shape (batch, query_heads, query_len, value_dim)
    statistics : Statistics
        Always with the axes of batch and heads.

    Raises
    ------
    UnsupportedProblemError
        If why_not() returns a reason, or for 2^24 keys or more.
    """
    arrays, wanted = prepare(problem.shape, asked)
    output, logsumexp = run(problem, operands, logsumexp=True, threads=threads, statistics=wanted)
    assert logsumexp is not None
    return output, collected(arrays, logsumexp)


def observe_pages(  # noqa: PLR0913  # as run_pages()
    query: NDArray[Any],
    pages: Pages,
    visible: KeySpans | KeyBitmap | None,
    scoring: Scoring,
    asked: Questions,
    *,
    bias: NDArray[Any] | None = None,
    alibi_slopes: NDArray[np.float32] | None = None,
    sinks: NDArray[np.float32] | None = None,
    threads: int | None = None,
) -> tuple[NDArray[Any], Statistics]:
    """Compute the output over pages, with the bits of run_pages(), and the statistics.

    Parameters
    ----------
    query, pages, visible, scoring, bias, alibi_slopes, sinks, threads
        As in run_pages().
    asked : Questions

    Returns
    -------
    output : ndarray, shape (sequences, query_heads, query_len, value_dim)
    statistics : Statistics

    Raises
    ------
    UnsupportedProblemError
        If this CPU has no level, or for 2^24 keys or more.
    """
    arrays, wanted = prepare(shape_of_pages(query, pages), asked)
    output, logsumexp = run_pages(
        query,
        pages,
        visible,
        scoring,
        bias=bias,
        alibi_slopes=alibi_slopes,
        sinks=sinks,
        logsumexp=True,
        threads=threads,
        statistics=wanted,
    )
    assert logsumexp is not None
    return output, collected(arrays, logsumexp)


def prepare(shape: AttentionShape, asked: Questions) -> tuple[Arrays, StatisticsArrays]:
    """The arrays that the kernel fills."""
    if shape.key_len >= MOST_KEYS:
        raise UnsupportedProblemError(
            f"key_len={shape.key_len}: statistics take fewer than {MOST_KEYS} keys. "
            "Observe some of the keys at a time."
        )
    rows = (shape.batch, shape.query_heads, shape.query_len)
    arrays: Arrays = {name: np.empty(rows, np.float32) for name in OF_FLOATS}
    arrays |= {name: np.empty(rows, np.int32) for name in OF_KEYS}
    segments = len(asked.segment_names)
    if asked.labels is not None:
        arrays["labels"] = asked.labels
        arrays["segment_mass"] = np.empty((*rows, segments), np.float32)
    if asked.top_keys:
        arrays["top_keys"] = np.empty((*rows, asked.top_keys), np.int32)
        arrays["top_weights"] = np.empty((*rows, asked.top_keys), np.float32)
    if asked.received:
        arrays["received"] = np.empty((*rows[:2], shape.key_len), np.float32)
    if asked.counted is not None:
        arrays["counted"] = asked.counted
    map_shape = asked.map_shape(shape)
    if map_shape is not None:
        arrays["map"] = np.zeros((*rows[:2], *map_shape), np.float32)
    if asked.received or map_shape is not None:
        arrays |= {name: np.empty(rows, np.float32) for name in ("largest", "share")}
    map_rows, map_columns = map_shape or (0, 0)
    wanted = StatisticsArrays(
        arrays,
        batch=shape.batch,
        query_heads=shape.query_heads,
        query_len=shape.query_len,
        key_len=shape.key_len,
        first_keys=asked.first_keys,
        segments=segments,
        top_keys=asked.top_keys,
        map_rows=map_rows,
        map_columns=map_columns,
    )
    return arrays, wanted


def collected(arrays: Arrays, logsumexp: NDArray[np.float32]) -> Statistics:
    """What the kernel has filled."""
    return Statistics(
        logsumexp=logsumexp,
        entropy=arrays["entropy"],
        max_weight=arrays["max_weight"],
        max_key=arrays["max_key"],
        first_mass=arrays["first_mass"],
        mean_distance=arrays["mean_distance"],
        sink_mass=arrays["sink_mass"],
        visible_keys=arrays["visible_keys"],
        segment_mass=arrays.get("segment_mass"),
        top_keys=arrays.get("top_keys"),
        top_weights=arrays.get("top_weights"),
        received=arrays.get("received"),
        block_map=arrays.get("map"),
    )
