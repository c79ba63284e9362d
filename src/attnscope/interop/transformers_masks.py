"""What Transformers says of a mask, a function of indices, read as a statement: attnscope's own masks.

Transformers composes mask functions from a few of its own, each a closure. One that is known, by its code, is read by
what it closed over. A function with any other part in it is asked for every entry, a block of queries at a time, and
kept as one bit an entry.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from transformers import masking_utils

import attnscope as at
from attnscope.interop.symbolic_mask import SymbolicMask
from attnscope.interop.tensors import array_of
from attnscope.problem import AttentionShape, Dense, KeyBitmap, lower

ENTRIES_AT_ONCE = 2**22  # that a function is asked for
Function = Callable[..., Any]
Ints = NDArray[np.int64]


class Asked(NamedTuple):
    """The part of the score matrix that a mask is for; query i and key j stand at query_offset + i, key_offset + j."""

    batch: int
    query_len: int
    key_len: int
    query_offset: int
    key_offset: int
    positions: Ints | None = None  # of packed texts, [batch, key_len]: each counts from its own start

    @property
    def offset(self) -> int:
        """Where the first query stands among the keys."""
        return self.query_offset - self.key_offset

    @property
    def queries_are_keys(self) -> bool:
        """Whether each query stands at one of the keys."""
        return self.offset >= 0 and self.offset + self.query_len <= self.key_len

    @property
    def given_offset(self) -> int | None:
        """The offset as masks are given it: none where the last query meets the last key, as is usual."""
        return None if self.offset == self.key_len - self.query_len else self.offset


class UnknownFunctionError(Exception):
    """A mask function that says nothing of itself but entries."""


def mask_of_transformers(  # called by Transformers, as its own sdpa_mask is
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: Any = 0,
    kv_offset: int = 0,
    mask_function: Function = masking_utils.causal_mask_function,
    attention_mask: Any = None,
    use_vmap: bool = False,
    **_: Any,
) -> SymbolicMask:
    """The mask function that register() gives to Transformers."""
    asked = Asked(batch_size, q_length, kv_length, int(q_offset), int(kv_offset))
    keys_read = kv_length
    behind = asked.offset + q_length  # the first key that comes after every query
    if is_causal(mask_function) and 0 < behind < kv_length:
        keys_read, asked = behind, asked._replace(key_len=behind)
    shape = (batch_size, q_length, kv_length)
    mask = read(mask_function, attention_mask, asked, use_vmap)
    return SymbolicMask(mask, shape, keys_read, asked.key_offset)


def read(function: Function, real: Any, asked: Asked, use_vmap: bool = False) -> at.Mask | None:
    """A mask function, and which keys are no padding, as one mask; None: every query sees every key."""
    keys = None if real is None else keys_of(real, asked)
    try:
        mask = both(known(function, asked), None if keys is None else padding(keys))
    except UnknownFunctionError:
        return evaluated(function, keys, asked, use_vmap)
    return kept_as_bits(mask, asked)


def known(function: Function, asked: Asked) -> at.Mask | None:
    """Read a function of Transformers' own.

    Errors
        UnknownFunctionError.
    """
    reader = READERS.get(getattr(function, "__code__", None))
    if reader is None:
        raise UnknownFunctionError
    return reader(closed_over(function), asked)


def closed_over(function: Any) -> dict[str, Any]:
    """The values that a closure was made with, by their names."""
    cells = function.__closure__ or ()
    return {name: cell.cell_contents for name, cell in zip(function.__code__.co_freevars, cells, strict=True)}


def is_causal(function: Function) -> bool:
    """Whether a function shows no query a key that comes after it, as far as its code says."""
    code = getattr(function, "__code__", None)
    if code == CODE_OF_AND:
        return any(is_causal(part) for part in closed_over(function)["mask_functions"])
    return bool(code == masking_utils.causal_mask_function.__code__)


def both(left: at.Mask | None, right: at.Mask | None) -> at.Mask | None:
    """What both show."""
    if left is None or right is None:
        return right if left is None else left
    return left & right


def keys_of(real: Any, asked: Asked) -> NDArray[np.bool_]:
    """Of a mask [batch, tokens], the part of these keys; those behind its end are hidden."""
    given = array_of(real)[:, asked.key_offset : asked.key_offset + asked.key_len].astype(
        np.bool_, copy=False
    )
    if given.shape[1] == asked.key_len:
        return given
    keys = np.zeros((len(given), asked.key_len), np.bool_)
    keys[:, : given.shape[1]] = given
    return keys


def padding(keys: NDArray[np.bool_]) -> at.Mask | None:
    """Which keys are real, [batch, key_len], as the least that says it."""
    if keys.all():
        return None
    counts = np.count_nonzero(keys, axis=1)
    first = np.where(counts > 0, keys.argmax(axis=1), 0)
    end = np.where(counts > 0, keys.shape[1] - keys[:, ::-1].argmax(axis=1), 0)
    if (end - first != counts).any():
        return at.Dense(keys[:, None, None, :])
    return at.KeyRanges(first, end) if first.any() else at.KeyLengths(end)


# One reader for each function that Transformers makes masks of: what it closed over, as a mask


def everything(_: dict[str, Any], __: Asked) -> at.Mask | None:
    """bidirectional_mask_function."""
    return None


def causal(_: dict[str, Any], asked: Asked) -> at.Mask | None:
    """kv_idx <= q_idx; texts that are packed one after the other keep the order."""
    return None if asked.offset >= asked.key_len - 1 else at.Causal(offset=asked.given_offset)


def window_behind(closed: dict[str, Any], asked: Asked) -> at.Mask | None:
    """kv_idx > q_idx - sliding_window."""
    left = _reach(closed["sliding_window"] - 1)
    if asked.offset + asked.query_len - 1 <= left:  # the last query still reaches the first key
        return None
    return at.Window(left=left, offset=asked.given_offset)


def window_around(closed: dict[str, Any], asked: Asked) -> at.Mask | None:
    """|q_idx - kv_idx| <= sliding_window."""
    reach = _reach(closed["sliding_window"])
    return at.Window(left=reach, right=reach, offset=asked.given_offset)


def _reach(given: Any) -> int:
    reach = int(given)
    if reach < 0 or reach != given:
        raise UnknownFunctionError
    return reach


def chunks(closed: dict[str, Any], asked: Asked) -> at.Mask | None:
    """Both indices in one chunk, counted from where each row's padding ends."""
    positions = asked.positions
    if positions is None:
        positions = np.arange(asked.key_offset, asked.key_offset + asked.key_len)[None]
    from_padding = positions - array_of(closed["left_padding"]).astype(np.int64)[:, None]
    return documents(from_padding // int(closed["chunk_size"]), asked)


def packed(closed: dict[str, Any], asked: Asked) -> at.Mask | None:
    """Both indices in one text."""
    return documents(_of_keys(closed["packed_sequence_mask"], asked), asked)


def blocks(closed: dict[str, Any], asked: Asked) -> at.Mask | None:
    """Both indices in one block; -1 is none."""
    ids = _of_keys(closed["block_sequence_ids"], asked)
    of_a_block = ids >= 0
    own = documents(ids, asked)
    return own if of_a_block.all() else both(own, at.Dense(of_a_block[:, None, None, :]))


def real_keys(closed: dict[str, Any], asked: Asked) -> at.Mask | None:
    """padding_mask[batch_idx, kv_idx]."""
    return padding(keys_of(closed["padding_mask"], asked))


def all_of(closed: dict[str, Any], asked: Asked) -> at.Mask | None:
    """and_masks(...), and packed texts: two parts that only together are a mask."""
    parts = closed["mask_functions"]
    if [getattr(part, "__code__", None) for part in parts] == [CODE_OF_PACKED, CODE_OF_REMAPPED]:
        texts, remapped = (closed_over(part) for part in parts)
        return packed_texts(texts, remapped, asked)
    mask = None
    for part in parts:
        mask = both(mask, known(part, asked))
    return mask


def any_of(closed: dict[str, Any], asked: Asked) -> at.Mask | None:
    """or_masks(...)."""
    first, *rest = (known(part, asked) for part in closed["mask_functions"])
    for part in rest:
        first = None if first is None or part is None else first | part
    return first


def packed_texts(texts: dict[str, Any], remapped: dict[str, Any], asked: Asked) -> at.Mask | None:
    """Each text by itself, and in it the positions that its tokens were given.

    These are one apart, as their indices are, so what compares two positions compares two indices.
    """
    ids, positions = (
        _of_keys(tensor, asked) for tensor in (texts["packed_sequence_mask"], remapped["position_ids"])
    )
    step = np.diff(ids, axis=1)
    if (step < 0).any() or (np.diff(positions, axis=1)[step == 0] != 1).any() or asked.positions is not None:
        raise UnknownFunctionError
    within = known(remapped["mask_function"], asked._replace(positions=positions))
    return both(documents(ids, asked), within)


def documents(ids: Ints, asked: Asked) -> at.Mask | None:
    """Queries and keys of one id, [batch or 1, key_len]."""
    if not asked.queries_are_keys:
        raise UnknownFunctionError
    if (ids == ids[:, :1]).all():
        return None
    if (ids == ids[:1]).all():
        ids = ids[:1]
    return at.Documents(ids, offset=asked.given_offset)


def _of_keys(tensor: Any, asked: Asked) -> Ints:
    ids = array_of(tensor)[:, asked.key_offset : asked.key_offset + asked.key_len].astype(np.int64)
    if ids.shape[1] != asked.key_len:
        raise UnknownFunctionError
    return ids


def _code(function: Function) -> Any:
    return function.__code__


CODE_OF_AND = _code(masking_utils.and_masks())
CODE_OF_PACKED = _code(masking_utils.packed_sequence_mask_function(None))
CODE_OF_REMAPPED = _code(masking_utils.remap_positions_for_packed_sequence(None, None))
READERS: dict[Any, Callable[[dict[str, Any], Asked], at.Mask | None]] = {
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


# Any other function, entry by entry


def evaluated(
    function: Function, keys: NDArray[np.bool_] | None, asked: Asked, use_vmap: bool = False
) -> at.Mask:
    """What a function says of each entry, asked by Transformers' own rules, and which keys are real."""
    packed_rows = []
    step = max(1, ENTRIES_AT_ONCE // max(1, asked.batch * asked.key_len))
    for first in range(0, asked.query_len, step):
        shown = masking_utils.sdpa_mask(
            asked.batch, min(step, asked.query_len - first), asked.key_len,
            q_offset=asked.query_offset + first, kv_offset=asked.key_offset,
            mask_function=function, allow_is_causal_skip=False, use_vmap=use_vmap,
        )  # fmt: skip
        seen = array_of(shown) if keys is None else array_of(shown) & keys[:, None, None, :]
        packed_rows.append(np.packbits(seen, axis=-1, bitorder="little"))
    return of_bits(np.concatenate(packed_rows, axis=2), asked)


def kept_as_bits(mask: at.Mask | None, asked: Asked) -> at.Mask | None:
    """The mask itself where rows are few runs of keys; else its bits, written here once and not in each layer."""
    if mask is None:
        return None
    lowered = lower(mask, AttentionShape(asked.batch, 1, 1, asked.query_len, asked.key_len, 1, 1))
    if not isinstance(lowered, KeyBitmap):
        return mask
    return of_bits(lowered.words.astype("<u8").view(np.uint8)[..., : -(-asked.key_len // 8)], asked)


def of_bits(bits: NDArray[np.uint8], asked: Asked) -> at.Mask:
    """A mask of rows [batch, 1, queries, bytes], key j in bit j % 8 of byte j // 8; one row where all are the same."""
    if (bits == bits[:, :, :1]).all():
        bits = bits[:, :, :1]
    return Dense.from_bits((*bits.shape[:3], asked.key_len), bits)
