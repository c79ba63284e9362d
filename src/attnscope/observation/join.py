"""Observations of chunks of queries, joined into one."""

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import AttentionError
from attnscope.observation.observation import Observation

NOT_OF_ROWS = {"received", "block_map", "segment_names", "first_keys", "key_len"}
OF_ROWS = [field.name for field in fields(Observation) if field.name not in NOT_OF_ROWS]


def join(*observations: Observation) -> Observation:
    """Join the observations of a prompt's chunks, or of a prefill and the tokens decoded after it.

    Parameters
    ----------
    *observations : Observation
        In the order of their queries, with the same statistics.

    Returns
    -------
    Observation
        With the queries of all chunks and the keys of the last. Rows follow each other; `received` is summed.

    Raises
    ------
    AttentionError
        If there is no observation, their statistics differ, or one has a block map.

    Notes
    -----
    Block maps cannot be joined, as the blocks of each chunk are those of other queries. Observe all queries
    at once, or look at the maps one by one.

    Examples
    --------
    >>> import attnscope as at
    >>> x = np.ones((3, 2), np.float32)
    >>> first = at.observe(x[:2], x[:2], x[:2], mask=at.Causal())
    >>> last = at.observe(x[2:], x, x, mask=at.Causal())
    >>> at.observation.join(first, last).entropy.round(2)  # ln 1, ln 2, ln 3
    array([0.  , 0.69, 1.1 ], dtype=float32)
    """
    if not observations:
        raise AttentionError("join() got no observation, expected at least one. Pass join(*observations).")
    first = observations[0]
    for number, each in enumerate(observations):
        _check_alike(first, each, number)
    names = max((each.segment_names for each in observations), key=len)
    arrays: dict[str, Any] = {name: _rows(name, observations, len(names)) for name in OF_ROWS}
    key_len = max(each.key_len for each in observations)
    received = None
    if first.received is not None:
        given = np.zeros((*first.received.shape[:-1], key_len), first.received.dtype)
        for each in observations:
            assert each.received is not None
            given[..., : each.key_len] += each.received
        received = given
    return Observation(
        **arrays,
        received=received,
        block_map=None,
        segment_names=names,
        first_keys=first.first_keys,
        key_len=key_len,
    )


def _rows(name: str, observations: tuple[Observation, ...], segments: int) -> NDArray[Any] | None:
    parts = [getattr(each, name) for each in observations]
    if parts[0] is None:
        return None
    axis = observations[0].entropy.ndim - 1
    if name == "segment_mass":  # later keys may have brought new segments
        parts = [
            np.pad(part, [(0, 0)] * (part.ndim - 1) + [(0, segments - part.shape[-1])]) for part in parts
        ]
    if name.startswith("top_"):  # earlier rows may have had fewer keys than top_keys
        most = max(part.shape[-1] for part in parts)
        fill = -1 if name == "top_keys" else 0
        parts = [
            np.pad(part, [(0, 0)] * (part.ndim - 1) + [(0, most - part.shape[-1])], constant_values=fill)
            for part in parts
        ]
    joined: NDArray[Any] = np.concatenate(parts, axis=axis)
    return joined


def _check_alike(first: Observation, each: Observation, number: int) -> None:
    if each.block_map is not None:
        raise AttentionError(
            f"observation {number} has a block map, expected none: its blocks are of other queries. "
            "Ask for block_map_size over all queries at once, or look at the chunks' maps one by one."
        )
    if first.output.shape[:-2] != each.output.shape[:-2]:
        raise AttentionError(
            f"observation {number} has {list(each.output.shape[:-2])} batch rows and heads, expected "
            f"{list(first.output.shape[:-2])} as in observation 0. Join chunks of the same batch rows and "
            "heads."
        )
    shorter, longer = sorted((first.segment_names, each.segment_names), key=len)
    asked = (first.first_keys, first.received is None, first.top_keys is None, first.segment_mass is None)
    other = (each.first_keys, each.received is None, each.top_keys is None, each.segment_mass is None)
    if asked != other or longer[: len(shorter)] != shorter:
        raise AttentionError(
            f"observation {number} has other statistics than observation 0. "
            "Pass the same segments, first_keys, top_keys and received to observe() for each chunk."
        )
