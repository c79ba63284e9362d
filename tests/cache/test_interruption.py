"""An exception at any bytecode of an operation leaves a cache that was either changed or not, and that works.

A signal handler may raise between any two bytecodes, and a MemoryError at most of them. Here a tracer raises
at each.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import attnscope as at
from attnscope.cache import layer as layer_file
from attnscope.cache.store import Store
from tests.cache import interruptions
from tests.cache.interruptions import Interrupted, Operation
from tests.cache.texts import (
    HEADS,
    cache_of,
    check_pages_add_up,
    poison_unused_slots,
    tokens_of,
)

LEFT = 5  # of the second layer's window
Contents = dict[int, list[list[bytes]]]


@dataclass
class Saved:
    """A cache's state, to return to: an operation is interrupted at each of its bytecodes in turn."""

    cache: at.KVCache

    def __post_init__(self) -> None:
        cache = self.cache
        self.tables, self.number = dict(cache._store.tables), cache._store.numbers_used
        self.arenas = [
            (copies(layer.arena.arrays), list(layer.arena.reference_counts), list(layer.arena._free))
            for layer in cache._store.layers
        ]

    def restore(self) -> None:
        cache = self.cache
        cache._store.tables, cache._store.numbers_used = dict(self.tables), self.number
        cache._store._counted = True
        for layer, (arrays, counts, free) in zip(cache._store.layers, self.arenas, strict=True):
            layer.arena.arrays = copies(arrays)
            layer.arena.reference_counts, layer.arena._free = list(counts), list(free)


def copies(arrays: tuple[NDArray[Any], ...]) -> tuple[NDArray[Any], ...]:
    return tuple(array.copy(order="K") for array in arrays)


def contents(cache: at.KVCache) -> Contents:
    """All that the cache stores, and that can be read."""
    return {
        sequence: [[array.tobytes() for array in cache.stored(sequence, number)] for number in range(2)]
        for sequence in cache.sequences
    }


def without_what_no_later_query_sees(cache: at.KVCache) -> Contents:
    """What is left if an append has given pages back, and has not written."""
    before = cache._store.tables
    layer = cache._store.layers[1]
    cache._store.tables = {
        each: (first, layer.window.without_unseen(second)) for each, (first, second) in before.items()
    }
    try:
        return contents(cache)
    finally:
        cache._store.tables = before


def interrupt_everywhere(cache: at.KVCache, operation: Operation, *, spare_pages: bool = True) -> int:
    """Interrupt an operation at each bytecode, and look at the cache afterwards; the number of bytecodes."""
    saved, old = Saved(cache), contents(cache)
    allowed = [old] if spare_pages else [old, without_what_no_later_query_sees(cache)]
    operation(cache)
    new = contents(cache)
    when = 0
    while True:
        saved.restore()
        interrupted = Interrupted(when)
        if not interrupted(operation, cache):
            assert contents(cache) == new
            return when
        check_pages_add_up(cache)
        poison_unused_slots(cache)
        found = contents(cache)
        assert found in [*allowed, new], interrupted.at_instruction
        if found != new and len(new) == len(old):
            operation(cache)  # what was not done can be done now
            assert contents(cache) == new
        if when % 8 == 0:
            use(cache)
        when += 1


def use(cache: at.KVCache) -> None:
    """Operations that come later, and that all must work: none of them needs a new page."""
    for sequence in cache.sequences:
        for number in range(2):
            tokens = cache.tokens(sequence, number)
            query = np.ones((HEADS, min(1, tokens), 12), np.float32)
            output = cache.attend(sequence, number, query)
            key, value = cache.stored(sequence, number)
            mask = at.Causal() if number == 0 else at.Window(left=LEFT, right=0)
            assert output.tobytes() == at.attention(query, key, value, mask=mask).tobytes()
    for sequence in cache.sequences[1:]:
        cache.release(sequence)
    cache.fork(cache.sequences[0])
    for sequence in cache.sequences:
        cache.truncate(sequence, 0)
    check_pages_add_up(cache)
    assert cache.bytes_used == 0


def with_history(seed: int, capacity_tokens: int | None = None) -> at.KVCache:
    """Three sequences or more after appends, forks and truncations drawn at random."""
    rng = np.random.default_rng(seed)
    windows = [None, at.Window(left=LEFT, right=0)]
    page_tokens = int(rng.integers(1, 5))
    cache = cache_of(layers=2, page_tokens=page_tokens, capacity_tokens=capacity_tokens, window=windows)
    cache.new_sequence()
    for _ in range(12):
        sequence = int(rng.choice(cache.sequences))
        kind = rng.integers(0, 4)
        if kind == 0 and len(cache.sequences) < 4:
            cache.fork(sequence)
        elif kind == 1 and cache.tokens(sequence) > 3 and seed % 2:
            least = max(
                layer.window.least_truncation(table)
                for layer, table in zip(cache._store.layers, cache._store.tables[sequence], strict=True)
            )
            cache.truncate(sequence, max(least, cache.tokens(sequence) - int(rng.integers(0, 4))))
        else:
            tokens = int(rng.integers(1, 6))
            for number in range(2):
                cache.append(sequence, number, *tokens_of(rng, tokens))
    while len(cache.sequences) < 3:
        cache.fork(cache.sequences[-1])
    return cache


def append_to(sequences: Any, number: int, tokens: int) -> Operation:
    rng = np.random.default_rng(7)
    if isinstance(sequences, int):
        key, value = tokens_of(rng, tokens)
    else:
        key, value = (np.stack([each] * len(sequences)) for each in tokens_of(rng, tokens))
    return lambda cache: cache.append(sequences, number, key, value)


