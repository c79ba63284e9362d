"""torch with grouped heads packed by the caller, as transformers does for one query.

It is listed beside SDPA: calling SDPA with enable_gqa does not do this.
"""

from torch.nn.functional import scaled_dot_product_attention as sdpa

from benchmarks.peers.call import Call, NotOfferedError
from benchmarks.peers.torch_calls import tensors, to_numpy
from benchmarks.peers.torch_calls import use_threads as use_threads
from benchmarks.peers.torch_calls import version as version
from benchmarks.work import Inputs, Work


def packed(work: Work, inputs: Inputs) -> Call:
    """The heads of a group become the queries of their key head, as transformers does for one query."""
    if work.group == 1 or work.query_len > 1:
        raise NotOfferedError("packing serves one query a head, in groups")
    if work.window is not None:
        raise NotOfferedError("SDPA knows no window")
    query, key, value = tensors(inputs)
    shape = query.shape
    rows = query.reshape(work.batch, work.kv_heads, work.group, work.key_dim)
    return Call(
        lambda: sdpa(rows, key, value), lambda output: to_numpy(output.reshape(*shape[:3], work.value_dim))
    )


WAYS = {"sdpa, packed groups": packed}
