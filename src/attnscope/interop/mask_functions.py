"""Transformers' mask functions as attnscope's masks.

Transformers describes a mask by a function of indices, composed of a few of its own closures. Such a function
is recognised by its code object, and its mask follows from the values it closed over: 100,000 tokens need no
matrix.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from transformers import masking_utils

from attnscope.interop.tensors import array_of
from attnscope.problem import Causal, Dense, Documents, KeyLengths, KeyRanges, Mask, Window

Function = Callable[..., Any]
Ints = NDArray[np.int64]


class MaskRegion(NamedTuple):
    """The part of the score matrix of a mask: query i is at query_offset + i, key j at key_offset + j."""

    batch: int
    query_len: int
    key_len: int
    query_offset: int
    key_offset: int
    positions: Ints | None = None  # of packed texts, [batch, key_len]: each counts from its own start

    @property
    def offset(self) -> int:
        """Position of the first query among the keys."""
        return self.query_offset - self.key_offset

    @property
    def queries_are_keys(self) -> bool:
        """Whether each query is at the position of one of the keys."""
        return self.offset >= 0 and self.offset + self.query_len <= self.key_len

    @property
    def given_offset(self) -> int | None:
        """The offset as masks take it: None for bottom-right alignment, the default."""
        return None if self.offset == self.key_len - self.query_len else self.offset


class UnknownFunctionError(Exception):
    """A mask function whose code is not known: only its entries can be computed."""


def known(function: Function, region: MaskRegion) -> Mask | None:
    """The mask of one of Transformers' own functions; None: every query sees every key.

    Raises
    ------
    UnknownFunctionError
        If the function, or a part of it, is another one.
    """
    reader = READERS.get(getattr(function, "__code__", None))
    if reader is None:
        raise UnknownFunctionError
    return reader(closed_over(function), region)


def closed_over(function: Any) -> dict[str, Any]:
    """The values of a closure's free variables, by name."""
    cells = function.__closure__ or ()
    return {name: cell.cell_contents for name, cell in zip(function.__code__.co_freevars, cells, strict=True)}


def is_causal(function: Function) -> bool:
    """Whether a function is known to hide all later keys from every query."""
    code = getattr(function, "__code__", None)
    if code == CODE_OF_AND:
        return any(is_causal(part) for part in closed_over(function)["mask_functions"])
    return bool(code == masking_utils.causal_mask_function.__code__)


def both(left: Mask | None, right: Mask | None) -> Mask | None:
    """What both masks show."""
    if left is None or right is None:
        return right if left is None else left
    return left & right


def keys_of(real: Any, region: MaskRegion) -> NDArray[np.bool_]:
    """The region's keys of a mask [batch, tokens]; keys beyond its end are hidden."""
    given = array_of(real)[:, region.key_offset : region.key_offset + region.key_len].astype(
        np.bool_, copy=False
    )
    if given.shape[1] == region.key_len:
        return given
    keys = np.zeros((len(given), region.key_len), np.bool_)
    keys[:, : given.shape[1]] = given
    return keys


def padding(keys: NDArray[np.bool_]) -> Mask | None:
    """Which keys are real, [batch, key_len], as the smallest mask that states it."""
    if keys.all():
        return None
    counts = np.count_nonzero(keys, axis=1)
    first = np.where(counts > 0, keys.argmax(axis=1), 0)
    end = np.where(counts > 0, keys.shape[1] - keys[:, ::-1].argmax(axis=1), 0)
    if (end - first != counts).any():
        return Dense(keys[:, None, None, :])
    return KeyRanges(first, end) if first.any() else KeyLengths(end)


# One reader per function of Transformers: its closed-over values, as a mask


def everything(_: dict[str, Any], __: MaskRegion) -> Mask | None:
    """bidirectional_mask_function."""
    return None


def causal(_: dict[str, Any], region: MaskRegion) -> Mask | None:
    """kv_idx <= q_idx; packed texts keep this order."""
    return None if region.offset >= region.key_len - 1 else Causal(offset=region.given_offset)


def window_behind(closed: dict[str, Any], region: MaskRegion) -> Mask | None:
    """kv_idx > q_idx - sliding_window."""
    left = _reach(closed["sliding_window"] - 1)
    if region.offset + region.query_len - 1 <= left:  # the last query still reaches the first key
        return None
    return Window(left=left, offset=region.given_offset)


def window_around(closed: dict[str, Any], region: MaskRegion) -> Mask | None:
    """|q_idx - kv_idx| <= sliding_window."""
    reach = _reach(closed["sliding_window"])
    return Window(left=reach, right=reach, offset=region.given_offset)


