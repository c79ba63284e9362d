"""The runs of a model, and which of their rows and tokens its cache still holds at the end.

Beam search reorders the rows of a cache, assisted decoding removes tokens that were not accepted.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import Cache

from attnscope.interop.cache_edits import followed_edits


class Run(NamedTuple):
    """A forward pass: the number of its cache, how many tokens that already held, and the input tokens."""

    cache: int | None
    start: int
    tokens: torch.Tensor | None


class Edit(NamedTuple):
    """A change of a cache after so many runs: the rows that its rows continue, or its new length."""

    runs: int
    cache: int
    rows: NDArray[np.intp] | None
    length: int


class Kept(NamedTuple):
    """What a cache keeps of a run: the rows that its rows continue, and the number of tokens; None: all."""

    rows: NDArray[np.intp] | None
    tokens: int | None


@dataclass
class Runs:
    """Every forward pass of a model and its parts with its cache, and the changes of caches between them."""

    runs: list[Run] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    numbers: WeakKeyDictionary[Cache, int] = field(default_factory=WeakKeyDictionary)
    followed_caches: int = 0  # those that no longer exist included
    running: list[int] = field(default_factory=list)  # a run and those within it

    def __len__(self) -> int:
        return len(self.runs)

    def __getitem__(self, number: int) -> Run:
        return self.runs[number]

    @property
    def current(self) -> int:
        """The number of the innermost run; one begins here if a part of the model was called by itself."""
        if not self.running:
            self.runs.append(Run(None, 0, None))
        return self.running[-1] if self.running else len(self.runs) - 1

    def kept(self) -> list[Kept]:
        """By run, what the caches hold at the end."""
        kept = []
        later: dict[int | None, Kept] = {}
        waiting = list(self.edits)
        for number, run in reversed(list(enumerate(self.runs))):
            while waiting and waiting[-1].runs > number:
                edit = waiting.pop()
                rows, length = later.get(edit.cache, Kept(None, None))
                if edit.rows is None:
                    length = edit.length if length is None else min(length, edit.length)
                else:
                    rows = edit.rows if rows is None else edit.rows[rows]
                later[edit.cache] = Kept(rows, length)
            rows, length = Kept(None, None) if run.cache is None else later.get(run.cache, Kept(None, None))
            kept.append(Kept(rows, None if length is None else max(0, length - run.start)))
        return kept[::-1]

    def is_repeated(self, number: int, later: int) -> bool:
        """Whether a later run read the same tokens and more, both without a cache."""
        first, second = self.runs[number], self.runs[later]
        if first.tokens is None or second.tokens is None or not first.cache is second.cache is None:
            return False
        length = first.tokens.shape[1]
        longer = second.tokens.shape[1] > length
        return longer and bool(torch.equal(first.tokens, second.tokens[:, :length]))

    @contextmanager
    def followed(self, models: Sequence[Any]) -> Iterator[None]:
        """Note the runs of these models and the changes of their caches within the block."""
        hooks = []
        for model in models:
            hooks.append(model.register_forward_pre_hook(OfThisModel(self._begins), with_kwargs=True))
            ends = OfThisModel(self._ends)
            hooks.append(model.register_forward_hook(ends, with_kwargs=True, always_call=True))
        try:
            with followed_edits(self._edited):
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def _begins(self, model: torch.nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        cache = _cache_among(*args, *kwargs.values())
        given = kwargs.get("input_ids", args[0] if args else None)
        if not isinstance(given, torch.Tensor) or given.ndim != 2 or given.is_floating_point():
            given = self.runs[self.running[-1]].tokens if self.running else None
        self.running.append(len(self.runs))
        self.runs.append(Run(self._number(cache), _length(cache), given))

    def _ends(self, model: torch.nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        number = self.running.pop()
        values = output.values() if isinstance(output, dict) else output if isinstance(output, tuple) else ()
        if self.runs[number].cache is None:
            self.runs[number] = self.runs[number]._replace(cache=self._number(_cache_among(*values)))

    def _number(self, cache: Cache | None) -> int | None:
        if cache is None:
            return None
        if cache not in self.numbers:
            self.numbers[cache] = self.followed_caches
            self.followed_caches += 1
        return self.numbers[cache]

    def _edited(self, cache: Cache, rows: torch.Tensor | None) -> None:
        number = self.numbers.get(cache)
        if number is not None:
            chosen = None if rows is None else rows.cpu().numpy().astype(np.intp)
            self.edits.append(Edit(len(self.runs), number, chosen, _length(cache)))


class OfThisModel:
    """A hook that does nothing in a deepcopy() of the model, which copies its hooks."""

    def __init__(self, noted: Any) -> None:
        self.noted = noted

    def __call__(self, *given: Any) -> None:
        self.noted(*given)

    def __deepcopy__(self, _: Any) -> Any:
        return nothing


def nothing(*_: Any) -> None:
    """A hook without effect."""


def _cache_among(*values: Any) -> Cache | None:
    return next((each for each in values if isinstance(each, Cache)), None)


def _length(cache: Cache | None) -> int:
    try:
        return 0 if cache is None else int(cache.get_seq_length())
    except ValueError:  # of layers that count no tokens
        return 0
