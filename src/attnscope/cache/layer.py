"""One layer of a cache: the arena, and which of its pages each sequence holds."""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.cache.arena import Arena
from attnscope.cache.int8 import dequantize
from attnscope.cache.layout import Layout
from attnscope.cache.writing import write_tokens
from attnscope.errors import CacheError, CacheFullError
from attnscope.kernels import Pages
from attnscope.problem import Window


@dataclass
class Held:
    """What one sequence holds of a layer.

    pages      of each block of page_tokens tokens, in order; of a dropped block, 0, which nobody may read
    dropped    how many blocks at the start are no longer held: no query can see them any more
    """

    tokens: int = 0
    dropped: int = 0
    pages: "array[int]" = field(default_factory=lambda: array("i"))


@dataclass(frozen=True)
class Step:
    """What an append does to one sequence's pages before it writes."""

    held: Held
    out_of_sight: Sequence[int]  # pages that are given back
    shared: int | None  # the page it would go on writing to, if others hold it too
    fresh: int  # pages to take, a copy of the shared one included


class Layer:
    """One arena, and the sequences in it; window.left says how many tokens before its own a query sees."""

    def __init__(self, layout: Layout, most_pages: int | None, window: Window | None) -> None:
        self.layout = layout
        self.left = None if window is None else window.left
        self.arena = Arena(layout, most_pages)
        self.held: dict[int, Held] = {}

    def append(self, sequences: Sequence[int], new: Sequence[NDArray[Any]]) -> None:
        """Write new tokens at the end of each sequence: all of them or, where they do not fit, none.

        Shapes
            new    of each of the arena's arrays: (sequences, kv_heads, tokens, ...)
        Errors
            CacheFullError.
        """
        tokens = new[0].shape[2]
        if not (tokens and sequences):
            return
        held = [self.held[sequence] for sequence in sequences]
        steps = self._plan(held, tokens)
        for step in steps:
            self._let_go(step)
        for step in steps:
            self._take(step)
        write_tokens(self.arena.arrays, new, block_table(held), np.array([each.tokens for each in held]))
        for each in held:
            each.tokens += tokens

    def pages_of(self, sequences: Sequence[int]) -> Pages:
        """Where the tokens of these sequences lie now."""
        held = [self.held[sequence] for sequence in sequences]
        key, value, *scales = self.arena.arrays
        key_scales, value_scales = scales or (None, None)
        key_lens = np.array([each.tokens for each in held], np.int64)
        return Pages(key, value, key_scales, value_scales, block_table(held), key_lens)

    def stored(self, sequence: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """The sequence's keys and values side by side, int8 as float32; zeros where they were dropped."""
        held = self.held[sequence]
        tokens = np.arange(held.tokens)
        pages = np.array(held.pages, np.int64)[tokens // self.layout.page_tokens]
        slots = tokens % self.layout.page_tokens
        key, value, *scales = (array[pages, :, slots].swapaxes(0, 1) for array in self.arena.arrays)
        if scales:
            key, value = dequantize(key, scales[0]), dequantize(value, scales[1])
        for vectors in (key, value):
            vectors[:, : self.first_in_sight(sequence)] = 0
        return key, value

    def fork(self, sequence: int, new: int) -> None:
        held = self.held[sequence]
        self.arena.share(held.pages[held.dropped :])
        self.held[new] = Held(held.tokens, held.dropped, held.pages[:])

    def least_truncation(self, sequence: int) -> int:
        """The fewest tokens that the sequence can be cut back to: what the next query sees must still be held."""
        return self.first_in_sight(sequence) + (self.left or 0) if self.held[sequence].dropped else 0

    def truncate(self, sequence: int, tokens: int) -> None:
        held = self.held[sequence]
        kept = self.layout.blocks_of(tokens)
        self.arena.give_back(held.pages[max(kept, held.dropped) :])
        del held.pages[kept:]
        held.tokens = tokens
        held.dropped = min(held.dropped, kept)  # cut back to nothing, it begins anew

    def release(self, sequence: int) -> None:
        held = self.held.pop(sequence)
        self.arena.give_back(held.pages[held.dropped :])

    def first_in_sight(self, sequence: int) -> int:
        """The first token that is still held."""
        return self.held[sequence].dropped * self.layout.page_tokens

    def check_in_sight(self, sequences: Sequence[int], queries: int, number: int) -> None:
        """Check that so many last queries of each sequence see nothing that was dropped.

        Errors
            CacheError.
        """
        if self.left is None:
            return
        for sequence in sequences:
            position, kept = self.held[sequence].tokens - queries, self.first_in_sight(sequence)
            if max(0, position - self.left) < kept:
                raise CacheError(
                    f"{queries} queries: the first stands at position {position} of sequence {sequence} and sees "
                    f"{self.left} tokens before it, and layer {number} has dropped those before {kept}. "
                    "Attend after each append, with no more queries than it brought."
                )

    def _plan(self, all_held: Sequence[Held], tokens: int) -> list[Step]:
        """What each sequence needs, if anything, and that it is there."""
        letting_go: Counter[int] = Counter()  # holders fewer, page by page, once the plan is done
        steps = []
        for held in all_held:
            out_of_sight = held.pages[held.dropped : self._blocks_out_of_sight(held)]
            for page in out_of_sight:
                letting_go[page] += 1
            shared = held.pages[-1] if held.tokens % self.layout.page_tokens else None
            if shared is not None and self.arena.holders[shared] - letting_go.get(shared, 0) == 1:
                shared = None
            if shared is not None:
                letting_go[shared] += 1
            fresh = self.layout.blocks_of(held.tokens + tokens) - len(held.pages) + (shared is not None)
            if fresh or out_of_sight:
                steps.append(Step(held, out_of_sight, shared, fresh))
        freed = sum(self.arena.holders[page] == count for page, count in letting_go.items())
        needed, left = sum(step.fresh for step in steps), self.arena.pages_left() + freed
        if needed > left:
            raise CacheFullError(
                f"{tokens} more tokens need {needed} pages of {self.layout.page_tokens} tokens, and {left} of the "
                f"{self.arena.pages} are free: nothing was written. Release or truncate a sequence, or make the cache "
                "with more capacity_tokens."
            )
        self.arena.reserve(needed - freed)
        return steps

    def _blocks_out_of_sight(self, held: Held) -> int:
        """How many blocks end before the first token that the next query sees."""
        if self.left is None:
            return held.dropped
        return max(held.dropped, (held.tokens - self.left) // self.layout.page_tokens)

    def _let_go(self, step: Step) -> None:
        held, dropped = step.held, len(step.out_of_sight)
        self.arena.give_back(step.out_of_sight)
        for block in range(held.dropped, held.dropped + dropped):
            held.pages[block] = 0
        held.dropped += dropped

    def _take(self, step: Step) -> None:
        fresh = self.arena.take(step.fresh)
        if step.shared is not None:
            own = fresh.pop()
            self.arena.copy(step.shared, own)
            self.arena.give_back([step.shared])
            step.held.pages[-1] = own
        step.held.pages.extend(fresh)


def block_table(held: Sequence[Held]) -> NDArray[np.int32]:
    """The pages of some sequences, (sequences, most blocks of any)."""
    table = np.zeros((len(held), max([len(each.pages) for each in held], default=0)), np.int32)
    for row, each in zip(table, held, strict=True):
        row[: len(each.pages)] = each.pages
    return table
