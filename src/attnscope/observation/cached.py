"""observe() for queries over a KVCache: decoding, or chunk by chunk."""

from collections.abc import Sequence
from typing import Any, Unpack

from numpy.typing import NDArray

from attnscope.cache import KVCache, as_batch, is_one
from attnscope.kernels import observe_pages
from attnscope.observation.observation import Observation
from attnscope.problem import (
    Array,
    Causal,
    Mask,
    ScoringOptions,
    Segments,
    describe_pages,
    lower_pages,
    read_questions,
)

CAUSAL = Causal()


def cached(  # noqa: PLR0913  # as observe(), over a cache
    cache: KVCache,
    sequences: int | Sequence[int],
    layer: int,
    query: Array,
    *,
    mask: Mask | Array | None = CAUSAL,
    threads: int | None = None,
    segments: Segments | None = None,
    first_keys: int = 4,
    top_keys: int = 0,
    received: bool | NDArray[Any] = False,
    block_map_size: int | None = None,
    **scoring: Unpack[ScoringOptions],
) -> Observation:
    """Compute cache.attend(sequences, layer, query), and statistics of each row's weights.

    Parameters
    ----------
    cache : KVCache
        The cache.
    sequences : int or sequence of int
        One sequence, or several.
    layer : int
        The layer, from 0.
    query : ndarray, shape (query_heads, query_len, key_dim)
        For a list of sequences: (sequences, query_heads, query_len, key_dim).
    mask, threads
        As in KVCache.attend().
    segments, first_keys, top_keys, received, block_map_size
        As in observe(). If sequences differ in length, segments are (sequences, tokens of the longest).
    **scoring : Unpack[ScoringOptions]
        scale, softcap, bias, alibi_slopes and sinks, as in attention().

    Returns
    -------
    Observation
        Keys are counted from each sequence's first token, and key_len is that of the longest sequence. Keys
        that a sequence lacks receive nothing.

    Raises
    ------
    AttentionError
        As KVCache.attend() and observe() do.

    Notes
    -----
    The output is that of KVCache.attend(), bit for bit.

    Examples
    --------
    >>> import numpy as np
    >>> cache = KVCache(layers=1, kv_heads=1, key_dim=2)
    >>> text = cache.new_sequence()
    >>> cache.append(text, 0, np.ones((1, 3, 2), np.float32), np.ones((1, 3, 2), np.float32))
    >>> cached(cache, text, 0, np.zeros((1, 1, 2), np.float32)).max_weight.round(2)  # three equal keys
    array([[0.33]], dtype=float32)
    """
    rows = as_batch(query, sequences)
    pages, shown = cache.reading(sequences, layer, rows.shape[2], mask)
    problem, operands = describe_pages(rows, pages, mask=shown, **scoring)
    asked = read_questions(
        problem.shape,
        segments=segments,
        first_keys=first_keys,
        top_keys=top_keys,
        received=received,
        block_map_size=block_map_size,
    )
    output, seen = observe_pages(
        rows,
        pages,
        lower_pages(problem, pages),
        problem.scoring,
        asked,
        bias=operands.bias,
        alibi_slopes=operands.alibi_slopes,
        sinks=operands.sinks,
        threads=threads,
    )
    return Observation.of(output, seen, asked, problem.shape.key_len, (0,) if is_one(sequences) else ())
