"""An adapter for functions on torch tensors. torch is imported when one is made."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import ml_dtypes
import numpy as np


def torch_function(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function on torch tensors be asked on NumPy arrays.

    Arrays are copied to tensors of the same format, options too; tensors that are returned become arrays. Numbers,
    tuples and None pass as they are. Nothing is recorded for gradients.

    Errors
        ImportError without torch.
    """
    import torch

    def to_torch(given: Any) -> Any:
        if not isinstance(given, np.ndarray):
            return given
        if given.dtype == ml_dtypes.bfloat16:
            return torch.from_numpy(given.astype(np.float32)).to(torch.bfloat16)
        backwards = min(given.strides, default=0) < 0  # which torch does not know
        return torch.from_numpy(given.copy() if backwards else given)

    def to_numpy(returned: Any) -> Any:
        if isinstance(returned, tuple | list):
            return tuple(map(to_numpy, returned))
        return of_tensor(returned.detach().cpu()) if isinstance(returned, torch.Tensor) else returned

    def of_tensor(tensor: Any) -> Any:
        short = tensor.dtype == torch.bfloat16  # which NumPy does not know
        return tensor.float().numpy().astype(ml_dtypes.bfloat16) if short else tensor.numpy()

    @wraps(fn)
    def asked(*arrays: Any, **options: Any) -> Any:
        with torch.no_grad():
            returned = fn(*map(to_torch, arrays), **{name: to_torch(each) for name, each in options.items()})
        return to_numpy(returned)

    return asked
