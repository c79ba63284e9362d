"""Kinds of heads, by what their strongest keys are: previous token, first token, duplicates, induction."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.arguments import brief
from attnscope.errors import AttentionError
from attnscope.observation.heads import with_heads
from attnscope.observation.observation import Observation

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False, repr=False)
class HeadScores:
    """How much of its weight a head gives to the keys that its kind is named after: means over the queries.

    A score is the weight that was found on a row's strongest keys; what it may have missed is at most what the keys
    outside of top_keys have, `unseen`: the true score lies from score to score + unseen. A score describes where a head
    looked on this text. It does not say what the head does to the output: ablate it to see that.

    Shapes
        each    (batch, query_heads)
        previous_token     weight on key i - 1, where there is one
        first_token        weight on key 0, over the queries after it
        duplicate_token    weight on earlier tokens equal to the query's, over the queries that have one
        induction          weight on what came after earlier tokens equal to the query's, over the same queries
        unseen             weight outside of the strongest keys, over all queries
    Source
        Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"; Olsson et al. 2022, arXiv:2209.11895.
    """

    previous_token: Floats
    first_token: Floats
    duplicate_token: Floats
    induction: Floats
    unseen: Floats

    def __repr__(self) -> str:
        names = [each.name for each in fields(self)]
        lines = ["batch  head  " + "  ".join(names)]
        for batch, head in np.ndindex(self.unseen.shape):
            numbers = "  ".join(f"{getattr(self, name)[batch, head]:>{len(name)}.3f}" for name in names)
            lines.append(f"{batch:>5}  {head:>4}  {numbers}")
        return "\n".join(lines)


def head_scores(observation: Observation, token_ids: NDArray[Any]) -> HeadScores:
    """Name heads by the keys that got most of their weight, from an observation and the tokens, without the matrix.

    Shapes
        token_ids    (key_len,) or (batch, key_len)    of the keys; the last query stands at the last key
    Errors
        AttentionError when observe() was not asked for top_keys, and for token ids of another length.

    >>> import attnscope as at
    >>> keys = np.eye(4, dtype=np.float32)
    >>> looks_back = at.observe(40 * keys[:3], keys, keys, top_keys=1)  # the query at position i asks for key i - 1
    >>> float(head_scores(looks_back, np.array([7, 8, 7, 9])).previous_token[0, 0])
    1.0
    """
    if observation.top_keys is None or observation.top_weights is None:
        raise AttentionError(
            "observation has no top_keys: call observe(..., top_keys=8), then ask for scores."
        )
    keys = with_heads(observation.top_keys, 4).astype(np.int64)
    there = keys >= 0
    weights = np.where(there, with_heads(observation.top_weights, 4), 0.0).astype(np.float64)
    batch, query_len = keys.shape[0], keys.shape[2]
    tokens = _read_tokens(token_ids, batch, observation.key_len)
    position = np.arange(query_len) + observation.key_len - query_len
    stands = position >= 0
    batch_row = np.arange(batch)[:, None, None, None]
    own = tokens[:, np.maximum(position, 0)]
    of_key, before_key = tokens[batch_row, np.maximum(keys, 0)], tokens[batch_row, np.maximum(keys - 1, 0)]
    query, token = position[:, None], own[:, None, :, None]
    repeats = _came_before(tokens)[:, np.maximum(position, 0)] & stands
    not_first = np.broadcast_to(position > 0, repeats.shape)

    def score(belongs: Bools, rows: Bools) -> Floats:
        found = np.where(belongs & there, weights, 0.0).sum(axis=-1)
        total: Floats = (
            np.where(rows[:, None], found, 0.0).sum(axis=-1) / np.maximum(rows.sum(-1), 1)[:, None]
        )
        return total

    sees_some = with_heads(observation.visible_keys, 3) > 0
    unseen = np.where(sees_some, np.maximum(1.0 - weights.sum(axis=-1), 0.0), 0.0)
    return HeadScores(
        previous_token=score(keys == query - 1, not_first),
        first_token=score(keys == 0, not_first),
        duplicate_token=score((keys < query) & (of_key == token), repeats),
        induction=score((keys <= query) & (keys > 0) & (before_key == token), repeats),
        unseen=unseen.sum(axis=-1) / max(1, query_len),
    )


def _read_tokens(given: NDArray[Any], batch: int, key_len: int) -> Ints:
    tokens = np.asarray(given)
    if tokens.ndim == 1:
        tokens = tokens[None]
    if tokens.shape not in ((1, key_len), (batch, key_len)) or not np.issubdtype(tokens.dtype, np.integer):
        raise AttentionError(
            f"token_ids is {brief(given)}, expected integers, one for each of the {key_len} keys: [{key_len}], or "
            f"[{batch}, {key_len}] with the batch."
        )
    return np.broadcast_to(tokens, (batch, key_len)).astype(np.int64)


def _came_before(tokens: Ints) -> Bools:
    """Which tokens equal an earlier one of their row."""
    repeated = np.ones(tokens.shape, np.bool_)
    for row, ids in enumerate(tokens):
        repeated[row, np.unique(ids, return_index=True)[1]] = False
    return repeated
