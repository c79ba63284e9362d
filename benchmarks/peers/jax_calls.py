"""JAX: jax.nn.dot_product_attention, compiled by XLA; one thread per CPU that the process may use."""

from functools import partial
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from benchmarks.peers.call import Call, NotOfferedError
from benchmarks.work import Inputs, Work


def use_threads(threads: int) -> None:
    """XLA makes a thread for each CPU it may use; the worker has limited those already."""


def version() -> str:
    return str(jax.__version__)


def call(work: Work, inputs: Inputs, *, masked: bool) -> Call:
    """Tokens come before heads here: prepared, not timed."""
    query, key, value = (jnp.asarray(a.swapaxes(1, 2)) for a in (inputs.query, inputs.key, inputs.value))
    options: dict[str, Any] = {}
    if masked:
        if not work.causal and work.window is None:
            raise NotOfferedError("there is nothing to mask")
        options["mask"] = jnp.asarray(work.visible())[None, None]
    elif work.query_len != work.key_len and (work.causal or work.window is not None):
        raise NotOfferedError("is_causal aligns to the first key")
    elif work.window is not None:
        options |= {"local_window_size": (work.window - 1, 0), "is_causal": True}
    else:
        options["is_causal"] = work.causal
    mask = options.pop("mask", None)
    compiled = jax.jit(partial(jax.nn.dot_product_attention, **options))
    return Call(
        lambda: compiled(query, key, value, mask=mask).block_until_ready(),
        lambda output: np.asarray(output).swapaxes(1, 2),
    )


WAYS = {
    "dot_product_attention": partial(call, masked=False),
    "dot_product_attention, mask": partial(call, masked=True),
}
