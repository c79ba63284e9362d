"""test_any_history, with operations interrupted at a bytecode: each is then either done or not done."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import consumes, invariant, rule

import attnscope as at
from tests.cache.interruptions import Interrupted, Operation
from tests.cache.test_any_history import AnyHistory
from tests.cache.texts import as_read, tokens_of

WHEN = st.integers(0, 40) | st.integers(0, 1200)  # bytecodes until the interruption


class AnyInterruptedHistory(AnyHistory):
    """A caller that is interrupted looks at what the cache has, and goes on from there."""

    def interrupt(self, when: int, operation: Operation) -> bool:
        return Interrupted(when)(operation, self.cache)

    @rule(chosen=AnyHistory.some, tokens=st.integers(1, 40), layer=st.integers(0, 1), when=WHEN)
    def interrupted_append(self, chosen: list[int], tokens: int, layer: int, when: int) -> None:
        new = [tokens_of(self.rng, tokens, self.dtype) for _ in chosen]
        key, value = (np.stack(each) for each in zip(*new, strict=True))
        before = [self.tokens(s, layer) for s in chosen]
        try:
            self.interrupt(when, lambda cache: cache.append(chosen, layer, key, value))
        except at.CacheFullError:
            assert self.capacity is not None
        after = [self.cache.tokens(s, layer) for s in chosen]
        done = after[0] > before[0]
        assert after == [each + tokens * done for each in before], "some of the sequences"
        for s, each in zip(chosen, new, strict=True):
            self.appended[s] = 0  # the window may have given pages back, whether or not tokens were written
            if done:
                self.model[s][layer] = tuple(
                    np.concatenate([old, as_read(more, self.dtype)], axis=1)
                    for old, more in zip(self.model[s][layer], each, strict=True)
                )  # type: ignore[assignment]
        self.even_out(chosen)

    @rule(sequence=AnyHistory.sequences, when=WHEN)
    def interrupted_fork(self, sequence: int, when: int) -> None:
        self.interrupt(when, lambda cache: cache.fork(sequence))
        self.release_the_unknown()

    @rule(when=WHEN)
    def interrupted_new_sequence(self, when: int) -> None:
        self.interrupt(when, lambda cache: cache.new_sequence())
        self.release_the_unknown()

    def release_the_unknown(self) -> None:
        """A number that was made, and not returned, is in the cache's list."""
        unknown = set(self.cache.sequences) - set(self.model)
        assert len(unknown) <= 1
        for sequence in unknown:
            self.cache.release(sequence)

    @rule(sequence=AnyHistory.sequences, less=st.integers(0, 40), when=WHEN)
    def interrupted_truncation(self, sequence: int, less: int, when: int) -> None:
        before = self.cache.tokens(sequence)
        tokens = max(0, before - less)
        tables = zip(self.cache._store.layers, self.cache._store.tables[sequence], strict=True)
        least = max(layer.window.least_truncation(table) for layer, table in tables)
        tokens = max(tokens, least) if less % 3 else 0
        if tokens > before:
            return
        self.interrupt(when, lambda cache: cache.truncate(sequence, tokens))
        after = self.cache.tokens(sequence)
        assert after in (before, tokens)
        if after < before:
            self.model[sequence] = [(key[:, :after], value[:, :after]) for key, value in self.model[sequence]]
        self.appended[sequence] = 0

    @rule(sequence=consumes(AnyHistory.sequences), when=WHEN)
    def interrupted_release(self, sequence: int, when: int) -> None:
        self.interrupt(when, lambda cache: cache.release(sequence))
        if sequence in self.cache.sequences:
            self.cache.release(sequence)
        del self.model[sequence], self.appended[sequence]

    @invariant()
    def no_sequence_is_lost(self) -> None:
        if hasattr(self, "cache"):
            assert set(self.cache.sequences) == set(self.model)


TestAnyInterruptedHistory = AnyInterruptedHistory.TestCase
TestAnyInterruptedHistory.settings = settings(stateful_step_count=40)
