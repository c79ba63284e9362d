"""Mistakes about the memory of single arrays, and about state that threads share."""

from dataclasses import replace
from typing import Any

import numpy as np

from attnscope.audit import Contract
from tests.audit.plain import Asked, Plain
from tests.audit.planted.registry import planting

planted = planting(Contract(causal=True, key_mask=True, grouped_heads=True))


def owner_of(array: Any) -> Any:
    """The array whose memory a view shows, of the same type."""
    while isinstance(array.base, np.ndarray) and array.base.dtype == array.dtype:
        array = array.base
    return array


def read_flat(array: Any) -> Any:
    """The memory behind a view, read as if the view were contiguous from its start."""
    flat = owner_of(array).ravel(order="K")
    start = (array.__array_interface__["data"][0] - flat.__array_interface__["data"][0]) // array.itemsize
    return np.resize(flat[max(0, start) :], array.shape)


@planted("layouts", "wrong or leak", causes=("key",))
class KeySliceReadAsContiguous(Plain):
    """The first tokens of a longer buffer are read without its strides, at whole blocks only."""

    def attend(self, asked: Asked) -> tuple[Any, Any]:
        key = asked.key
        inner = key.strides[3] == key.itemsize and key.strides[2] == key.shape[3] * key.itemsize
        if inner and not key.flags.c_contiguous and key.shape[2] % 16 == 0:
            asked = replace(asked, key=read_flat(key))
        return super().attend(asked)


@planted("layouts", "wrong or leak", causes=("value",))
class TransposedValueReadAsItLies(Plain):
    """A value [batch, heads, dim, tokens] is read in another order, if the key is contiguous."""

    def attend(self, asked: Asked) -> tuple[Any, Any]:
        value = asked.value
        turned = value.strides[2] == value.itemsize and value.shape[2] > 1 and value.shape[3] > 1
        if turned and asked.key.flags.c_contiguous:
            asked = replace(asked, value=value.swapaxes(2, 3).reshape(value.shape))
        return super().attend(asked)


@planted("layouts", "wrong or leak", causes=("query",))
class QueryReadWithTheKeysOrder(Plain):
    """A query [batch, tokens, heads, dim] is read as heads first if the key is heads first."""

    def attend(self, asked: Asked) -> tuple[Any, Any]:
        query = asked.query
        turned = query.strides[1] < query.strides[2] and query.shape[1] > 1
        if turned and asked.key.flags.c_contiguous:
            asked = replace(asked, query=query.swapaxes(1, 2).reshape(query.shape))
        return super().attend(asked)


@planted("layouts", "wrong or leak", causes=("value",))
class ValueReadWithTheKeysStrides(Plain):
    def attend(self, asked: Asked) -> tuple[Any, Any]:
        key, value = asked.key, asked.value
        if key.shape == value.shape and key.flags.c_contiguous and not value.flags.c_contiguous:
            asked = replace(asked, value=read_flat(value))
        return super().attend(asked)


@planted("layouts", "wrong or leak", causes=("key",))
class ExpandedHeadsReadOn(Plain):
    """Heads that share memory, as expand() makes them, are read one after the other."""

    def attend(self, asked: Asked) -> tuple[Any, Any]:
        key = asked.key
        if key.shape[1] > 1 and key.strides[1] == 0:
            other = np.full_like(key, 77)
            other[:, 0] = key[:, 0]
            asked = replace(asked, key=other)
        return super().attend(asked)


@planted("layouts", "wrong or leak", causes=("value",))
class ExpandedBatchReadOn(Plain):
    """Batch items that share memory are read one after the other."""

    def attend(self, asked: Asked) -> tuple[Any, Any]:
        value = asked.value
        if value.shape[0] > 1 and value.strides[0] == 0:
            asked = replace(asked, value=np.concatenate([value[:1], np.zeros_like(value[1:])]))
        return super().attend(asked)


@planted("layouts", "wrong or leak", causes=("key_mask", "key mask"))
class KeyMaskReadAsContiguous(Plain):
    """The columns of a longer key mask are read without its row stride."""

    def key_mask(self, asked: Asked) -> Any:
        mask = asked.key_mask
        return (mask if mask.flags.c_contiguous else read_flat(mask))[:, None, None, :]


class Racing(Plain):
    """Threads share a scratch buffer: now and then an item reads the keys of another one."""

    chance, work = 0.3, 0

    def __init__(self) -> None:
        self.rng = np.random.default_rng(3)

    def attend(self, asked: Asked) -> tuple[Any, Any]:
        batch = len(asked.query)
        large = asked.query.shape[2] * asked.key.shape[2] >= self.work
        if batch > 1 and large and self.rng.random() < self.chance:
            asked = replace(asked, key=np.roll(asked.key, 1, axis=0))
        return super().attend(asked)


@planted("determinism", causes=("repeated", "random"))
class RaceInTheBatch(Racing):
    pass


@planted("determinism", causes=("repeated", "random"))
class RareRaceInLargeBatches(Racing):
    chance, work = 0.1, 4_000


@planted("determinism", causes=("repeated", "random"))
class RaceAtOneLength(Racing):
    """Only where the keys fill their blocks exactly."""

    def attend(self, asked: Asked) -> tuple[Any, Any]:
        return super().attend(asked) if asked.key.shape[2] % 16 == 0 else Plain.attend(self, asked)
