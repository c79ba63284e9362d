"""One attention layer: its weights, and what they compute."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.attention import attention
from attnscope.positions import apply_rotary
from attnscope.problem import Mask

Floats = NDArray[np.float32]
NO_SINK = -100.0  # the logit of a sink without weight


@dataclass(frozen=True, eq=False)
class Layer:
    """The weights of one attention layer.

    Parameters
    ----------
    names : tuple of str
        What each head does.
    w_q, w_k : ndarray of float32, (heads, width, key_dim)
        The projections to queries and keys.
    w_v : ndarray of float32, (heads, width, value_dim)
        The projection to values.
    w_o : ndarray of float32, (heads, value_dim, width)
        The projection back to the residual stream.
    alibi_slopes : ndarray of float32, (heads,)
        The ALiBi slope of each head.
    sinks : ndarray of float32, (heads,)
        The logit of each head's sink.
    rotary : bool
        Whether rotary position embedding is applied to queries and keys.
    """

    names: tuple[str, ...]
    w_q: Floats
    w_k: Floats
    w_v: Floats
    w_o: Floats
    alibi_slopes: Floats
    sinks: Floats
    rotary: bool

    def queries_keys_values(self, residual: Floats, positions: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
        """Project the residual stream.

        Parameters
        ----------
        residual : ndarray of float32, (tokens, width)
            The residual stream.
        positions : ndarray of int, (tokens,)
            The position of each token.

        Returns
        -------
        tuple of ndarray of float32
            query and key (heads, tokens, key_dim), value (heads, tokens, value_dim).
        """
        query, key, value = residual @ self.w_q, residual @ self.w_k, residual @ self.w_v
        if self.rotary:
            query, key = apply_rotary(query, positions), apply_rotary(key, positions)
        return query, key, value

    def attend(self, query: Floats, key: Floats, value: Floats, mask: Mask) -> Floats:
        """Compute the attention of every head.

        Parameters
        ----------
        query, key, value : ndarray of float32
            As queries_keys_values() returns them.
        mask : Mask
            The keys that each query sees.

        Returns
        -------
        ndarray of float32, (heads, tokens, value_dim)
            The output.
        """
        return attention(query, key, value, mask=mask, **self.scoring)

    @property
    def scoring(self) -> dict[str, Any]:
        """The scoring options, as arguments of attention()."""
        return {"scale": 1.0, "alibi_slopes": self.alibi_slopes, "sinks": self.sinks}
