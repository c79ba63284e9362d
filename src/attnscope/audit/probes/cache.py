"""A cache that is filled and queried in many chunkings, compared with uncached causal attention."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.audit.case import Call, Case
from attnscope.audit.contract import Contract
from attnscope.audit.expectation import Deviation, Expectation, explaining
from attnscope.audit.interpretation import Floats, Interpretation
from attnscope.audit.judgement import counterexample
from attnscope.audit.probes.probe import Probe, Setting
from attnscope.audit.suspect import Answer, read_array
from attnscope.probing import Finding, KnownMistake, NoAnswer, Severity
from attnscope.problem import AttentionShape

FIX = "Append new tokens after the last one, and attend all of them, the last query at the last key."
OF_CACHE = Contract(causal="always", grouped_heads=True)
CHUNKINGS: tuple[tuple[int, ...], ...] = (
    (5,),
    (1,),
    (1, 1, 1),
    (3, 1),
    (1, 4),
    (2, 3, 1, 1),
    (7, 1, 1, 1),
    (8, 8, 1),
    (16, 1, 15, 1),
    (31, 2, 1),
    (33, 31, 1, 5),
    (64, 1),
    (63, 1, 1, 1),
    (65, 64, 3),
    (127, 1, 1, 2),
    (130, 1, 67),
    (5, 250, 1, 1),
    (256, 1, 3),
    (511, 1, 1, 3),
    (1,) * 70,
    (3,) * 23,
)


@dataclass(frozen=True)
class Session:
    """A sequence of chunks that are appended; `queried` names whose queries attend."""

    chunks: tuple[int, ...]
    queried: str = "each chunk"
    heads: tuple[int, int] = (4, 2)
    seed: int = 0

    def __str__(self) -> str:
        counts = (
            "+".join(map(str, self.chunks))
            if len(self.chunks) < 9
            else f"{len(self.chunks)} x {self.chunks[0]}"
        )
        heads = f"query_heads={self.heads[0]}, kv_heads={self.heads[1]}"
        return f"{counts} tokens appended, {self.queried} queried, {heads}"

    def case(self, tokens: int, queries: int) -> Case:
        return Case(AttentionShape(2, *self.heads, queries, tokens, 8, 8), seed=self.seed, causal=True)


@dataclass(frozen=True, eq=False)
class Attended:
    """One answer of a cache, with the uncached call that it must equal."""

    case: Case
    call: Call
    answer: Answer
    expected: Expectation
    deviation: Deviation | None


def arrays_of(session: Session, dtype: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """All queries, keys and values of a session."""
    rng, tokens = np.random.default_rng(session.seed + 17), sum(session.chunks)
    query_heads, kv_heads = session.heads
    shapes = ((2, query_heads, tokens, 8), (2, kv_heads, tokens, 8), (2, kv_heads, tokens, 8))
    query, key, value = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    return query, key, value


def attended(setting: Setting, session: Session, cache: Any) -> Iterator[Attended]:
    """Append and attend, chunk by chunk; NoAnswer if the cache fails."""
    query, key, value = arrays_of(session, setting.contract.main_format)
    end = 0
    for number, chunk in enumerate(session.chunks):
        start, end = end, end + chunk
        case = session.case(end, chunk)
        new = key[:, :, start:end].copy(), value[:, :, start:end].copy()
        setting.suspect.run(partial(cache.append, *new), case)
        last = number == len(session.chunks) - 1
        if session.queried == "only the last chunk" and not last:
            continue
        first = end - 1 if session.queried == "only the last token" else start
        queries = query[:, :, first:end].copy()
        for _ in range(2 if last else 1):
            yield compare(setting, session, cache, Call(queries, key[:, :, :end], value[:, :, :end]))


def compare(setting: Setting, session: Session, cache: Any, call: Call) -> Attended:
    case = session.case(call.key.shape[2], call.query.shape[2])
    shape = (*call.query.shape[:3], call.value.shape[3])
    answer = setting.suspect.run(
        lambda: Answer.of(read_array(cache.attend(call.query.copy()), shape, "the output"), None), case
    )
    expected = Expectation.of(call, OF_CACHE)
    return Attended(case, call, answer, expected, expected.deviation(answer))


def sessions(contract: Contract) -> list[Session]:
    """Every chunking, queried in three ways, with heads as declared."""
    heads = [(2, 2), (4, 2)] if contract.grouped_heads else [(2, 2)]
    ways = ("each chunk", "only the last chunk", "only the last token")
    made = [
        Session(chunks, way, own, number)
        for number, chunks in enumerate(CHUNKINGS)
        for way in ways
        for own in (heads if len(chunks) < 9 and max(chunks) < 9 else heads[-1:])
    ]
    return sorted(made, key=lambda session: (sum(session.chunks), len(session.chunks)))


def run(setting: Setting) -> list[Finding]:
    assert setting.contract.cache is not None
    found = [alone(setting), side_by_side(setting), after_a_longer_one(setting), beside_the_function(setting)]
    first = found[0]
    return [first] if first else [each for each in found if each]


def made(setting: Setting) -> Any:
    """A new cache; NoAnswer if making it fails."""
    assert setting.contract.cache is not None
    return setting.suspect.run(setting.contract.cache, Session((1,)).case(1, 1))


def alone(setting: Setting) -> Finding | None:
    """Each session with a cache of its own."""
    for session in sessions(setting.contract):
        try:
            wrong = first_wrong(attended(setting, session, made(setting)))
        except NoAnswer as no_answer:
            return Finding(
                "cache", Severity.WRONG, f"the cache {no_answer.sentence} with {session}", None, None, FIX
            )
        if wrong is not None:
            return finding(wrong, str(session), explained(wrong))
    return None


def first_wrong(answers: Iterable[Attended]) -> Attended | None:
    """The first wrong answer."""
    return next((each for each in answers if each.deviation is not None), None)


def side_by_side(setting: Setting) -> Finding | None:
    """Two caches, chunk by chunk in turn."""
    sides = [Session((3, 1, 1, 2), seed=seed) for seed in (1, 2)]
    try:
        runs = [attended(setting, session, made(setting)) for session in sides]
        wrong = first_wrong(chain.from_iterable(zip(*runs, strict=True)))
    except NoAnswer:
        return None
    return (
        None if wrong is None else finding(wrong, "two caches used in turn", "caches that share their tokens")
    )


def after_a_longer_one(setting: Setting) -> Finding | None:
    """A new cache after a longer one."""
    both = (Session((40, 1)), Session((4, 1), seed=3))
    try:
        wrong = first_wrong(chain.from_iterable(attended(setting, each, made(setting)) for each in both))
    except NoAnswer:
        return None
    cause = "state kept from an earlier cache"
    return None if wrong is None else finding(wrong, "a new cache after a longer one", cause)


def beside_the_function(setting: Setting) -> Finding | None:
    """A call without a cache, before and after one with a cache."""
    case = setting.grid.case(setting.contract.options[:1], (7, 7))
    call = case.build(setting.contract)
    before = setting.suspect.ask(case, call)
    try:
        for _ in attended(setting, Session((9, 1, 1)), made(setting)):
            pass
    except NoAnswer:
        return None
    after = setting.suspect.ask(case, call)
    if before is None or after is None or before.bits == after.bits:
        return None
    return Finding(
        "cache",
        Severity.WRONG,
        "the function without a cache gives another answer after a cache was used",
        counterexample(case, call, after, Expectation.of(call, setting.contract), {}),
        "positions or keys of the cache that are stored outside of it",
        "Keep all state of a cache in the cache.",
    )


SLOTS = "Attend only the slots that were written, and write each token to the slot of its position."


def stored_as(change: Callable[[Floats], Floats]) -> Callable[[Interpretation], Interpretation | None]:
    """Return a mistake that stores other keys and values in the cache."""
    return lambda asked: asked.but(key=change(asked.inputs.key), value=change(asked.inputs.value))


def last_lost(array: Floats) -> Floats:
    changed = array.copy()
    changed[:, :, -1] = 0
    return changed


def empty_slots_seen(slots: int) -> Callable[[Interpretation], Interpretation | None]:
    """Return a mistake that attends zero keys after the written ones, up to a multiple of `slots`."""

    def mistaken(asked: Interpretation) -> Interpretation | None:
        batch, heads, query_len, key_len = asked.shape
        room = -key_len % slots
        if not room:
            return None
        zeros = np.zeros((batch, heads, room, asked.inputs.key.shape[-1]))
        wide = np.ones((batch, heads, query_len, room), np.bool_)
        return asked.but(
            key=np.concatenate([asked.inputs.key, zeros], axis=2),
            value=np.concatenate([asked.inputs.value, zeros], axis=2),
            visible=np.concatenate([asked.inputs.visible, wide], axis=3),
            key_positions=np.arange(key_len + room, dtype=np.float64),
        )

    return mistaken


CACHING = (
    KnownMistake(
        "the last token is not written, and its slot is attended", stored_as(last_lost), "cache", SLOTS
    ),
    *(
        KnownMistake(
            f"slots that were never written are attended, up to a capacity of {slots}",
            empty_slots_seen(slots),
            "cache",
            SLOTS,
        )
        for slots in (8, 16, 32, 64, 128, 256, 512, 1024, 2048)
    ),
)


def explained(wrong: Attended) -> str | None:
    """A known mistake of caches, or of functions, that gives the same answer."""
    found = explaining(wrong.expected, wrong.answer, None, CACHING) or explaining(
        wrong.expected, wrong.answer
    )
    return f"agrees with: {found[0].name}" if found else None


def finding(wrong: Attended, session: str, cause: str | None) -> Finding:
    """The finding of a wrong answer."""
    assert wrong.deviation is not None
    row = wrong.deviation.rows[0]
    return Finding(
        "cache",
        Severity.WRONG,
        f"query {row.query} of head {row.head} of batch item {row.batch} differs from uncached attention "
        f"when the cache holds {wrong.case.sizes.key_len} tokens ({session})",
        counterexample(wrong.case, wrong.call, wrong.answer, wrong.expected, row._asdict()),
        cause,
        FIX,
    )


CACHE = Probe("cache", lambda contract: ("cache",), lambda contract: contract.cache is not None, run)
