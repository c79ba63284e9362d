"""ONNX Runtime's Attention (opset 23), as an audit asks it: one session for each set of options."""

from functools import cache
from typing import Any

import numpy as np

from attnscope.audit import Contract

CONTRACT = Contract(mask=True, bias=True, grouped_heads=True, scale=True, softcap=True)


def attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    mask: Any = None,
    bias: Any = None,
    scale: float | None = None,
    softcap: float | None = None,
) -> Any:
    """A mask is ONNX's bool attn_mask, True = visible; a bias is its float one."""
    added = bias
    if mask is not None and bias is not None:
        added = np.where(mask, np.broadcast_to(bias, np.broadcast_shapes(mask.shape, bias.shape)), -np.inf)
    elif mask is not None:
        added = mask
    feeds = {"query": query, "key": key, "value": value} | ({} if added is None else {"mask": added})
    kind = None if added is None else str(added.dtype)
    wanted = np.float32 if kind and kind != "bool" else None
    if wanted is not None:
        feeds["mask"] = feeds["mask"].astype(wanted)
    [output] = session(kind, scale, softcap).run(
        None, {name: np.ascontiguousarray(x) for name, x in feeds.items()}
    )
    return output


@cache
def session(mask: str | None, scale: float | None, softcap: float | None) -> Any:
    import onnxruntime
    from onnx import TensorProto, helper

    axes = ["batch", "heads", "tokens", "dim"]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [f"{name}_{axis}" for axis in axes])
        for name in ("query", "key", "value")
    ]
    if mask is not None:
        kind = TensorProto.BOOL if mask == "bool" else TensorProto.FLOAT
        inputs.append(helper.make_tensor_value_info("mask", kind, [f"mask_{axis}" for axis in axes]))
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, [f"output_{axis}" for axis in axes])
    given = {name: value for name, value in (("scale", scale), ("softcap", softcap)) if value is not None}
    node = helper.make_node("Attention", [each.name for each in inputs], ["output"], **given)
    graph = helper.make_graph([node], "attention", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), quiet, providers=["CPUExecutionProvider"])
