"""One layer of a cache: what an append needs, and the tables and memory after it."""

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.cache.arena import Arena
from attnscope.cache.int8 import dequantize
from attnscope.cache.layout import Layout
from attnscope.cache.new_tokens import write_tokens
from attnscope.cache.page_table import PageTable, block_table
from attnscope.cache.windows import LayerWindow
from attnscope.errors import CacheFullError
from attnscope.problem import Pages


@dataclass(frozen=True)
class Growth:
    """The pages that an append takes, planned before anything is changed.

    Parameters
    ----------
    fresh : int
        How many free pages it takes.
    steps : sequence of (place, count, shared)
        Per table that gets pages: its place, how many pages, and the shared page of which the first is a
        copy.
    """

    fresh: int
    steps: Sequence[tuple[int, int, int | None]]

    @property
    def copied(self) -> list[int]:
        """The shared pages to which tables no longer refer."""
        return [shared for _, _, shared in self.steps if shared is not None]


class Layer:
    """One arena and its window. Methods that return tables change no table: Store decides which tables count.

    Parameters
    ----------
    layout : Layout
        Sizes of a page.
    most_pages : int or None
        A fixed number of pages, or None for an arena that grows.
    left : int or None
        How many tokens before its own a query sees; None: all.
    """

    def __init__(self, layout: Layout, most_pages: int | None, left: int | None) -> None:
        self.layout = layout
        self.window = LayerWindow(left, layout.page_tokens)
        self.arena = Arena(layout, most_pages)

    def plan(self, tables: Sequence[PageTable], tokens: int, given_back: Iterable[int] = ()) -> Growth:
        """The pages that so many new tokens per sequence need once `given_back` is given back."""
        page_tokens = self.layout.page_tokens
        copied = self._copied(tables, given_back)
        steps = []
        for place, (before, _, pages) in enumerate(tables):
            count = -(-(before + tokens) // page_tokens) - len(pages) + (place in copied)
            if count:
                steps.append((place, count, copied.get(place)))
        return Growth(sum(count for _, count, _ in steps), steps)

    def _copied(self, tables: Sequence[PageTable], given_back: Iterable[int]) -> dict[int, int]:
        """The tables that must copy their last page because others refer to it, and this page.

        If only tables of this call refer to a page, all but one copy it. The longest keeps it, so that its
        new tokens are written behind the tokens of all of them.
        """
        counts, page_tokens = self.arena.reference_counts, self.layout.page_tokens
        shared = [
            place
            for place, (tokens, _, pages) in enumerate(tables)
            if tokens % page_tokens and counts[pages[-1]] > 1
        ]
        copied = {}
        if shared:
            gone = Counter(given_back)
            for place in sorted(shared, key=lambda place: tables[place].tokens):
                last = tables[place].pages[-1]
                if counts[last] - gone[last] > 1:
                    copied[place] = last
                    gone[last] += 1
        return copied

    def freed_by(self, given_back: Sequence[int]) -> int:
        """How many pages are free once these references are removed."""
        counts = self.arena.reference_counts
        return sum(counts[page] == count for page, count in Counter(given_back).items())

    def check_room(self, growth: Growth, freed: int, tokens: int) -> None:
        """Raise CacheFullError unless the pages are free, are about to be freed, or can be made."""
        available = self.arena.available_pages() + freed
        if growth.fresh > available:
            raise CacheFullError(
                f"{tokens} more tokens need {growth.fresh} pages of {self.layout.page_tokens} tokens, and "
                f"{available} of "
                f"the {self.arena.pages} are free: nothing was written. Release or truncate a sequence, or "
                "make the "
                "cache with a larger capacity_tokens."
            )

    def grown(
        self, tables: Sequence[PageTable], growth: Growth, new: Sequence[NDArray[Any]]
    ) -> list[PageTable]:
        """Write new tokens into memory that no table reads, and return tables that read it."""
        fresh = self.arena.next_free(growth.fresh)
        pages = [table.pages for table in tables]
        for place, count, shared in growth.steps:
            taken, fresh = fresh[:count], fresh[count:]
            if shared is None:
                pages[place] = pages[place] + array("i", taken)
            else:
                self.arena.copy(shared, taken[0])
                pages[place] = pages[place][:-1] + array("i", taken)
        page_tokens, tokens = self.layout.page_tokens, new[0].shape[2]
        written = [each[table.tokens // page_tokens :] for table, each in zip(tables, pages, strict=True)]
        first = np.array([table.tokens % page_tokens for table in tables])
        write_tokens(self.arena.arrays, new, block_table(written), first)
        return [
            PageTable(table.tokens + tokens, table.dropped, each)
            for table, each in zip(tables, pages, strict=True)
        ]

    def truncated(self, table: PageTable, tokens: int) -> PageTable:
        """The table of the first tokens. Cut back to nothing, it begins anew."""
        kept = self.layout.blocks_of(tokens)
        return PageTable(tokens, min(table.dropped, kept), table.pages[:kept])

    def pages_of(self, tables: Sequence[PageTable]) -> Pages:
        """The arena, with a block table of these sequences."""
        key, value, *scales = self.arena.arrays
        key_scales, value_scales = scales or (None, None)
        key_lens = np.array([table.tokens for table in tables], np.int64)
        blocks = block_table([table.pages for table in tables])
        return Pages(key, value, key_scales, value_scales, blocks, key_lens)

    def stored(self, table: PageTable) -> tuple[NDArray[Any], NDArray[Any]]:
        """Copies of the keys and values in order, int8 as float32; zeros for those that are dropped."""
        tokens = np.arange(table.tokens)
        pages = np.array(table.pages, np.int64)[tokens // self.layout.page_tokens]
        slots = tokens % self.layout.page_tokens
        key, value, *scales = (array[pages, :, slots].swapaxes(0, 1) for array in self.arena.arrays)
        if scales:
            key, value = dequantize(key, scales[0]), dequantize(value, scales[1])
        for vectors in (key, value):
            vectors[:, : self.window.first_kept(table)] = 0
        return key, value
