"""The runs of a model, and which rows of a run continue which earlier ones: beam search reorders them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary, ref

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import Cache

REORDERING = ("reorder_cache", "batch_select_indices")  # methods of a cache that take the rows to continue


@dataclass
class Runs:
    """Every forward pass of a model and its parts, its cache, and how that cache was reordered."""

    caches: list[int | None] = field(default_factory=list)  # by run: the number of its cache
    reorderings: list[tuple[int, int, NDArray[np.intp]]] = field(
        default_factory=list
    )  # runs so far, cache, rows
    numbers: WeakKeyDictionary[Cache, int] = field(default_factory=WeakKeyDictionary)
    followed_caches: int = 0  # those that no longer exist included
    running: dict[torch.nn.Module, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.caches)

    @property
    def last(self) -> int:
        """The number of the last run; one begins here if a part of the model was called by itself."""
        if not self.caches:
            self.caches.append(None)
        return len(self.caches) - 1

    def orders(self) -> list[NDArray[np.intp] | None]:
        """By run: which of its rows each row of the cache continues at the end; None: the same rows."""
        orders: list[NDArray[np.intp] | None] = [None] * len(self.caches)
        later: dict[int, NDArray[np.intp]] = {}
        waiting = list(self.reorderings)
        for run in reversed(range(len(self.caches))):
            while waiting and waiting[-1][0] > run:
                _, cache, rows = waiting.pop()
                later[cache] = rows[later[cache]] if cache in later else rows
            number = self.caches[run]
            orders[run] = None if number is None else later.get(number)
        return orders

    @contextmanager
    def followed(self, models: Sequence[Any]) -> Iterator[None]:
        """Note the runs of these models and the reorderings of their caches within the block."""
        hooks = []
        for model in models:
            hooks.append(model.register_forward_pre_hook(self._begins, with_kwargs=True))
            hooks.append(model.register_forward_hook(self._ends, with_kwargs=True))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
            for cache in self.numbers:
                for name in REORDERING:
                    vars(cache).pop(name, None)

    def _begins(self, model: torch.nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        self.running[model] = len(self.caches)
        self.caches.append(self._number(*args, *kwargs.values()))

    def _ends(self, model: torch.nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        returned = (
            output.values() if isinstance(output, dict) else output if isinstance(output, tuple) else ()
        )
        number = self._number(*returned)
        run = self.running.pop(model)
        if self.caches[run] is None:
            self.caches[run] = number

    def _number(self, *values: Any) -> int | None:
        """The number of the first cache among these values; its reorderings are noted from now on."""
        cache = next((each for each in values if isinstance(each, Cache)), None)
        if cache is None:
            return None
        if cache not in self.numbers:
            self.numbers[cache] = self.followed_caches
            self.followed_caches += 1
            for name in REORDERING:
                self._follow(cache, name)
        return self.numbers[cache]

    def _follow(self, cache: Cache, name: str) -> None:
        """Note the rows that a method of this cache receives; weakly referenced: caches are large."""
        method, of = getattr(type(cache), name), ref(cache)

        def noted(indices: torch.Tensor) -> Any:
            kept = of()
            rows = indices.cpu().numpy().astype(np.intp)
            self.reorderings.append((len(self.caches), self.numbers[kept], rows))
            return method(kept, indices)

        setattr(cache, name, noted)
