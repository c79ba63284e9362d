"""One layer of a cache: which pages each sequence's tokens lie in, and what an append would change."""

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
from attnscope.cache.page_table import PageTable, block_table
from attnscope.cache.writing import write_tokens
from attnscope.errors import CacheError, CacheFullError
from attnscope.kernels import Pages
from attnscope.problem import Window


@dataclass(frozen=True)
class Growth:
    """What an append does to the tables of its sequences, before anything is changed.

    fresh      how many free pages it takes
    steps      for each table that gets pages: its place, how many, and the shared page that the first is a copy of
    """

    fresh: int
    steps: Sequence[tuple[int, int, int | None]]

    @property
    def copied(self) -> list[int]:
        """The shared pages that tables no longer refer to."""
        return [shared for _, _, shared in self.steps if shared is not None]


class Layer:
    """One arena, and how tables in it change; window.left says how many tokens before its own a query sees.

    Methods that return tables change nothing: Store decides which tables count.
    """

    def __init__(self, layout: Layout, most_pages: int | None, window: Window | None) -> None:
        self.layout = layout
        self.left = None if window is None else window.left
        self.arena = Arena(layout, most_pages)

    def in_sight(self, table: PageTable) -> PageTable:
        """The table without the blocks that end before the first token that the next query sees."""
        if self.left is None:
            return table
        dropped = max(table.dropped, (table.tokens - self.left) // self.layout.page_tokens)
        if dropped == table.dropped:
            return table
        return PageTable(table.tokens, dropped, array("i", bytes(4 * dropped)) + table.pages[dropped:])

    def plan(self, tables: Sequence[PageTable], tokens: int, given_back: Iterable[int] = ()) -> Growth:
        """The pages that so many new tokens per sequence need, once references to `given_back` are gone.

        A page that others refer to is copied. Sequences that share a page with each other only, all but one copy it:
        the longest keeps it, so that its new tokens are written behind the tokens of all of them.
        """
        page_tokens = self.layout.page_tokens
        copied = self._copied(tables, given_back)
        steps = []
        for place, (before, _, pages) in enumerate(tables):
            count = -(-(before + tokens) // page_tokens) - len(pages) + (place in copied)
            if count:
                steps.append((place, count, copied.get(place)))
        return Growth(sum(count for _, count, _ in steps), steps)

    def _copied(self, tables: Sequence[PageTable], given_back: Iterable[int]) -> dict[int, int]:
        """The tables whose last page is written to and shared, and this page."""
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
        """How many pages are free once references to these are gone."""
        counts = self.arena.reference_counts
        return sum(counts[page] == count for page, count in Counter(given_back).items())

    def check_room(self, growth: Growth, freed: int, tokens: int) -> None:
        """Check that the pages are there or can be made.

        Errors
            CacheFullError.
        """
        available = self.arena.available_pages() + freed
        if growth.fresh > available:
            raise CacheFullError(
                f"{tokens} more tokens need {growth.fresh} pages of {self.layout.page_tokens} tokens, and {available} of "
                f"the {self.arena.pages} are free: nothing was written. Release or truncate a sequence, or make the "
                "cache with more capacity_tokens."
            )

    def grown(
        self, tables: Sequence[PageTable], growth: Growth, new: Sequence[NDArray[Any]]
    ) -> list[PageTable]:
        """Write new tokens where no table reads, and return the tables that do."""
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

    def pages_of(self, tables: Sequence[PageTable]) -> Pages:
        """Where the tokens of these tables lie."""
        key, value, *scales = self.arena.arrays
        key_scales, value_scales = scales or (None, None)
        key_lens = np.array([table.tokens for table in tables], np.int64)
        return Pages(
            key, value, key_scales, value_scales, block_table([table.pages for table in tables]), key_lens
        )

    def stored(self, table: PageTable) -> tuple[NDArray[Any], NDArray[Any]]:
        """The keys and values side by side, int8 as float32; zeros for those that were dropped."""
        tokens = np.arange(table.tokens)
        pages = np.array(table.pages, np.int64)[tokens // self.layout.page_tokens]
        slots = tokens % self.layout.page_tokens
        key, value, *scales = (array[pages, :, slots].swapaxes(0, 1) for array in self.arena.arrays)
        if scales:
            key, value = dequantize(key, scales[0]), dequantize(value, scales[1])
        for vectors in (key, value):
            vectors[:, : self.first_in_sight(table)] = 0
        return key, value

    def truncated(self, table: PageTable, tokens: int) -> PageTable:
        """The table of the first tokens. Cut back to nothing, it begins anew."""
        kept = self.layout.blocks_of(tokens)
        return PageTable(tokens, min(table.dropped, kept), table.pages[:kept])

    def check_truncation(self, table: PageTable, tokens: int, sequence: int, number: int) -> None:
        """Check that a sequence can be cut back to so many tokens.

        Raises
        ------
        CacheError
            If it has fewer, or if the window has dropped what the next query would see.
        """
        if tokens > table.tokens:
            raise CacheError(
                f"sequence {sequence} has {table.tokens} tokens in layer {number}, expected at least the {tokens} to keep."
            )
        least = min(self.least_truncation(table), table.tokens)
        if 0 < tokens < least:
            raise CacheError(
                f"sequence {sequence} cannot be cut back to {tokens} tokens: the window of layer {number} has dropped "
                f"what the next query would see. Keep {least} or more, or none; or fork() before going on."
            )

    def least_truncation(self, table: PageTable) -> int:
        """The fewest tokens that it can be cut back to: what the next query sees must still be held."""
        return self.first_in_sight(table) + (self.left or 0) if table.dropped else 0

    def first_in_sight(self, table: PageTable) -> int:
        """The first token that is still held."""
        return table.dropped * self.layout.page_tokens

    def check_in_sight(self, table: PageTable, queries: int, sequence: int, number: int) -> None:
        """Check that so many last queries of a sequence see nothing that was dropped.

        Errors
            CacheError.
        """
        if self.left is None:
            return
        position, kept = table.tokens - queries, self.first_in_sight(table)
        if max(0, position - self.left) < kept:
            raise CacheError(
                f"{queries} queries: the first stands at position {position} of sequence {sequence} and sees "
                f"{self.left} tokens before it, and layer {number} has dropped those before {kept}. "
                "Attend after each append, with no more queries than it brought."
            )
