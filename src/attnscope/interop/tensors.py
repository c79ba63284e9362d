"""torch's tensors as NumPy arrays on the same memory."""

from typing import Any

import ml_dtypes
import numpy as np
import torch
from numpy.typing import NDArray

from attnscope.errors import AttentionFormatError
from attnscope.interop.paged_vectors import PagedVectors
from attnscope.kernels import use_openmp

use_openmp()  # torch's, which alternate with ours

BITS = {torch.bfloat16: (torch.int16, np.dtype(ml_dtypes.bfloat16))}  # NumPy itself has no bfloat16


def array_of(tensor: torch.Tensor) -> NDArray[Any]:
    """The tensor's numbers without a copy, whatever its strides.

    Raises
    ------
    AttentionFormatError
        If the tensor is not a plain one on the CPU.
    """
    if tensor.device.type != "cpu" or tensor.layout != torch.strided:
        raise AttentionFormatError(
            f"a tensor is on {tensor.device}, {str(tensor.layout).removeprefix('torch.')}, expected a plain "
            "one on the CPU, where attnscope computes. Move the model with model.to('cpu'), or choose "
            "another attention."
        )
    tensor = tensor.detach()
    if tensor.dtype in BITS:
        bits, dtype = BITS[tensor.dtype]
        viewed: NDArray[Any] = tensor.view(bits).numpy().view(dtype)
        return viewed
    array: NDArray[Any] = tensor.numpy()
    return array


def tensor_of(array: NDArray[Any]) -> torch.Tensor:
    """The array's numbers as a tensor, without a copy."""
    for dtype, (bits, own) in BITS.items():
        if array.dtype == own:
            return torch.from_numpy(array.view(np.dtype(str(bits).removeprefix("torch.")))).view(dtype)
    return torch.from_numpy(array)


def vectors_of(tensor: torch.Tensor) -> NDArray[Any]:
    """The same with a contiguous last axis; copied if the tensor has none."""
    return array_of(tensor if tensor.stride(-1) == 1 or tensor.shape[-1] == 1 else tensor.contiguous())


def needs_gradients(*tensors: torch.Tensor) -> bool:
    """Whether torch records gradients, and one of the tensors asks for one."""
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def threads() -> int:
    """As many as torch uses, since attention alternates with torch's own operations."""
    return int(torch.get_num_threads())


def as_autocast(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The tensors in the format of torch.autocast if it is on.

    float64 stays, as in torch's own attention. So do pages: what was written into them had this format.
    """
    if not torch.is_autocast_enabled("cpu"):
        return tensors
    narrow = torch.get_autocast_dtype("cpu")
    return tuple(
        each if each.dtype == torch.float64 or isinstance(each, PagedVectors) else each.to(narrow)
        for each in tensors
    )
