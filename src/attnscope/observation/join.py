"""Chunks of queries, observed one after the other, as one observation."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import AttentionError
from attnscope.observation.observation import Observation

OF_ROWS = (
    "output",
    "logsumexp",
    "entropy",
    "max_weight",
    "max_key",
    "first_mass",
    "mean_distance",
    "sink_mass",
    "visible_keys",
    "segment_mass",
    "top_keys",
    "top_weights",
)


def join(*observations: Observation) -> Observation:
    """Put chunks of a prompt, or a prefill and the tokens decoded after it, together.

    Rows follow each other in the order given; received adds up, later keys having received nothing from earlier chunks.
    A map cannot be joined, as its blocks would mean other queries: ask for it over the whole, or chunk by chunk.

    Shapes
        As in Observation, with the query_len of all chunks and the key_len of the last.
    Errors
        AttentionError when there is nothing to join, for chunks that were asked different questions, and for maps.

    >>> import attnscope as at
    >>> x = np.ones((3, 2), np.float32)
    >>> chunks = [at.observe(x[:2], x[:2], x[:2], mask=at.Causal()), at.observe(x[2:], x, x, mask=at.Causal())]
    >>> at.observation.join(*chunks).entropy.round(2)  # ln 1, ln 2, ln 3
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
    if name == "segment_mass":  # segments that later keys have brought
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
            f"observation {number} has a map, expected none: its blocks would mean other queries. "
            "Ask for block_map_size over all queries at once, or look at the chunks' maps one by one."
        )
    if first.output.shape[:-2] != each.output.shape[:-2]:
        raise AttentionError(
            f"observation {number} is of {list(each.output.shape[:-2])} batch rows and heads, expected "
            f"{list(first.output.shape[:-2])} as in observation 0. Join chunks of the same queries' heads."
        )
    shorter, longer = sorted((first.segment_names, each.segment_names), key=len)
    asked = (first.first_keys, first.received is None, first.top_keys is None, first.segment_mass is None)
    other = (each.first_keys, each.received is None, each.top_keys is None, each.segment_mass is None)
    if asked != other or longer[: len(shorter)] != shorter:
        raise AttentionError(
            f"observation {number} was asked other questions than observation 0. "
            "Give observe() the same segments, first_keys, top_keys and received for each chunk."
        )
