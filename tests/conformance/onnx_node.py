"""What an ONNX Attention node asks, in our words."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.problem import Causal, Dense, KeyLengths, Mask, Window
from attnscope.reference.definition import Stage
from tests.conformance.onnx_cases import NodeCase
from tests.problems import Case

# The stages of reference.scores() by qk_matmul_output_mode; mode 3 is the weights.
STAGES: tuple[Stage, ...] = ("raw", "softcap", "bias")


def read_node(node: NodeCase) -> Case:
    """The call of attention() that answers the node."""
    query = split(node.inputs["Q"], node.attributes.get("q_num_heads"))
    key = with_past(node, "past_key", split(node.inputs["K"], node.attributes.get("kv_num_heads")))
    value = with_past(node, "past_value", split(node.inputs["V"], node.attributes.get("kv_num_heads")))
    key_len = key.shape[2]
    options = {
        "mask": read_masks(node, query.shape[2], key_len),
        "bias": read_bias(node, key_len),
        "scale": node.attributes.get("scale"),
        "softcap": node.attributes.get("softcap") or None,  # onnx: 0 is none
    }
    return Case(query, key, value, {name: each for name, each in options.items() if each is not None})


def split(array: NDArray[Any], heads: int | None) -> NDArray[Any]:
    """(batch, tokens, heads * dim) -> (batch, heads, tokens, dim); a 4-D array is that already."""
    if array.ndim == 4:
        return array
    batch, tokens, width = array.shape
    assert heads is not None
    return array.reshape(batch, tokens, heads, width // heads).swapaxes(1, 2)


def join_like(expected: NDArray[Any], output: NDArray[Any]) -> NDArray[Any]:
    return output if expected.ndim == 4 else output.swapaxes(1, 2).reshape(expected.shape)


def with_past(node: NodeCase, past: str, array: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([node.inputs[past], array], axis=2) if past in node.inputs else array


def read_masks(node: NodeCase, query_len: int, key_len: int) -> Mask | None:
    masks: list[Mask] = []
    offset = first_position(node, query_len)
    if node.attributes.get("is_causal"):
        masks.append(Causal(offset=offset))
    sides = [node.attributes.get(f"{side}_window_size", -1) for side in ("left", "right")]
    if max(sides) >= 0:
        left, right = (None if side < 0 else side for side in sides)  # onnx: -1 is unbounded
        masks.append(Window(left=left, right=right, offset=offset))
    if "nonpad_kv_seqlen" in node.inputs:
        masks.append(KeyLengths(node.inputs["nonpad_kv_seqlen"].tolist()))
    if (visible := attn_mask(node, key_len, padded_with=False)) is not None and visible.dtype == np.bool_:
        masks.append(Dense(visible))
    if not masks:
        return None
    joined = masks[0]
    for mask in masks[1:]:
        joined = joined & mask
    return joined


def read_bias(node: NodeCase, key_len: int) -> NDArray[Any] | None:
    bias = attn_mask(node, key_len, padded_with=-np.inf)
    return None if bias is None or bias.dtype == np.bool_ else bias


def first_position(node: NodeCase, query_len: int) -> Any:
    """Where onnx places the first query: after the cache, and at 0 without one, whatever the keys."""
    if "past_key" in node.inputs:
        return node.inputs["past_key"].shape[2]
    if "nonpad_kv_seqlen" in node.inputs:
        return (node.inputs["nonpad_kv_seqlen"] - query_len).tolist()
    return 0


def attn_mask(node: NodeCase, key_len: int, *, padded_with: float) -> NDArray[Any] | None:
    """The mask input, bool or float; one that is shorter than the keys hides the rest."""
    if "attn_mask" not in node.inputs:
        return None
    mask = node.inputs["attn_mask"]
    missing = [(0, 0)] * (mask.ndim - 1) + [(0, key_len - mask.shape[-1])]
    return np.pad(mask, missing, constant_values=padded_with)