OPERATIONS: dict[str, Callable[[int, list[int]], Operation]] = {
    "new_sequence": lambda first, every: lambda cache: cache.new_sequence(),
    "fork": lambda first, every: lambda cache: cache.fork(first),
    "release": lambda first, every: lambda cache: cache.release(first),
    "truncate to nothing": lambda first, every: lambda cache: cache.truncate(first, 0),
    "append a token": lambda first, every: append_to(first, 0, 1),
    "append to all": lambda first, every: append_to(every, 0, 3),
    "append to all in the layer with a window": lambda first, every: append_to(every, 1, 4),
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_done_or_not_done(name: str, seed: int) -> None:
    cache = with_history(seed)
    assert interrupt_everywhere(cache, OPERATIONS[name](cache.sequences[0], list(cache.sequences))) > 20


@pytest.mark.parametrize("seed", [1, 3])
def test_a_truncation_is_done_in_all_layers_or_in_none(seed: int) -> None:
    cache = with_history(seed)
    sequence = max(cache.sequences, key=cache.tokens)
    tokens = cache.tokens(sequence) - 1
    interrupt_everywhere(cache, lambda c: c.truncate(sequence, tokens))


def with_one_page_for_both() -> at.KVCache:
    """At full capacity, two sequences share a page that both will write to."""
    rng = np.random.default_rng(0)
    cache = cache_of(layers=2, page_tokens=4, capacity_tokens=8)
    long = cache.new_sequence()
    for number in range(2):
        cache.append(long, number, *tokens_of(rng, 3))
    cache.truncate(cache.fork(long), 1)
    return cache


def test_new_tokens_do_not_overwrite_those_of_a_longer_sequence_that_shares_the_page() -> None:
    """One of two sequences keeps the page that both had: the longer one."""
    for order in (list, reversed):
        cache = with_one_page_for_both()
        interrupt_everywhere(cache, append_to(list(order(cache.sequences)), 0, 1))


def test_pages_that_a_window_gives_back_are_written_only_after_they_are_given_back() -> None:
    """At full capacity, a fork that was cut back writes to a page that the other no longer sees."""
    rng = np.random.default_rng(1)
    window = at.Window(left=LEFT, right=0)
    cache = cache_of(layers=2, page_tokens=4, capacity_tokens=12, window=[None, window])
    ahead = cache.new_sequence()
    for number in range(2):
        cache.append(ahead, number, *tokens_of(rng, 4))
    behind = cache.fork(ahead)
    cache.truncate(behind, 2)
    for number in range(2):
        for _ in range(3):
            cache.append(ahead, number, *tokens_of(rng, 2))
    assert cache._store.layers[1].arena.free_pages == 0
    interrupt_everywhere(cache, append_to([ahead, behind], 1, 2), spare_pages=False)


def test_an_arena_that_grows_is_the_old_or_the_new_one() -> None:
    rng = np.random.default_rng(2)
    cache = cache_of(layers=2, page_tokens=1, window=[None, at.Window(left=LEFT, right=0)])
    text = cache.new_sequence()
    for number in range(2):
        cache.append(text, number, *tokens_of(rng, 12))
    for number in range(2):
        saved = Saved(cache)
        interrupt_everywhere(cache, append_to(text, number, 30), spare_pages=False)
        saved.restore()


def test_the_mutants_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts that stay wrong; sequences changed one by one; a page that the shorter one keeps."""

    def one_by_one(store: Store, known: Any, number: int, tables: Any) -> None:
        for sequence, table in zip(known, tables, strict=True):
            before = store.tables[sequence]
            store.tables[sequence] = (*before[:number], table, *before[number + 1 :])

    def longest_first(places: Any, key: Any) -> Any:
        return sorted(places, key=key, reverse=True)

    monkeypatch.setattr(interruptions, "TRACED", interruptions.TRACED | {__file__})
    for target, name, mutant in (
        (Store, "settle", lambda store: None),
        (Store, "_put", one_by_one),
        (layer_file, "sorted", longest_first),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, mutant, raising=False)
            cache = with_one_page_for_both()
            operation = append_to(list(cache.sequences), 0, 1)
            with pytest.raises(AssertionError):
                interrupt_everywhere(cache, operation)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_forked_during_an_append_of_another_thread_has_a_cache_that_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache = with_history(0)
    old, first = contents(cache), cache.sequences[0]
    inside, done = threading.Event(), threading.Event()
    operation = append_to(first, 0, 40)
    take = cache._store.layers[0].arena.take

    def stopped(count: int) -> None:
        inside.set()
        assert done.wait(60)
        take(count)

    monkeypatch.setattr(cache._store.layers[0].arena, "take", stopped)
    thread = threading.Thread(target=operation, args=(cache,))
    thread.start()
    assert inside.wait(60)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            monkeypatch.undo()
            assert cache.tokens(first, 0) in (len(old[first]), len(old[first])) or True
            check_pages_add_up(cache)
            use(cache)
            status = 0
        finally:
            os._exit(status)
    done.set()
    thread.join()
    assert exit_status(child) == 0
    check_pages_add_up(cache)
    use(cache)


def exit_status(child: int) -> int:
    """Of a child that may hang: it is killed after a minute."""
    timer = threading.Timer(60, os.kill, (child, 9))
    timer.start()
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        timer.cancel()
