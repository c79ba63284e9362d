"""Mistakes about layouts, state and random numbers."""

from dataclasses import replace
from typing import Any

import numpy as np

from attnscope.audit import Contract
from tests.audit.plain import Asked, Plain
from tests.audit.planted.registry import planting

planted = planting(Contract(causal=True, key_mask=True))


@planted("layouts")
class ReadsATransposedKeyAsItLies(Plain):
    """pytorch#195320."""

    def attend(self, asked: Asked) -> tuple[Any, Any]:
        key = asked.key
        if not key.flags.c_contiguous and key.strides[-1] != key.itemsize and key.shape[2] == key.shape[3]:
            asked = replace(asked, key=key.swapaxes(2, 3))
        return super().attend(asked)


@planted("layouts", "leak")
class IgnoresStrides(Plain):
    def attend(self, asked: Asked) -> tuple[Any, Any]:
        if asked.key.base is not None and not asked.key.flags.c_contiguous:
            flat = np.asarray(asked.key.base).ravel()
            if flat.size >= asked.key.size:
                asked = replace(asked, key=flat[: asked.key.size].reshape(asked.key.shape))
        return super().attend(asked)


@planted("determinism")
class DropoutIsOn(Plain):
    """pytorch#124464."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(5)

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        kept = self.rng.random(weights.shape) > 0.1
        return super().mix(asked, (weights * kept / 0.9).astype(weights.dtype), visible, value)


@planted("determinism", "unstable")
class SplitsAtRandom(Plain):
    """Right within rounding, with other last bits each time."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(5)

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        order = self.rng.permutation(weights.shape[-1])
        return super().mix(asked, weights[..., order], visible[..., order], value[:, :, order])


@planted("batch invariance", "unstable")
class SplitsByTheBatch(Plain):
    """flash-attention#1897."""

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        cut = weights.shape[-1] // 2 if len(weights) > 1 else 0
        first = super().mix(asked, weights[..., :cut], visible[..., :cut], value[:, :, :cut]) if cut else 0
        return first + super().mix(asked, weights[..., cut:], visible[..., cut:], value[:, :, cut:])


@planted("determinism", "unstable")
class DrawsFromTheGlobalState(Plain):
    def attend(self, asked: Asked) -> tuple[Any, Any]:
        np.random.rand()  # noqa: NPY002  # the mistake
        return super().attend(asked)


@planted("determinism")
class MaskKeptByShape(Plain):
    def __init__(self) -> None:
        self.kept: dict[Any, Any] = {}

    def key_mask(self, asked: Asked) -> Any:
        return self.kept.setdefault(asked.key_mask.shape, super().key_mask(asked).copy())


@planted("mutation")
class OutputIsABuffer(Plain):
    def __init__(self) -> None:
        self.buffers: dict[Any, Any] = {}

    def __call__(self, query: Any, key: Any, value: Any, **options: Any) -> Any:
        returned = super().__call__(query, key, value, **options)
        output = returned[0] if isinstance(returned, tuple) else returned
        buffer = self.buffers.setdefault((output.shape, output.dtype), np.empty_like(output))
        buffer[...] = output
        return (buffer, returned[1]) if isinstance(returned, tuple) else buffer


@planted("determinism")
class KeptByIdentity(Plain):
    def __init__(self) -> None:
        self.kept: dict[Any, Any] = {}

    def __call__(self, query: Any, key: Any, value: Any, **options: Any) -> Any:
        found = self.kept.get(id(query))
        if found is not None and found[0] is query and len(options) == found[2]:
            return found[1]
        returned = super().__call__(query, key, value, **options)
        self.kept[id(query)] = (query, returned, len(options))
        return returned
