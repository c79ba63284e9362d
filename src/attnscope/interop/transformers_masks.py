"""The function that makes masks for "attnscope" in Transformers' models: statements, never matrices.

A mask function that is not known is evaluated for every entry, a block of queries at a time, and kept as one
bit per entry.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import masking_utils

from attnscope.interop.call_mask import supports_sdpa
from attnscope.interop.mask_functions import (
    Function,
    MaskRegion,
    UnknownFunctionError,
    both,
    is_causal,
    keys_of,
    known,
    padding,
)
from attnscope.interop.symbolic_mask import Statement, SymbolicMask
from attnscope.interop.tensors import array_of
from attnscope.problem import AttentionShape, Dense, KeyBitmap, Mask, lower

ENTRIES_AT_ONCE = 2**22  # of a function that is evaluated


@torch.compiler.disable  # type: ignore[untyped-decorator]  # as the attention: NumPy cannot be traced
def mask_of_transformers(  # noqa: PLR0913  # Transformers calls it with the names of its own sdpa_mask
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: Any = 0,
    kv_offset: int = 0,
    mask_function: Function = masking_utils.causal_mask_function,
    attention_mask: Any = None,
    use_vmap: bool = False,
    dtype: torch.dtype = torch.float32,
    config: Any = None,
    **_: Any,
) -> SymbolicMask:
    """Make the mask of a call: the mask function that register() gives to Transformers.

    To models that do not support sdpa it looks like eager's, numbers to add; to others like sdpa's, bools.
    """
    region = MaskRegion(batch_size, q_length, kv_length, int(q_offset), int(kv_offset))
    keys_read = kv_length
    behind = region.offset + q_length  # the first key after all queries
    if is_causal(mask_function) and 0 < behind < kv_length:
        keys_read, region = behind, region._replace(key_len=behind)
    shape = (batch_size, q_length, kv_length)
    mask = read(mask_function, attention_mask, region, use_vmap)
    statement = Statement(mask, keys_read, region.key_offset)
    return SymbolicMask(statement, shape, torch.bool if supports_sdpa(type(config)) else dtype)


def read(function: Function, real: Any, region: MaskRegion, use_vmap: bool = False) -> Mask | None:
    """A mask function and the keys that are not padding as one mask; None: every query sees every key."""
    keys = None if real is None else keys_of(real, region)
    try:
        mask = both(known(function, region), None if keys is None else padding(keys))
    except UnknownFunctionError:
        return evaluated(function, keys, region, use_vmap)
    return kept_as_bits(mask, region)


def evaluated(
    function: Function, keys: NDArray[np.bool_] | None, region: MaskRegion, use_vmap: bool = False
) -> Mask:
    """Every entry of a function, computed by Transformers itself, and only at real keys."""
    packed_rows = []
    step = max(1, ENTRIES_AT_ONCE // max(1, region.batch * region.key_len))
    for first in range(0, region.query_len, step):
        shown = masking_utils.sdpa_mask(
            region.batch,
            min(step, region.query_len - first),
            region.key_len,
            q_offset=region.query_offset + first,
            kv_offset=region.key_offset,
            mask_function=function,
            allow_is_causal_skip=False,
            use_vmap=use_vmap,
        )
        seen = array_of(shown) if keys is None else array_of(shown) & keys[:, None, None, :]
        packed_rows.append(np.packbits(seen, axis=-1, bitorder="little"))
    return of_bits(np.concatenate(packed_rows, axis=2), region)


def kept_as_bits(mask: Mask | None, region: MaskRegion) -> Mask | None:
    """The mask itself if its rows are few runs of keys; otherwise its bits, made once for all layers."""
    if mask is None:
        return None
    lowered = lower(mask, AttentionShape(region.batch, 1, 1, region.query_len, region.key_len, 1, 1))
    if not isinstance(lowered, KeyBitmap):
        return mask
    return of_bits(lowered.words.astype("<u8").view(np.uint8)[..., : -(-region.key_len // 8)], region)


def of_bits(bits: NDArray[np.uint8], region: MaskRegion) -> Mask:
    """A mask of rows [batch, 1, queries, bytes], key j in bit j % 8 of byte j // 8; equal rows kept once."""
    if (bits == bits[:, :, :1]).all():
        bits = bits[:, :, :1]
    return Dense.from_bits((*bits.shape[:3], region.key_len), bits)
