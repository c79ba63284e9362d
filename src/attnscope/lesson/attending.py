"""Attention in exchangeable steps, from which misconceptions are built. The reference judges, not this."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Softmax = Callable[[Array], Array]


def softmax(scores: Array, axis: Any = -1) -> Array:
    """Weights that sum to 1, or to 0 in a fully masked row."""
    top = np.max(scores, axis=axis, keepdims=True, initial=-np.inf)
    parts = np.exp(scores - np.where(np.isneginf(top), 0, top))
    total = parts.sum(axis=axis, keepdims=True)
    return np.asarray(parts / np.where(total == 0, 1, total))


def bare_softmax(scores: Array) -> Array:
    """A softmax that makes NaN of a fully masked row."""
    parts = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(parts / parts.sum(axis=-1, keepdims=True))


def unshifted_softmax(scores: Array) -> Array:
    """Exponentials of the scores themselves, without a shift."""
    parts = np.exp(scores)
    total = parts.sum(axis=-1, keepdims=True)
    return np.asarray(np.where(np.isneginf(scores).all(axis=-1, keepdims=True), 0, parts / total))


def softmax_of_one_shift(scores: Array) -> Array:
    """The largest score of all rows is subtracted from each row."""
    parts = np.exp(scores - scores.max(initial=-np.inf))
    total = parts.sum(axis=-1, keepdims=True)
    return np.asarray(np.where(np.isneginf(scores).all(axis=-1, keepdims=True), 0, parts / total))


def scored(query: Array, key: Array, scale: float | None = None) -> Array:
    """Scaled dot products."""
    return np.asarray(query @ key.swapaxes(-1, -2) * (query.shape[-1] ** -0.5 if scale is None else scale))


def attend(
    query: Array,
    key: Array,
    value: Array,
    visible: Any = True,
    *,
    scale: float | None = None,
    fill: float = -np.inf,
    normalize: Softmax = softmax,
) -> tuple[Array, Array]:
    """(output, weights)."""
    weights = normalize(np.where(visible, scored(query, key, scale), fill))
    return weights @ value, weights


def causal(query_len: int, key_len: int) -> Array:
    """A causal mask, aligned bottom-right."""
    return np.tri(query_len, key_len, key_len - query_len, dtype=bool)


def sizes(query_len: int, key_len: int, key_dim: int, value_dim: int, **leading: int) -> dict[str, int]:
    """The sizes of an attention, leading axes first."""
    dims = {"key_dim": key_dim, "value_dim": value_dim}
    return {**leading, "query_len": query_len, "key_len": key_len, **dims}
