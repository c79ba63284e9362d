"""Attention rollout: the product of all layers' weights, seen from one token, without a matrix."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.arguments import brief, whole_number
from attnscope.errors import AttentionError
from attnscope.observation.front import observe
from attnscope.observation.heads import with_heads

Floats = NDArray[np.float64]


def rollout(layers: Sequence[Mapping[str, Any]], *, row: int = -1, residual: float = 0.5) -> Floats:
    """Follow the weights of a model's layers from one token back to the model's input tokens.

    share = share @ (residual * identity + (1 - residual) * mean of the heads' weights), from the last layer
    to the first

    Parameters
    ----------
    layers : sequence of mappings
        From first to last, the arguments of attention(): {"query": ..., "key": ..., "value": ..., "mask":
        ...}. All of the same tokens, with as many queries as keys.
    row : int, default -1
        The token from which to start; negative numbers count from the end.
    residual : float, default 0.5
        The share of a token that bypasses a layer.

    Returns
    -------
    ndarray of float64, shape (batch, tokens)
        Sums to 1 if each token sees a key.

    Raises
    ------
    AttentionError
        If there is no layer, the tokens differ, the row does not exist, or residual is not in 0 to 1.

    Notes
    -----
    Rollout is not an explanation. It ignores what values carry, what MLPs add and what heads cancel, and
    the share of the residual is an assumption. Compare with observation.influence(), or ablate.

    float32 within a layer, float64 from layer to layer; memory grows with the tokens.

    References
    ----------
    Abnar & Zuidema 2020, arXiv:2005.00928, section 3.

    Examples
    --------
    >>> x = np.eye(2, dtype=np.float32)
    >>> looks_back = {"query": 40 * x[[0, 0]], "key": x, "value": x}  # both tokens read the first
    >>> rollout([looks_back, looks_back]).round(2)  # the second keeps 1/2 * 1/2
    array([[0.75, 0.25]])
    """
    if not layers:
        raise AttentionError("layers is empty, expected the arguments of attention() for each layer.")
    if not 0.0 <= residual <= 1.0:
        raise AttentionError(f"residual={brief(residual)}: expected a share from 0 to 1.")
    query = np.asarray(layers[0]["query"])
    tokens, batch = query.shape[-2], query.shape[0] if query.ndim == 4 else 1
    start = whole_number(row, "row", error=AttentionError)
    if not -tokens <= start < tokens:
        raise AttentionError(f"row={start}: expected one of {tokens} tokens, {-tokens} to {tokens - 1}.")
    share = np.zeros((batch, tokens))
    share[:, start] = 1.0
    for number in reversed(range(len(layers))):
        given = layers[number]
        if np.shape(given["query"])[-2] != tokens or np.shape(given["key"])[-2] != tokens:
            raise AttentionError(
                f"layer {number} has {np.shape(given['query'])[-2]} queries and "
                f"{np.shape(given['key'])[-2]} keys, "
                f"expected {tokens} of both: rollout follows the same tokens through all layers."
            )
        received = observe(**given, received=share.astype(np.float32)).received
        assert received is not None
        heads = with_heads(received, 3)
        share = residual * share + (1.0 - residual) * heads.mean(axis=1, dtype=np.float64)
    return share
