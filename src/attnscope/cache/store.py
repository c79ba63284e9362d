"""All sequences of a cache, and the order in which a change takes effect.

The page tables are the truth. They are immutable, and one assignment moves the sequences of a call from one
state to the next, in all their layers. Memory that a table reads is not written before this assignment.
Reference counts follow from the tables. An exception between two steps, such as KeyboardInterrupt or
MemoryError, leaves the tables before or after the change, and `_counted` False: the next operation counts
references again.
"""

import os
from collections.abc import Sequence
from threading import RLock
from typing import Any
from weakref import WeakSet

from numpy.typing import NDArray

from attnscope.arguments import whole_number
from attnscope.cache.layer import Growth, Layer
from attnscope.cache.layout import Layout
from attnscope.cache.page_table import EMPTY, PageTable
from attnscope.errors import CacheError
from attnscope.problem import Window

Tables = tuple[PageTable, ...]  # of one sequence, one per layer


class Store:
    """The layers of a cache, and the page tables of its sequences. The caller holds the lock.

    Parameters
    ----------
    layout : Layout
        Sizes of a page, the same in all layers.
    most_pages : int or None
        A fixed number of pages per layer, or None for arenas that grow.
    windows : sequence of Window or None
        The window of each layer.
    """

    def __init__(self, layout: Layout, most_pages: int | None, windows: Sequence[Window | None]) -> None:
        lefts = [None if window is None else window.left for window in windows]
        self.layers = [Layer(layout, most_pages, left) for left in lefts]
        self.tables: dict[int, Tables] = {}
        self.numbers_used = 0  # a number is not given twice
        self.drops_unseen = True  # whether append() gives back what a window has left behind
        self.lock = RLock()
        self._counted = True  # whether reference counts are those of the tables
        _stores.add(self)

    def add(self) -> int:
        """Make an empty sequence and return its number."""
        number = self._new_number()
        self.tables[number] = (EMPTY,) * len(self.layers)
        return number

    def fork(self, old: int) -> int:
        self.settle()
        new, tables = self._new_number(), self.tables[old]
        self._counted = False
        self.tables[new] = tables
        for layer, table in zip(self.layers, tables, strict=True):
            layer.arena.add_references(table.kept)
        self._counted = True
        return new

    def truncate(self, sequence: int, tokens: int) -> None:
        """Keep the first tokens of each layer.

        Raises
        ------
        CacheError
            If a layer has fewer, or has dropped what the next query would see.
        """
        self.settle()
        old = self.tables[sequence]
        for number, (layer, table) in enumerate(zip(self.layers, old, strict=True)):
            layer.window.check_truncation(table, tokens, sequence, number)
        new = tuple(layer.truncated(table, tokens) for layer, table in zip(self.layers, old, strict=True))
        self._counted = False
        self.tables[sequence] = new
        for layer, before, after in zip(self.layers, old, new, strict=True):
            layer.arena.remove_references(before.pages[max(len(after.pages), before.dropped) :])
        self._counted = True

    def release(self, sequence: int) -> None:
        self.settle()
        tables = self.tables[sequence]
        self._counted = False
        del self.tables[sequence]
        for layer, table in zip(self.layers, tables, strict=True):
            layer.arena.remove_references(table.kept)
        self._counted = True

    def append(self, sequences: Sequence[int], number: int, new: Sequence[NDArray[Any]]) -> None:
        """Add tokens to one layer: one or more, as many for each sequence.

        If the free pages do not suffice, a step before gives back the pages that the window has left behind.

        Raises
        ------
        CacheFullError
            If pages do not suffice either way. Nothing was changed.
        """
        self.settle()
        layer, tokens = self.layers[number], new[0].shape[2]
        tables, given_back = self._without_unseen(sequences, number)
        growth = layer.plan(tables, tokens)
        if growth.fresh > layer.arena.free_pages:
            growth, freed = self._plan_with(layer, tables, tokens, given_back)
            self._counted = False
            layer.arena.reserve(growth.fresh - freed)
            self._put(sequences, number, tables)
            layer.arena.remove_references(given_back)
            self._counted = True
            given_back = []
        grown = layer.grown(tables, growth, new)
        if not growth.fresh and not given_back:
            self._put(sequences, number, grown)
            return
        self._counted = False
        self._put(sequences, number, grown)
        layer.arena.take(growth.fresh)
        layer.arena.remove_references([*given_back, *growth.copied])
        self._counted = True

    def check_room(self, sequences: Sequence[int], number: int, tokens: int) -> None:
        """Raise CacheFullError if append() would; change nothing."""
        self.settle()
        tables, given_back = self._without_unseen(sequences, number)
        self._plan_with(self.layers[number], tables, tokens, given_back)

    def _without_unseen(
        self, sequences: Sequence[int], number: int
    ) -> tuple[Sequence[PageTable], Sequence[int]]:
        """The tables of one layer without what its window has left behind, and the pages given back."""
        layer, old = self.layers[number], [self.tables[sequence][number] for sequence in sequences]
        if layer.window.left is None or not self.drops_unseen:
            return old, []
        kept = [layer.window.without_unseen(table) for table in old]
        return kept, pages_between(old, kept)

    @staticmethod
    def _plan_with(
        layer: Layer, tables: Sequence[PageTable], tokens: int, given_back: Sequence[int]
    ) -> tuple[Growth, int]:
        """The plan of an append once pages are given back, and how many that frees; checked for room."""
        growth, freed = layer.plan(tables, tokens, given_back), layer.freed_by(given_back)
        layer.check_room(growth, freed, tokens)
        return growth, freed

    def known(self, sequences: Sequence[Any]) -> list[int]:
        """The sequences as ints; raise CacheError unless each exists, and is named once."""
        known = [
            each if type(each) is int else whole_number(each, "sequence", error=CacheError)
            for each in sequences
        ]
        for number in known:
            if number not in self.tables:
                was = "has been released" if 0 <= number < self.numbers_used else "was never made"
                raise CacheError(f"sequence {number} {was}: expected a number from new_sequence() or fork().")
        if len(set(known)) < len(known):
            twice = next(number for number in known if known.count(number) > 1)
            raise CacheError(f"sequence {twice} is named twice in one call. fork() makes a second one of it.")
        return known

    def layer_number(self, layer: Any) -> int:
        number = whole_number(layer, "layer", error=CacheError)
        if not 0 <= number < len(self.layers):
            raise CacheError(f"layer={number}: expected 0 to {len(self.layers) - 1}.")
        return number

    def settle(self) -> None:
        """Count references again if a change was interrupted."""
        if not self._counted:
            for number, layer in enumerate(self.layers):
                layer.arena.recount(tables[number].kept for tables in self.tables.values())
            self._counted = True

    def start_again_after_fork(self) -> None:
        """In a child process, the thread that held the lock does not exist: its change is interrupted."""
        self.lock = RLock()
        self._counted = False

    def _put(self, sequences: Sequence[int], number: int, tables: Sequence[PageTable]) -> None:
        """Replace the tables of some sequences in one layer, all in one step."""
        self.tables.update({
            sequence: (*self.tables[sequence][:number], table, *self.tables[sequence][number + 1 :])
            for sequence, table in zip(sequences, tables, strict=True)
        })

    def _new_number(self) -> int:
        self.numbers_used += 1
        return self.numbers_used - 1


def pages_between(old: Sequence[PageTable], new: Sequence[PageTable]) -> list[int]:
    """The pages that old tables refer to and new ones have dropped."""
    return [
        page
        for before, after in zip(old, new, strict=True)
        if after is not before
        for page in before.pages[before.dropped : after.dropped]
    ]


_stores: WeakSet[Store] = WeakSet()


def _after_fork_in_child() -> None:
    for store in _stores:
        store.start_again_after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork_in_child)
