"""ONNX Runtime: Attention in both layouts, MultiHeadAttention and GroupQueryAttention, as one-node models."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from benchmarks.peers.call import Call, NotOfferedError
from benchmarks.work import Inputs, Work

TYPES = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
    "bool": TensorProto.BOOL,
    "int32": TensorProto.INT32,
}
CONTRIB = "com.microsoft"
_threads: list[int] = []


def use_threads(threads: int) -> None:
    _threads[:] = [threads]


def version() -> str:
    return str(onnxruntime.__version__)


def session(node: Any, inputs: dict[str, NDArray[Any]], outputs: list[str], opset: int) -> Any:
    """A model of this one node, for inputs of these shapes."""
    element = TYPES[inputs["query"].dtype.name]
    graph = helper.make_graph(
        [node],
        "attention",
        [helper.make_tensor_value_info(n, TYPES[a.dtype.name], a.shape) for n, a in inputs.items()],
        [helper.make_tensor_value_info(name, element, None) for name in outputs],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(CONTRIB, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads[0]
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def bound_call(
    running: Any,
    inputs: dict[str, NDArray[Any]],
    work: Work,
    *,
    packed: bool,
    shared: Mapping[str, str] = MappingProxyType({}),
) -> Call:
    """Inputs are bound once; outputs stay in the runtime's memory, or in the input that they share."""
    binding = running.io_binding()
    values = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in inputs.items()}
    for name, value in values.items():
        binding.bind_ortvalue_input(name, value)
    for result in running.get_outputs():
        if result.name in shared:
            binding.bind_ortvalue_output(result.name, values[shared[result.name]])
        else:
            binding.bind_output(result.name)

    def run() -> Any:
        running.run_with_iobinding(binding)
        return binding

    def output(binding: Any) -> NDArray[Any]:
        first: NDArray[Any] = binding.copy_outputs_to_cpu()[0]
        return unpack(first, work) if packed else first

    return Call(run, output, keeps=(inputs, values))


def pack(array: NDArray[Any]) -> NDArray[Any]:
    """(batch, heads, tokens, dim) -> (batch, tokens, heads * dim)."""
    batch, _, tokens, _ = array.shape
    return np.ascontiguousarray(array.swapaxes(1, 2)).reshape(batch, tokens, -1)


def unpack(array: NDArray[Any], work: Work) -> NDArray[Any]:
    return array.reshape(work.batch, work.query_len, work.query_heads, work.value_dim).swapaxes(1, 2)


def attention(work: Work, inputs: Inputs, *, packed: bool, mask: str | None) -> Call:
    """The standard operator: causal by its flag, a window by its attributes (opset 25) or by a mask."""
    fed = {"query": inputs.query, "key": inputs.key, "value": inputs.value}
    attributes: dict[str, Any] = {}
    if packed:
        fed = {name: pack(array) for name, array in fed.items()}
        attributes |= {"q_num_heads": work.query_heads, "kv_num_heads": work.kv_heads}
    opset = 23
    if mask is not None:
        fed["mask"] = mask_array(work, mask)
    elif work.causal or work.window is not None:
        if work.query_len != work.key_len:
            raise NotOfferedError("is_causal is top-left aligned without a cache")
        attributes["is_causal"] = 1
        if work.window is not None:
            attributes["left_window_size"] = work.window - 1
            opset = 25
    node = helper.make_node("Attention", list(fed), ["output"], **attributes)
    return bound_call(session(node, fed, ["output"], opset), fed, work, packed=packed)


def mask_array(work: Work, kind: str) -> NDArray[Any]:
    if not work.causal and work.window is None:
        raise NotOfferedError("there is nothing to mask")
    visible = work.visible()
    return visible if kind == "bool" else np.where(visible, np.float32(0), np.float32(-np.inf))


def multi_head(work: Work, inputs: Inputs) -> Call:
    if work.group > 1 or work.window is not None or (work.causal and work.query_len != work.key_len):
        raise NotOfferedError("MultiHeadAttention knows no groups, no window and no offset")
    fed = {"query": pack(inputs.query), "key": pack(inputs.key), "value": pack(inputs.value)}
    node = helper.make_node(
        "MultiHeadAttention",
        list(fed),
        ["output"],
        domain=CONTRIB,
        num_heads=work.query_heads,
        unidirectional=int(work.causal),
    )
    return bound_call(session(node, fed, ["output"], 23), fed, work, packed=True)


def grouped(work: Work, inputs: Inputs, *, in_place: bool) -> Call:
    """The operator of language models: causal; all but the last query_len keys come as the cache.

    in_place: the cache has room for the new keys, and is the output too, so that nothing is copied.
    """
    if not work.causal and work.window is None and work.query_len > 1:
        raise NotOfferedError("GroupQueryAttention is causal")
    past = work.offset
    if in_place and not past:
        raise NotOfferedError("there is no cache to write into")
    fed = {
        "query": pack(inputs.query),
        "key": pack(inputs.key[:, :, past:]),
        "value": pack(inputs.value[:, :, past:]),
    }
    if past:
        kept = slice(None) if in_place else slice(past)
        fed |= {"past_key": inputs.key[:, :, kept].copy(), "past_value": inputs.value[:, :, kept].copy()}
    fed |= {
        "last_keys": np.full(work.batch, work.key_len - 1, np.int32),
        "key_len": np.array([work.key_len], np.int32),
    }
    names = [
        n if n in fed else ""
        for n in ("query", "key", "value", "past_key", "past_value", "last_keys", "key_len")
    ]
    window = {} if work.window is None else {"local_window_size": work.window}
    outputs = ["output", "present_key", "present_value"]
    heads = {"num_heads": work.query_heads, "kv_num_heads": work.kv_heads}
    node = helper.make_node("GroupQueryAttention", names, outputs, domain=CONTRIB, **heads, **window)
    shared = {"present_key": "past_key", "present_value": "past_value"} if in_place else {}
    return bound_call(session(node, fed, outputs, 23), fed, work, packed=True, shared=shared)


WAYS = {
    "Attention": partial(attention, packed=False, mask=None),
    "Attention, tokens first": partial(attention, packed=True, mask=None),
    "Attention, bool mask": partial(attention, packed=False, mask="bool"),
    "Attention, float mask": partial(attention, packed=False, mask="float"),
    "MultiHeadAttention": multi_head,
    "GroupQueryAttention": partial(grouped, in_place=False),
    "GroupQueryAttention, in place": partial(grouped, in_place=True),
}
