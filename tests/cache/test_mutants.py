"""Caches that are wrong in one step: the machine of test_any_history must catch each."""

from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from numpy.typing import NDArray

from attnscope.cache import Pages, layer, store
from attnscope.cache.arena import Arena
from attnscope.cache.layer import Growth, Layer
from attnscope.cache.page_table import EMPTY, PageTable
from attnscope.cache.windows import LayerWindow
from attnscope.errors import CacheError, CacheFullError
from tests.cache.test_any_history import AnyHistory


class WritesIntoSharedPages(Layer):
    def plan(self, tables: Sequence[PageTable], tokens: int, given_back: Iterable[int] = ()) -> Growth:
        growth = super().plan(tables, tokens, given_back)
        steps = [(place, count - (shared is not None), None) for place, count, shared in growth.steps]
        return Growth(sum(count for _, count, _ in steps), steps)


class ForkCountsNoReference(Arena):
    def add_references(self, pages: Iterable[int]) -> None:
        pass


class TablesThatChangeInPlace(Layer):
    """Both sides of a fork continue in one list of pages."""

    def grown(
        self, tables: Sequence[PageTable], growth: Growth, new: Sequence[NDArray[Any]]
    ) -> list[PageTable]:
        grown = super().grown(tables, growth, new)
        for before, after in zip(tables, grown, strict=True):
            if before is not EMPTY:
                before.pages[:] = after.pages
        return grown


class CopyOnWriteKeepsTheOldPage(Growth):
    @property
    def copied(self) -> list[int]:
        return []


class TruncateKeepsPages(Layer):
    def truncated(self, table: PageTable, tokens: int) -> PageTable:
        return table._replace(tokens=tokens)


class ReleaseKeepsPages(Arena):
    def remove_references(self, pages: Iterable[int]) -> None:
        if not isinstance(pages, array):
            super().remove_references(pages)


class WindowOneTokenShort(LayerWindow):
    def without_unseen(self, table: PageTable) -> PageTable:
        return super().without_unseen(table._replace(tokens=table.tokens + 1))._replace(tokens=table.tokens)


class WindowCountsTheNewTokens(LayerWindow):
    """Pages are given back that the first of the new queries still sees."""

    def without_unseen(self, table: PageTable) -> PageTable:
        return super().without_unseen(table._replace(tokens=table.tokens + 9))._replace(tokens=table.tokens)


class WindowKeepsWhatItDrops(Arena):
    """The table no longer refers to the pages, but the arena counts them."""

    def remove_references(self, pages: Iterable[int]) -> None:
        super().remove_references(pages if isinstance(pages, array) else [])


class FullAfterAHalf(Layer):
    """The tokens that still fit are written before the error."""

    def check_room(self, growth: Growth, freed: int, tokens: int) -> None:
        try:
            super().check_room(growth, freed, tokens)
        except CacheFullError:
            self.arena.arrays[0][:] = 0
            raise


class LengthOfTheFirstSequence(Layer):
    def pages_of(self, tables: Sequence[PageTable]) -> Pages:
        pages = super().pages_of(tables)
        lens = pages.key_lens.copy()
        lens[:] = [min(lens[0], len(table.pages) * self.layout.page_tokens) for table in tables]
        return pages._replace(key_lens=lens)


MUTANTS = [
    (store, "Layer", WritesIntoSharedPages),
    (layer, "Arena", ForkCountsNoReference),
    (store, "Layer", TablesThatChangeInPlace),
    (layer, "Growth", CopyOnWriteKeepsTheOldPage),
    (store, "Layer", TruncateKeepsPages),
    (layer, "Arena", ReleaseKeepsPages),
    (layer, "LayerWindow", WindowOneTokenShort),
    (layer, "LayerWindow", WindowCountsTheNewTokens),
    (layer, "Arena", WindowKeepsWhatItDrops),
    (store, "Layer", FullAfterAHalf),
    (store, "Layer", LengthOfTheFirstSequence),
]


@pytest.mark.parametrize(("module", "name", "mutant"), MUTANTS)
def test_the_machine_catches(module: Any, name: str, mutant: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, name, mutant)
    unshrunk = settings(
        max_examples=400,
        stateful_step_count=30,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    with pytest.raises((AssertionError, CacheError)):  # wrong, or it refuses what it must be able to do
        run_state_machine_as_test(AnyHistory, settings=unshrunk)
