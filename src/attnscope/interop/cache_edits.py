"""Report changes of Transformers' caches by wrapping the methods that reorder rows or remove tokens.

They are wrapped in the classes: a copy of a cache would keep what is wrapped in the cache itself.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch
from transformers import Cache

REORDERING = ("reorder_cache", "batch_select_indices")  # methods that take the rows to continue
SHORTENING = "crop"

Follower = Callable[[Cache, torch.Tensor | None], None]  # called with the rows, or None after a crop
_followers: list[Follower] = []
_wrapped: list[tuple[Any, str, Any]] = []
_changing: set[int] = set()  # caches in whose method we are: one may call that of its parent class


@contextmanager
def followed_edits(follower: Follower) -> Iterator[None]:
    """Call the follower after each change of a cache within the block."""
    if not _followers:
        _wrap_all(Cache)
    _followers.append(follower)
    try:
        yield
    finally:
        _followers.remove(follower)
        if not _followers:
            while _wrapped:
                kind, name, method = _wrapped.pop()
                setattr(kind, name, method)


def _wrap_all(kind: Any) -> None:
    for name in (*REORDERING, SHORTENING):
        if name in vars(kind):
            method = vars(kind)[name]
            _wrapped.append((kind, name, method))
            setattr(kind, name, _followed(method, name))
    for each in kind.__subclasses__():
        _wrap_all(each)


def _followed(method: Any, name: str) -> Any:
    @wraps(method)
    def changed(cache: Cache, given: Any) -> Any:
        if id(cache) in _changing:
            return method(cache, given)
        _changing.add(id(cache))
        try:
            returned = method(cache, given)
        finally:
            _changing.remove(id(cache))
        for follower in tuple(_followers):
            follower(cache, None if name == SHORTENING else given)
        return returned

    return changed
