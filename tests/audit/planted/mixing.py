"""Mistakes about heads, the batch and the softmax."""

from dataclasses import replace
from typing import Any

import numpy as np

from attnscope.audit import Contract
from tests.audit.plain import Asked, Plain
from tests.audit.planted.registry import planting

planted = planting(Contract(causal=True, key_mask=True, grouped_heads=True, logsumexp=True))


@planted("head mapping")
class HeadsTiled(Plain):
    def heads(self, asked: Asked, array: Any) -> Any:
        return np.tile(array, (1, asked.group, 1, 1))


@planted("head mapping", "leak")
class HeadsSplitWithoutATranspose(Plain):
    """FuxiCTR#30: the output's heads and tokens are read in the wrong order."""

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        output = super().mix(asked, weights, visible, value)
        batch, heads, tokens, dim = output.shape
        return output.swapaxes(1, 2).reshape(batch, heads, tokens, dim)


@planted("exactness")
class KeysAndValuesSwapped(Plain):
    """tt-mlir#8958."""

    def attend(self, asked: Asked) -> tuple[Any, Any]:
        same = asked.key.shape == asked.value.shape
        return super().attend(replace(asked, key=asked.value, value=asked.key) if same else asked)


@planted("batch invariance")
class LaterItemsAreZero(Plain):
    """pytorch#139462."""

    def attend(self, asked: Asked) -> tuple[Any, Any]:
        output, logs = super().attend(asked)
        output[1:] = 0
        return output, logs


@planted("batch invariance", "leak")
class AttendsAcrossTheBatch(Plain):
    """AEMatter#3: batch and tokens are mixed up."""

    def attend(self, asked: Asked) -> tuple[Any, Any]:
        if asked.query.shape == asked.key.shape and not any(
            getattr(asked, name) is not None for name in ("key_mask", "mask", "window", "documents", "bias")
        ):
            turned = [array.transpose(2, 1, 0, 3) for array in (asked.query, asked.key, asked.value)]
            output, logs = super().attend(replace(asked, query=turned[0], key=turned[1], value=turned[2]))
            return output.transpose(2, 1, 0, 3), logs.transpose(2, 1, 0)
        return super().attend(asked)


@planted("exactness")
class SoftmaxOverTheQueries(Plain):
    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        _, logs = super().softmax(asked, scores, visible)
        parts = np.exp(scores - np.where(np.isfinite(m := scores.max(axis=2, keepdims=True)), m, 0))
        return parts / np.maximum(parts.sum(axis=2, keepdims=True), 1e-30), logs
