"""torch: scaled_dot_product_attention in its spellings."""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention as sdpa

from benchmarks.peers.call import Call, NotOfferedError
from benchmarks.work import Inputs, Work

Tensors = tuple[Any, Any, Any]


def use_threads(threads: int) -> None:
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)


def version() -> str:
    return str(torch.__version__)


def tensors(inputs: Inputs) -> Tensors:
    """The same memory; bfloat16 travels as its bits."""
    arrays = (inputs.query, inputs.key, inputs.value)
    if inputs.query.dtype.name != "bfloat16":
        return tuple(torch.from_numpy(array) for array in arrays)
    return tuple(torch.from_numpy(array.view(np.int16)).view(torch.bfloat16) for array in arrays)


def to_numpy(output: Any) -> Any:
    return output.float().numpy()


def flagged(work: Work, inputs: Inputs) -> Call:
    """is_causal is top-left aligned: it serves equal lengths only."""
    if work.window is not None:
        raise NotOfferedError("SDPA knows no window")
    if work.causal and work.query_len != work.key_len:
        raise NotOfferedError("is_causal aligns to the first key")
    query, key, value = tensors(inputs)
    grouped = work.group > 1
    return Call(lambda: sdpa(query, key, value, is_causal=work.causal, enable_gqa=grouped), to_numpy)


def masked(work: Work, inputs: Inputs, *, additive: bool) -> Call:
    if not work.causal and work.window is None:
        raise NotOfferedError("there is nothing to mask")
    query, key, value = tensors(inputs)
    mask = torch.from_numpy(work.visible())
    if additive:
        mask = torch.zeros(mask.shape, dtype=query.dtype).masked_fill_(~mask, -torch.inf)
    grouped = work.group > 1
    return Call(lambda: sdpa(query, key, value, attn_mask=mask, enable_gqa=grouped), to_numpy)


def repeated(work: Work, inputs: Inputs) -> Call:
    """Keys and values are repeated for each query head at every call, as transformers does with a mask."""
    if work.group == 1:
        raise NotOfferedError("there are no groups")
    query, key, value = tensors(inputs)
    causal = work.causal and work.query_len > 1
    if work.window is not None or (causal and work.query_len != work.key_len):
        raise NotOfferedError("is_causal aligns to the first key")
    repeat = partial(torch.repeat_interleave, repeats=work.group, dim=1)
    return Call(lambda: sdpa(query, repeat(key), repeat(value), is_causal=causal), to_numpy)


WAYS = {
    "sdpa": flagged,
    "sdpa, bool mask": partial(masked, additive=False),
    "sdpa, float mask": partial(masked, additive=True),
    "sdpa, repeated heads": repeated,
}
