"""Ours: attention(), with and without an array to write into."""

from importlib import metadata

import numpy as np

import attnscope as at
from benchmarks.peers.call import Call
from benchmarks.work import Inputs, Work

_threads: list[int] = []


def use_threads(threads: int) -> None:
    _threads[:] = [threads]


def version() -> str:
    return metadata.version("attnscope")


def mask_of(work: Work) -> at.Mask | None:
    if work.window is not None:
        return at.Window(left=work.window - 1, right=0)
    return at.Causal() if work.causal else None


def plain(work: Work, inputs: Inputs) -> Call:
    mask, threads = mask_of(work), _threads[0]
    return Call(
        lambda: at.attention(inputs.query, inputs.key, inputs.value, mask=mask, threads=threads),
        lambda output: output,
    )


def into_an_array(work: Work, inputs: Inputs) -> Call:
    mask, threads = mask_of(work), _threads[0]
    shape = (*inputs.query.shape[:3], work.value_dim)
    out = np.empty(shape, inputs.query.dtype)
    return Call(
        lambda: at.attention(inputs.query, inputs.key, inputs.value, mask=mask, out=out, threads=threads),
        lambda output: output,
    )


WAYS = {"attention()": plain, "attention(out=)": into_an_array}