def _reach(given: Any) -> int:
    reach = int(given)
    if reach < 0 or reach != given:
        raise UnknownFunctionError
    return reach


def chunks(closed: dict[str, Any], region: MaskRegion) -> Mask | None:
    """Both indices in one chunk, counted from the end of each row's padding."""
    positions = region.positions
    if positions is None:
        positions = np.arange(region.key_offset, region.key_offset + region.key_len)[None]
    from_padding = positions - array_of(closed["left_padding"]).astype(np.int64)[:, None]
    return documents(from_padding // int(closed["chunk_size"]), region)


def packed(closed: dict[str, Any], region: MaskRegion) -> Mask | None:
    """Both indices in one text."""
    return documents(_of_keys(closed["packed_sequence_mask"], region), region)


def blocks(closed: dict[str, Any], region: MaskRegion) -> Mask | None:
    """Both indices in one block; -1 is none."""
    ids = _of_keys(closed["block_sequence_ids"], region)
    of_a_block = ids >= 0
    own = documents(ids, region)
    return own if of_a_block.all() else both(own, Dense(of_a_block[:, None, None, :]))


def real_keys(closed: dict[str, Any], region: MaskRegion) -> Mask | None:
    """padding_mask[batch_idx, kv_idx]."""
    return padding(keys_of(closed["padding_mask"], region))


def all_of(closed: dict[str, Any], region: MaskRegion) -> Mask | None:
    """and_masks(...), and packed texts: two parts that are a mask only together."""
    parts = closed["mask_functions"]
    by_code = {getattr(part, "__code__", None): part for part in parts}
    if len(parts) == 2 and by_code.keys() == {CODE_OF_PACKED, CODE_OF_REMAPPED}:
        texts, remapped = (closed_over(by_code[code]) for code in (CODE_OF_PACKED, CODE_OF_REMAPPED))
        return packed_texts(texts, remapped, region)
    mask = None
    for part in parts:
        mask = both(mask, known(part, region))
    return mask


def any_of(closed: dict[str, Any], region: MaskRegion) -> Mask | None:
    """or_masks(...)."""
    first, *rest = (known(part, region) for part in closed["mask_functions"])
    for part in rest:
        first = None if first is None or part is None else first | part
    return first


def packed_texts(texts: dict[str, Any], remapped: dict[str, Any], region: MaskRegion) -> Mask | None:
    """Each text by itself, at the positions that its tokens were given.

    Positions within a text must be consecutive, as indices are: then comparing positions compares indices.
    """
    ids, positions = (
        _of_keys(tensor, region) for tensor in (texts["packed_sequence_mask"], remapped["position_ids"])
    )
    step = np.diff(ids, axis=1)
    if (step < 0).any() or (np.diff(positions, axis=1)[step == 0] != 1).any() or region.positions is not None:
        raise UnknownFunctionError
    within = known(remapped["mask_function"], region._replace(positions=positions))
    return both(documents(ids, region), within)


def documents(ids: Ints, region: MaskRegion) -> Mask | None:
    """Queries see the keys of their own id; ids are [batch or 1, key_len]."""
    if not region.queries_are_keys:
        raise UnknownFunctionError
    if (ids == ids[:, :1]).all():
        return None
    if (ids == ids[:1]).all():
        ids = ids[:1]
    return Documents(ids, offset=region.given_offset)


def _of_keys(tensor: Any, region: MaskRegion) -> Ints:
    ids = array_of(tensor)[:, region.key_offset : region.key_offset + region.key_len].astype(np.int64)
    if ids.shape[1] != region.key_len:
        raise UnknownFunctionError
    return ids


def _code(function: Function) -> Any:
    return function.__code__


CODE_OF_AND = _code(masking_utils.and_masks())
CODE_OF_PACKED = _code(masking_utils.packed_sequence_mask_function(None))
CODE_OF_REMAPPED = _code(masking_utils.remap_positions_for_packed_sequence(None, None))
READERS: dict[Any, Callable[[dict[str, Any], MaskRegion], Mask | None]] = {
    CODE_OF_AND: all_of,
    CODE_OF_PACKED: packed,
    _code(masking_utils.or_masks()): any_of,
    _code(masking_utils.causal_mask_function): causal,
    _code(masking_utils.bidirectional_mask_function): everything,
    _code(masking_utils.sliding_window_overlay(1)): window_behind,
    _code(masking_utils.sliding_window_bidirectional_overlay(1)): window_around,
    _code(masking_utils.chunked_overlay(1, None)): chunks,
    _code(masking_utils.blockwise_overlay(None)): blocks,
    _code(masking_utils.padding_mask_function(None)): real_keys,
}
