"""Arrays of other libraries, read in place through DLPack: torch's tensors, JAX's arrays.

NumPy reads them, except for bfloat16, which its own DLPack reader does not know. Those are read here, from
the structure that the standard fixes: https://dmlc.github.io/dlpack/latest/c_api.html.
"""

import ctypes
from typing import Any, Protocol

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from attnscope.arguments import kind_of
from attnscope.errors import AttentionError

HOST_MEMORY = {1: "cpu", 3: "cuda_host", 11: "rocm_host"}  # DLDeviceType
DEVICES = {2: "CUDA", 4: "OpenCL", 7: "Vulkan", 8: "Metal", 10: "ROCm", 14: "oneAPI"}
BFLOAT = (4, 16, 1)  # kDLBfloat, bits, lanes
READ_ONLY = 1
# What exporters raise for a tensor that they cannot share
REFUSALS = (BufferError, RuntimeError, TypeError, ValueError, AttributeError)


class SupportsDLPack(Protocol):
    """An array of any library that can be read in place: torch's, JAX's, CuPy's on the host."""

    def __dlpack__(self) -> Any: ...

    def __dlpack_device__(self) -> tuple[int, int]: ...


Array = NDArray[Any] | SupportsDLPack


class _Tensor(ctypes.Structure):
    """DLTensor."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _Versioned(ctypes.Structure):
    """DLManagedTensorVersioned; the older DLManagedTensor begins with its DLTensor."""

    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("manager", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


_is_valid = ctypes.pythonapi.PyCapsule_IsValid
_is_valid.restype, _is_valid.argtypes = ctypes.c_int, (ctypes.py_object, ctypes.c_char_p)
_get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_get_pointer.restype, _get_pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)


class _Shared:
    """NumPy's array interface to a capsule's memory, which is released together with the capsule."""

    def __init__(self, capsule: Any, tensor: _Tensor, *, writable: bool) -> None:
        shape = tuple(tensor.shape[: tensor.ndim])
        self.capsule = capsule
        self.__array_interface__ = {
            "version": 3,
            "typestr": "<u2",
            "shape": shape,
            "data": ((tensor.data or 0) + tensor.byte_offset, not writable),
            "strides": tuple(2 * each for each in tensor.strides[: tensor.ndim]) if tensor.strides else None,
        }


def shared(given: Any, name: str, *, error: type[AttentionError]) -> NDArray[Any]:
    """View the memory of an object with __dlpack__; raise `error` if the CPU cannot read it in place."""
    kind = kind_of(given)
    try:
        device = int(given.__dlpack_device__()[0])
        if device not in HOST_MEMORY:
            raise error(
                f"{name} is a {kind} in memory of {DEVICES.get(device, f'device type {device}')}, "
                "expected the CPU's. Move it to the CPU first."
            )
        if str(getattr(given, "dtype", "")).rpartition(".")[2] == "bfloat16":
            return _bfloat16(given)
        return np.from_dlpack(given)
    except REFUSALS as refusal:
        if isinstance(refusal, AttentionError):
            raise
        reason = " ".join(str(refusal).split()).rstrip(".")
        raise error(
            f"{name} is a {kind} that cannot be read in place: {reason}. "
            "Pass a dense array in the CPU's memory; "
            "attnscope.interop.torch and .jax have functions with gradients."
        ) from refusal


def _bfloat16(given: Any) -> NDArray[Any]:
    capsule = _capsule(given)
    if _is_valid(capsule, b"dltensor_versioned"):
        versioned = _Versioned.from_address(_get_pointer(capsule, b"dltensor_versioned"))
        tensor, writable = versioned.tensor, not versioned.flags & READ_ONLY
    else:
        tensor, writable = _Tensor.from_address(_get_pointer(capsule, b"dltensor")), False  # as NumPy does
    if (tensor.code, tensor.bits, tensor.lanes) != BFLOAT:
        raise BufferError(f"its bfloat16 has the DLPack type {(tensor.code, tensor.bits, tensor.lanes)}")
    return np.asarray(_Shared(capsule, tensor, writable=writable)).view(ml_dtypes.bfloat16)


def _capsule(given: Any) -> Any:
    """The exporter's capsule; of DLPack 1.0, if it knows that, which marks read-only memory."""
    try:
        return given.__dlpack__(max_version=(1, 0))
    except TypeError:
        return given.__dlpack__()
