"""Scores for known kinds of heads: previous token, first token, duplicate token, induction."""

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
    """Mean weight that each head gives to the keys of known patterns. Prints as a table.

    Parameters
    ----------
    previous_token : ndarray, shape (batch, query_heads)
        Weight on key i - 1, over the queries after the first.
    first_token : ndarray, shape (batch, query_heads)
        Weight on key 0, over the same queries.
    duplicate_token : ndarray, shape (batch, query_heads)
        Weight on earlier tokens that equal the query's token, over the queries that have one.
    induction : ndarray, shape (batch, query_heads)
        Weight on the tokens that followed such earlier tokens, over the same queries.
    unseen : ndarray, shape (batch, query_heads)
        Weight outside of the strongest keys, over all queries.

    Notes
    -----
    A score counts the weight on a row's strongest keys, so the exact score lies between score and score +
    unseen. A score describes where a head looks on this text. It does not say what the head changes in the
    output: ablate it to find out.

    References
    ----------
    Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"; Olsson et al. 2022,
    arXiv:2209.11895.
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
    """Score heads by the keys that received most of their weight, without the matrix of weights.

    Parameters
    ----------
    observation : Observation
        Of a call with top_keys; the last query is aligned with the last key.
    token_ids : ndarray of int, shape (key_len,) or (batch, key_len)
        The tokens of the keys.

    Returns
    -------
    HeadScores

    Raises
    ------
    AttentionError
        If the observation has no top_keys, or the number of token ids differs from that of the keys.

    Examples
    --------
    >>> import attnscope as at
    >>> keys = np.eye(4, dtype=np.float32)
    >>> looks_back = at.observe(40 * keys[:3], keys, keys, top_keys=1)  # position i reads key i - 1
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
    batch_row = np.arange(batch)[:, None, None, None]
    own = tokens[:, np.maximum(position, 0)]
    of_key, before_key = tokens[batch_row, np.maximum(keys, 0)], tokens[batch_row, np.maximum(keys - 1, 0)]
    query, token = position[:, None], own[:, None, :, None]
    repeats = _came_before(tokens)[:, np.maximum(position, 0)] & (position >= 0)
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
            f"token_ids is {brief(given)}, expected integers, one for each of the {key_len} keys: "
            f"[{key_len}], or "
            f"[{batch}, {key_len}] with the batch."
        )
    return np.broadcast_to(tokens, (batch, key_len)).astype(np.int64)


def _came_before(tokens: Ints) -> Bools:
    """Which tokens equal an earlier one of their row."""
    repeated = np.ones(tokens.shape, np.bool_)
    for row, ids in enumerate(tokens):
        repeated[row, np.unique(ids, return_index=True)[1]] = False
    return repeated
