"""torch's flex_attention: compiled for each shape by a C++ compiler at run time; it skips hidden blocks.

It is listed beside SDPA: calling SDPA does not do this.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from benchmarks.peers.call import Call
from benchmarks.peers.torch_calls import tensors, to_numpy
from benchmarks.peers.torch_calls import use_threads as use_threads
from benchmarks.peers.torch_calls import version as version
from benchmarks.work import Inputs, Work

Visibility = Callable[[Any, Any, Any, Any], Any]


def flex(work: Work, inputs: Inputs) -> Call:
    query, key, value = tensors(inputs)
    visible = visibility(work)
    blocks = visible and create_block_mask(visible, None, None, work.query_len, work.key_len, device="cpu")
    compiled = torch.compile(flex_attention, dynamic=False)
    grouped = work.group > 1
    return Call(lambda: compiled(query, key, value, block_mask=blocks, enable_gqa=grouped), to_numpy)


def visibility(work: Work) -> Visibility | None:
    offset, window = work.offset, work.window
    if window is not None:
        return lambda _batch, _head, i, j: (j <= i + offset) & (j > i + offset - window)
    return (lambda _batch, _head, i, j: j <= i + offset) if work.causal else None


WAYS = {"flex_attention, compiled": flex}
