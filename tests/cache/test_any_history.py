"""Any order of appends, attends, forks, truncations and releases, against a dictionary of arrays."""

from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)
from numpy.typing import NDArray

import attnscope as at
from tests.cache.texts import (
    HEADS,
    KEY_DIM,
    KV_HEADS,
    VALUE_DIM,
    as_read,
    cache_of,
    check_pages_add_up,
    poison_unused_slots,
    queries_of,
    tables_of,
    tokens_of,
)

Array = NDArray[Any]
LEFT = 9  # of the second layer's window
WINDOWS = [None, at.Window(left=LEFT, right=0)]


class AnyHistory(RuleBasedStateMachine):
    """The model: for each sequence and layer, all keys and values it was ever given, side by side."""

    sequences: Bundle[int] = Bundle("sequences")
    some: Any = st.lists(sequences, min_size=1, max_size=4).map(lambda drawn: list(dict.fromkeys(drawn)))

    @initialize(
        target=sequences,
        page_tokens=st.sampled_from([1, 7, 16, 64]),
        dtype=st.sampled_from(["float32", "bfloat16", "float16", "int8"]),
        capacity_tokens=st.none() | st.integers(20, 200),
    )
    def start(self, page_tokens: int, dtype: str, capacity_tokens: int | None) -> MultipleResults[int]:
        self.rng = np.random.default_rng(0)
        self.dtype, self.page_tokens, self.capacity = dtype, page_tokens, capacity_tokens
        self.cache = cache_of(
            layers=2, dtype=dtype, page_tokens=page_tokens, capacity_tokens=capacity_tokens, window=WINDOWS
        )
        self.model: dict[int, list[tuple[Array, Array]]] = {}
        self.appended: dict[int, int] = {}  # how many tokens the last append brought
        self.shuffle()
        return multiple(*(self.new_sequence_number() for _ in range(3)))

    def shuffle(self) -> None:
        for layer in self.cache._store.layers:
            self.rng.shuffle(layer.arena._free)

    @rule(target=sequences)
    def new_sequence(self) -> int:
        return self.new_sequence_number()

    def new_sequence_number(self) -> int:
        sequence = self.cache.new_sequence()
        assert sequence not in self.model
        empty = tokens_of(self.rng, 0, self.dtype)
        self.model[sequence] = [empty, empty]
        self.appended[sequence] = 0
        return sequence

    @rule(chosen=some, tokens=st.integers(0, 40), alone=st.booleans())
    def append(self, chosen: list[int], tokens: int, alone: bool) -> None:
        self.append_to(chosen[:1] if alone else chosen, tokens, alone)

    def append_to(self, chosen: list[int], tokens: int, alone: bool) -> None:
        for layer in range(2):
            new = [tokens_of(self.rng, tokens, self.dtype) for _ in chosen]
            key, value = (np.stack(each) for each in zip(*new, strict=True))
            needed = self.more_pages(chosen, layer, tokens)
            try:
                if alone:
                    self.cache.append(chosen[0], layer, key[0], value[0])
                else:
                    self.cache.append(chosen, layer, key, value)
            except at.CacheFullError:
                # copies of shared pages, one a sequence at most, may be needed beside
                assert self.capacity is not None
                assert self.pages_for(self.capacity) - self.pages_held(layer) < needed + len(chosen)
                break
            for s, each in zip(chosen, new, strict=True):
                self.model[s][layer] = tuple(
                    np.concatenate([old, as_read(more, self.dtype)], axis=1)
                    for old, more in zip(self.model[s][layer], each, strict=True)
                )  # type: ignore[assignment]
        else:
            for s in chosen:
                self.appended[s] = tokens or self.appended[s]
        self.even_out(chosen)

    def even_out(self, chosen: list[int]) -> None:
        """What a caller does whose forward pass stopped between two layers."""
        for s in chosen:
            if self.tokens(s, 0) != self.tokens(s, 1):
                self.truncate_to(s, self.cache.tokens(s))
                self.appended[s] = 0

    @rule(data=st.data(), chosen=some, layer=st.integers(0, 1), alone=st.booleans(), one_query=st.booleans())
    def attend(
        self, data: st.DataObject, chosen: list[int], layer: int, alone: bool, one_query: bool
    ) -> None:
        chosen = chosen[:1] if alone else chosen
        most = min(self.most_queries(s, layer) for s in chosen)
        query_len = min(1, most) if one_query else data.draw(st.just(most) | st.integers(0, most))
        query = np.stack([queries_of(self.rng, query_len, self.dtype) for _ in chosen])
        if alone:
            output = self.cache.attend(chosen[0], layer, query[0])[None]
        else:
            output = self.cache.attend(chosen, layer, query)
        for s, each, found in zip(chosen, query, output, strict=True):
            assert found.tobytes() == self.expected(s, layer, each).tobytes()

    @rule(data=st.data(), chosen=some, layer=st.integers(0, 1))
    def attend_with_queries_of_different_number(
        self, data: st.DataObject, chosen: list[int], layer: int
    ) -> None:
        most = [self.most_queries(s, layer) for s in chosen]
        lens = [data.draw(st.just(each) | st.integers(0, each)) for each in most]
        queries = [queries_of(self.rng, query_len, self.dtype) for query_len in lens]
        for s, each, found in zip(chosen, queries, self.cache.attend(chosen, layer, queries), strict=True):
            assert found.tobytes() == self.expected(s, layer, each).tobytes()

    @rule(target=sequences, sequence=sequences, both_write=st.booleans())
    def fork(self, sequence: int, both_write: bool) -> int:
        before = self.cache.bytes_used
        new = self.cache.fork(sequence)
        assert self.cache.bytes_used == before, "a fork takes no page"
        self.model[new] = list(self.model[sequence])
        self.appended[new] = self.appended[sequence]
        for side in (sequence, new)[: 2 if both_write else 0]:
            self.append_to([side], 3, alone=True)
        return new

    @rule(data=st.data(), sequence=sequences)
    def truncate(self, data: st.DataObject, sequence: int) -> None:
        tokens = data.draw(st.integers(0, self.cache.tokens(sequence)))
        tables = zip(self.cache._store.layers, self.cache._store.tables[sequence], strict=True)
        least = [layer.window.least_truncation(table) for layer, table in tables]
        if 0 < tokens < max(least) and tokens < self.cache.tokens(sequence):
            with pytest.raises(at.CacheError, match="has dropped what the next query of sequence"):
                self.cache.truncate(sequence, tokens)
            return
        self.truncate_to(sequence, tokens)
        self.appended[sequence] = 0

    def truncate_to(self, sequence: int, tokens: int) -> None:
        self.cache.truncate(sequence, tokens)
        self.model[sequence] = [(key[:, :tokens], value[:, :tokens]) for key, value in self.model[sequence]]

    @rule(sequence=consumes(sequences))
    def release(self, sequence: int) -> None:
        self.cache.release(sequence)
        del self.model[sequence], self.appended[sequence]
        self.shuffle()
        with pytest.raises(at.CacheError, match=f"sequence {sequence} has been released"):
            self.cache.tokens(sequence)

    @invariant()
    def pages_add_up(self) -> None:
        if hasattr(self, "cache"):
            check_pages_add_up(self.cache)
            poison_unused_slots(self.cache)

    @invariant()
    def every_sequence_holds_what_it_was_given(self) -> None:
        for sequence, layers in getattr(self, "model", {}).items():
            for number, given in enumerate(layers):
                stored = self.cache.stored(sequence, number)
                first = self.cache._store.layers[number].window.first_kept(
                    self.cache._store.tables[sequence][number]
                )
                # what the earliest query that may still come, the first of the last append, can see
                assert first <= max(0, self.tokens(sequence, number) - self.appended[sequence] - LEFT)
                for found, expected in zip(stored, given, strict=True):
                    assert found[:, first:].tobytes() == expected[:, first:].tobytes()
                    assert not found[:, :first].any()

    # What the rules ask the model

    def tokens(self, sequence: int, layer: int) -> int:
        tokens: int = self.model[sequence][layer][0].shape[1]
        assert self.cache.tokens(sequence, layer) == tokens
        return tokens

    def most_queries(self, sequence: int, layer: int) -> int:
        """As many as the last append brought; without a window, as many as there are tokens."""
        return self.tokens(sequence, layer) if layer == 0 else self.appended[sequence]

    def more_pages(self, chosen: list[int], layer: int, tokens: int) -> int:
        lens = [self.tokens(s, layer) for s in chosen]
        return sum(self.pages_for(each + tokens) - self.pages_for(each) for each in lens)

    def pages_for(self, tokens: int) -> int:
        return -(-tokens // self.page_tokens)

    def pages_held(self, layer: int) -> int:
        return len({page for table in tables_of(self.cache)[layer] for page in table.kept})

    def expected(self, sequence: int, layer: int, query: Array) -> Array:
        """The rows of a prefill over the same keys and values, with other queries before these."""
        key, value = self.model[sequence][layer]
        if self.dtype == "int8" or query.shape[1] == 0:
            before = np.zeros((HEADS, 0, KEY_DIM), query.dtype)
        else:
            before = queries_of(self.rng, key.shape[1] - query.shape[1], self.dtype)
        whole = np.concatenate([before, query], axis=1)
        mask = at.Causal() if layer == 0 else at.Window(left=LEFT, right=0)
        rows = at.attention(whole, key, value, mask=mask)[:, before.shape[1] :]
        assert rows.shape == (HEADS, query.shape[1], VALUE_DIM)
        assert key.shape[0] == KV_HEADS
        return np.ascontiguousarray(rows)


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(stateful_step_count=40)
