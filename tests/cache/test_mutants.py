"""Caches that are wrong in one step: the machine of test_any_history must catch each."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from numpy.typing import NDArray

from attnscope.cache import kv_cache
from attnscope.cache.layer import Held, Layer, Step
from attnscope.errors import CacheError, CacheFullError
from attnscope.kernels import Pages
from tests.cache.test_any_history import AnyHistory


class WritesIntoSharedPages(Layer):
    def _plan(self, all_held: Sequence[Held], tokens: int) -> list[Step]:
        return [
            Step(step.held, step.out_of_sight, None, step.fresh - (step.shared is not None))
            for step in super()._plan(all_held, tokens)
        ]


class ForkCountsNoHolder(Layer):
    def fork(self, sequence: int, new: int) -> None:
        held = self.held[sequence]
        self.held[new] = Held(held.tokens, held.dropped, held.pages[:])


class ForkSharesTheTable(Layer):
    """Both sides go on in one list of pages."""

    def fork(self, sequence: int, new: int) -> None:
        super().fork(sequence, new)
        self.held[new].pages = self.held[sequence].pages


class CopyOnWriteKeepsTheOldPage(Layer):
    def _take(self, step: Step) -> None:
        if step.shared is not None:
            self.arena.share([step.shared])
        super()._take(step)


class TruncateKeepsPages(Layer):
    def truncate(self, sequence: int, tokens: int) -> None:
        self.held[sequence].tokens = tokens


class ReleaseKeepsPages(Layer):
    def release(self, sequence: int) -> None:
        del self.held[sequence]


class WindowOneTokenShort(Layer):
    def _blocks_out_of_sight(self, held: Held) -> int:
        if self.left is None:
            return held.dropped
        return max(held.dropped, (held.tokens - self.left + 1) // self.layout.page_tokens)


class WindowCountsTheNewTokens(Layer):
    """Pages go that the first of the new queries still sees."""

    def append(self, sequences: Sequence[int], new: Sequence[NDArray[Any]]) -> None:
        tokens = new[0].shape[2]
        self.left = None if self.left is None else self.left - tokens
        super().append(sequences, new)
        self.left = None if self.left is None else self.left + tokens


class WindowKeepsWhatItDrops(Layer):
    def _let_go(self, step: Step) -> None:
        self.arena.share(step.out_of_sight)
        super()._let_go(step)


class FullAfterAHalf(Layer):
    """The tokens that still fit are written before the error."""

    def append(self, sequences: Sequence[int], new: Sequence[NDArray[Any]]) -> None:
        try:
            super().append(sequences, new)
        except CacheFullError:
            super().append(sequences, [each[:, :, :1] for each in new])
            raise


class LengthOfTheFirstSequence(Layer):
    def pages_of(self, sequences: Sequence[int]) -> Pages:
        pages = super().pages_of(sequences)
        lens = pages.key_lens.copy()
        lens[:] = [min(lens[0], len(self.held[each].pages) * self.layout.page_tokens) for each in sequences]
        return pages._replace(key_lens=lens)


MUTANTS = [
    WritesIntoSharedPages,
    ForkCountsNoHolder,
    ForkSharesTheTable,
    CopyOnWriteKeepsTheOldPage,
    TruncateKeepsPages,
    ReleaseKeepsPages,
    WindowOneTokenShort,
    WindowCountsTheNewTokens,
    WindowKeepsWhatItDrops,
    FullAfterAHalf,
    LengthOfTheFirstSequence,
]


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_machine_catches(mutant: type[Layer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kv_cache, "Layer", mutant)
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
