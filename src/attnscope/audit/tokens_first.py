"""An adapter for functions whose arrays are [batch, tokens, heads, dim]."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from numpy.typing import NDArray


def tokens_first(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function on [batch, tokens, heads, dim] be asked on [batch, heads, tokens, dim].

    query, key, value, the gradient of the output and what is returned change their middle axes; options and the log
    normalizer stay as the contract has them.

    >>> import numpy as np
    >>> swapped = tokens_first(lambda query, key, value: value)
    >>> swapped(*np.zeros((3, 1, 2, 5, 4))).shape
    (1, 2, 5, 4)
    """

    @wraps(fn)
    def asked(*arrays: NDArray[Any], **options: Any) -> Any:
        returned = fn(*(array.swapaxes(1, 2) for array in arrays), **options)
        if isinstance(returned, tuple | list):
            return tuple(_swapped(part) for part in returned)
        return _swapped(returned)

    return asked


def _swapped(part: Any) -> Any:
    """Whatever array it is: the audit, too, takes any that NumPy can read."""
    return part.swapaxes(1, 2) if getattr(part, "ndim", None) == 4 else part
