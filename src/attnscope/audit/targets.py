"""Targets of the command line: functions by name, adapters, contracts from files."""

import importlib
import importlib.util
import json
import sys
import tomllib
from collections.abc import Callable, Mapping
from functools import partial, wraps
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from attnscope.audit.contract import CALLABLES, Contract, ContractError
from attnscope.probing import error_in_words, message_of

MOST_BYTES = 1_000_000  # of a contract's file
TORCH_ADAPTER = "attnscope.interop.torch:scaled_dot_product_attention"
# Functions with other arguments than those of a contract, and their adapters.
ADAPTED = {
    "torch:sdpa": TORCH_ADAPTER,
    "torch.nn.functional:scaled_dot_product_attention": TORCH_ADAPTER,
    "jax.nn:dot_product_attention": "attnscope.interop.jax:dot_product_attention",
    "torch.nn:MultiheadAttention": "attnscope.interop.torch:MultiHeadAttention",
}


class TargetError(ContractError):
    """Raised if a target cannot be found or imported."""


def load_target(target: str) -> Callable[..., Any]:
    """The function that "module:function" or "file.py:function" names; an instance if it names a class.

    >>> load_target("attnscope:attention").__name__
    'attention'
    """
    place, colon, path = ADAPTED.get(target, target).partition(":")
    if not (place and colon and path):
        raise TargetError(f"target {target!r}: expected module:function, or file.py:function.")
    found: Any = module_of(place)
    try:
        for name in path.split("."):
            found = getattr(found, name)
    except AttributeError:
        raise TargetError(f"target {target!r}: {place} has no {path!r}.") from None
    if isinstance(found, type):
        found = loaded(f"target {target!r}", "made", found)
    if not callable(found):
        raise TargetError(f"target {target!r}: expected a function, got a {type(found).__name__}.")
    function: Callable[..., Any] = found
    return function


def module_of(place: str) -> Any:
    """Import a module by its name or its file; the current folder is searched first."""
    if place.endswith(".py"):
        return module_of_file(Path(place))
    if "" not in sys.path:
        sys.path.insert(0, "")
    return loaded(place, "imported", lambda: importlib.import_module(place))


def module_of_file(path: Path) -> Any:
    """Import a file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise TargetError(f"{path} is no file that could be imported.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    loaded(str(path), "imported", partial(spec.loader.exec_module, module))
    return module


def loaded(place: str, done: str, work: Callable[[], Any]) -> Any:
    """Run code of a target that is loaded; TargetError for whatever it raises."""
    try:
        return work()
    except ImportError as error:
        raise TargetError(f"{place} cannot be {done}: {message_of(error)}") from error
    except (Exception, SystemExit) as error:
        raise TargetError(f"{place} cannot be {done}: it raises {error_in_words(error)}") from error


def tokens_first(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Adapt a function on [batch, tokens, heads, dim] to arrays [batch, heads, tokens, dim].

    Parameters
    ----------
    fn : callable
        Takes query, key and value, or these and the gradient of the output, as [batch, tokens, heads, dim].

    Returns
    -------
    callable
        The same function with the two middle axes of all arrays exchanged; options and logsumexp are
        unchanged.

    Examples
    --------
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
    """Exchange the middle axes of any kind of array that NumPy can read."""
    return part.swapaxes(1, 2) if getattr(part, "ndim", None) == 4 else part


def torch_function(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Adapt a function on torch tensors to NumPy arrays.

    Parameters
    ----------
    fn : callable
        Takes and returns tensors; numbers, tuples and None are passed unchanged.

    Returns
    -------
    callable
        The same function on arrays, which are copied to tensors of the same format, without recording
        gradients.

    Raises
    ------
    ImportError
        If torch is not installed.
    """
    import torch

    def to_torch(given: Any) -> Any:
        if not isinstance(given, np.ndarray):
            return given
        if given.dtype == ml_dtypes.bfloat16:
            return torch.from_numpy(given.astype(np.float32)).to(torch.bfloat16)
        backwards = min(given.strides, default=0) < 0  # torch has no negative strides
        return torch.from_numpy(given.copy() if backwards else given)

    def to_numpy(returned: Any) -> Any:
        if isinstance(returned, tuple | list):
            return tuple(map(to_numpy, returned))
        return of_tensor(returned.detach().cpu()) if isinstance(returned, torch.Tensor) else returned

    def of_tensor(tensor: Any) -> Any:
        short = tensor.dtype == torch.bfloat16  # NumPy has no bfloat16 of its own
        return tensor.float().numpy().astype(ml_dtypes.bfloat16) if short else tensor.numpy()

    @wraps(fn)
    def asked(*arrays: Any, **options: Any) -> Any:
        with torch.no_grad():
            returned = fn(*map(to_torch, arrays), **{name: to_torch(each) for name, each in options.items()})
        return to_numpy(returned)

    return asked


def adapted(fn: Callable[..., Any], *, on_tensors: bool, heads_last: bool) -> Callable[..., Any]:
    """Adapt a function on torch tensors, or on [batch, tokens, heads, dim], to the usual arrays."""
    fn = torch_function(fn) if on_tensors else fn
    return tokens_first(fn) if heads_last else fn


def claims_of_file(path: Path) -> dict[str, Any]:
    """The fields of a contract from a TOML or JSON file; ContractError for another or an unreadable file."""
    readers: dict[str, Callable[[str], Any]] = {".toml": tomllib.loads, ".json": json.loads}
    if path.suffix not in readers:
        raise ContractError(f"{path}: expected a .toml or a .json file.")
    if not path.is_file() or path.stat().st_size > MOST_BYTES:
        raise ContractError(f"{path}: expected a file of at most {MOST_BYTES} bytes.")
    try:
        claims = readers[path.suffix](path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ContractError(f"{path} cannot be read: {error}") from error
    if not isinstance(claims, dict):
        raise ContractError(f"{path}: expected fields of a contract, such as causal = true.")
    return claims


def contract_for(function: Callable[..., Any], *claims: Mapping[str, Any]) -> Contract:
    """A function's own `contract`, if it has one, changed by further claims, of which later ones win.

    `gradients` and `cache` may be named like targets.
    """
    own = getattr(function, "contract", None)
    joined = (
        {name: getattr(own, name) for name in Contract.__dataclass_fields__}
        if isinstance(own, Contract)
        else {}
    )
    for each in claims:
        joined |= each
    for name in CALLABLES:
        if isinstance(joined.get(name), str):
            joined[name] = load_target(joined[name])
    return Contract.of(joined)
