"""OpenVINO: ScaledDotProductAttention as a one-node model, in float32."""

from functools import partial
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import opset13

from benchmarks.peers.call import Call, NotOfferedError
from benchmarks.work import Inputs, Work

_threads: list[int] = []


def use_threads(threads: int) -> None:
    _threads[:] = [threads]


def version() -> str:
    return str(openvino.__version__).split("-")[0]


def settings() -> dict[str, Any]:
    """One stream with all threads, in float32: the default is bfloat16 on some CPUs."""
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": _threads[0],
        "NUM_STREAMS": 1,
    }


def call(work: Work, inputs: Inputs, *, mask: str | None) -> Call:
    arrays = [inputs.query, inputs.key, inputs.value]
    if mask is not None:
        arrays.append(mask_array(work, mask))
    elif work.window is not None or (work.causal and work.query_len != work.key_len):
        raise NotOfferedError("causal= aligns to the first key, and there is no window")
    if work.group > 1:
        raise NotOfferedError("the operator broadcasts no groups of heads")
    parameters = [opset13.parameter(list(array.shape), array.dtype) for array in arrays]
    node = opset13.scaled_dot_product_attention(*parameters, causal=work.causal and mask is None)
    compiled = openvino.Core().compile_model(openvino.Model([node], parameters), "CPU", settings())
    request = compiled.create_infer_request()
    for position, array in enumerate(arrays):
        request.set_input_tensor(position, openvino.Tensor(array, shared_memory=True))

    def run() -> Any:
        request.infer()
        return request

    def output(request: Any) -> NDArray[Any]:
        return np.array(request.get_output_tensor(0).data)

    return Call(run, output, keeps=arrays)


def mask_array(work: Work, kind: str) -> NDArray[Any]:
    if not work.causal and work.window is None:
        raise NotOfferedError("there is nothing to mask")
    visible = work.visible()[None, None]
    return visible if kind == "bool" else np.where(visible, np.float32(0), np.float32(-np.inf))


WAYS = {
    "SDPA": partial(call, mask=None),
    "SDPA, bool mask": partial(call, mask="bool"),
    "SDPA, float mask": partial(call, mask="float"),
}
