"""The same call twice gives the same answer, and changes no inputs, outputs or random states."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from attnscope.audit.case import Call, Case
from attnscope.audit.expectation import Expectation
from attnscope.audit.judgement import counterexample
from attnscope.audit.probes.probe import Probe, Setting
from attnscope.audit.suspect import Answer, read_answer
from attnscope.probing import Finding, NoAnswer, Severity, random_states

REPEATS = 4
AGAIN = "when it is repeated"
RANDOM = (
    "random numbers, such as dropout that is still on, threads that race for the same memory or sum in an "
    "order of their own, or memory that is read before it is written"
)
FIX_OF_RANDOM = "Switch dropout off, give each thread memory of its own, and sum in a fixed order."


def cases(setting: Setting) -> list[Case]:
    """No option, the first one, and all; small sizes, and sizes for threads and blocks."""
    options = setting.contract.options
    chosen = list(dict.fromkeys([(), options[:1], options]))
    return [setting.grid.case(each, lengths) for each in chosen for lengths in ((5, 9), (13, 13), (67, 197))]


def run(setting: Setting) -> list[Finding]:
    differs_again = first_of(setting, same_again)
    others = (
        (kept_outputs, drawn_numbers)
        if differs_again
        else (after_others, kept_outputs, reused_arrays, drawn_numbers)
    )
    found = [differs_again, *(first_of(setting, look) for look in others)]
    return [each for each in found if each is not None]


def first_of(setting: Setting, look: Callable[[Setting, Case], Iterator[Finding]]) -> Finding | None:
    """The first finding of the first case that has one."""
    return next((found for case in cases(setting) for found in look(setting, case)), None)


def differing(
    setting: Setting, case: Case, call: Call, answers: tuple[Answer, Answer], when: str, cause: str, fix: str
) -> Finding:
    """A finding of two answers to one call: wrong if they differ by more than rounding."""
    first, second = answers
    expected = Expectation.of(call, setting.contract)
    wrong = expected.deviation(second) is not None or expected.deviation(first) is not None
    by = "by more than rounding" if wrong else "in its last bits"
    return Finding(
        "determinism",
        Severity.WRONG if wrong else Severity.UNSTABLE,
        f"the same call gives another answer {when}, different {by}{case.condition()}",
        counterexample(case, call, second, expected, {}),
        cause,
        fix,
    )


def same_again(setting: Setting, case: Case) -> Iterator[Finding]:
    call = case.build(setting.contract)
    first = setting.suspect.ask(case, call)
    for _ in range(REPEATS):
        again = setting.suspect.ask(case, call)
        if first is not None and again is not None and first.bits != again.bits:
            yield differing(
                setting,
                case,
                call,
                (first, again),
                AGAIN,
                RANDOM,
                FIX_OF_RANDOM,
            )


def after_others(setting: Setting, case: Case) -> Iterator[Finding]:
    """Repeat a call after calls of the same and of other sizes."""
    call = case.build(setting.contract)
    other = case.but(seed=case.seed + 1)
    longer = case.but(query_len=case.sizes.query_len + 3, key_len=case.sizes.key_len + 3)
    first = setting.suspect.ask(case, call)
    answer = setting.suspect.ask(other)
    expected = Expectation.of(other.build(setting.contract), setting.contract)
    setting.suspect.ask(longer)
    again = setting.suspect.ask(case, call)
    kept, fix = (
        "state kept from an earlier call",
        "Keep no state between calls, or key it by everything that it depends on.",
    )
    if first is not None and again is not None and first.bits != again.bits:
        yield differing(setting, case, call, (first, again), "after other calls", kept, fix)
    if first is None or answer is None or expected.deviation(answer) is None:
        return
    first_right = Expectation.of(call, setting.contract).deviation(first) is None
    if first_right:
        fresh = setting.suspect.ask(
            other.but(key_len=other.sizes.key_len + 1, query_len=other.sizes.query_len + 1)
        )
        if fresh is not None and right(
            setting, other.but(key_len=other.sizes.key_len + 1, query_len=other.sizes.query_len + 1), fresh
        ):
            shown = counterexample(other, other.build(setting.contract), answer, expected, {})
            yield Finding(
                "determinism",
                Severity.WRONG,
                f"the first call of a size is right, and a later one of that size is wrong{case.condition()}",
                shown,
                kept,
                fix,
            )


def right(setting: Setting, case: Case, answer: Answer) -> bool:
    return Expectation.of(case.build(setting.contract), setting.contract).deviation(answer) is None


def kept_outputs(setting: Setting, case: Case) -> Iterator[Finding]:
    """Check that an output does not change when the function is called again, nor shares memory."""
    call, other = case.build(setting.contract), case.but(seed=case.seed + 1).build(setting.contract)
    given = case.laid_out(call)
    function, suspect = setting.suspect.function, setting.suspect
    try:
        returned, before = suspect.run(lambda: kept(function(*given.arrays, **given.options), call), case)
        after = suspect.run(
            lambda: (function(*other.arrays, **other.options), read_answer(returned, call))[1], case
        )
    except NoAnswer:
        return
    if before.bits != after.bits:
        yield Finding(
            "mutation",
            Severity.WRONG,
            f"an output changes when the function is called again{case.condition()}",
            counterexample(case, call, after, None, {}),
            "the output is a view of a buffer that the next call writes to",
            "Return an array of its own for each call.",
        )
    shared = [name for name, array in given.named_arrays.items() if shares_memory(returned, array)]
    if shared:
        yield Finding(
            "mutation",
            Severity.WRONG,
            f"the output shares memory with {' and '.join(shared)}{case.condition()}",
            counterexample(case, call, before, None, {}),
            None,
            "Return a copy.",
        )


def kept(returned: Any, call: Call) -> tuple[Any, Answer]:
    """What was returned, and a copy of its numbers."""
    return returned, read_answer(returned, call)


def shares_memory(returned: Any, array: np.ndarray) -> bool:
    outputs = returned if isinstance(returned, tuple | list) else (returned,)
    return any(isinstance(each, np.ndarray) and np.shares_memory(each, array) for each in outputs)


def reused_arrays(setting: Setting, case: Case) -> Iterator[Finding]:
    """Write new numbers into the arrays of an earlier call, and call again."""
    call, other = case.build(setting.contract), case.but(seed=case.seed + 1).build(setting.contract)
    function, suspect = setting.suspect.function, setting.suspect
    given = call.copy()
    try:
        suspect.run(lambda: function(*given.arrays, **given.options), case)
        for name, array in given.named_arrays.items():
            array[...] = other.named_arrays[name]
        options = {
            **other.options,
            **{name: given.options[name] for name in given.options if name in given.named_arrays},
        }
        answer = suspect.run(lambda: read_answer(function(*given.arrays, **options), other), case)
    except (NoAnswer, KeyError, ValueError):
        return
    fresh = suspect.ask(case, other)
    if fresh is not None and fresh.bits != answer.bits:
        yield differing(
            setting,
            case,
            other,
            (fresh, answer),
            "if its arrays were used in an earlier call",
            "state kept from an earlier call by the identity of its arrays",
            "Keep no state between calls, or key it by content.",
        )


def drawn_numbers(setting: Setting, case: Case) -> Iterator[Finding]:
    call = case.build(setting.contract)
    before = random_states()
    answer = setting.suspect.ask(case, call)
    if answer is not None and random_states() != before:
        yield Finding(
            "determinism",
            Severity.UNSTABLE,
            f"it draws from the global random state{case.condition()}",
            counterexample(case, call, answer, None, {}),
            "dropout, or random numbers that are not used",
            "Draw no random numbers, or use a generator of your own.",
        )


REPETITION = Probe("repetition", lambda contract: ("determinism", "mutation"), lambda contract: True, run)


def item(call: Call, number: int) -> Call:
    """One batch item of a call."""
    one = slice(number, number + 1)
    batch = call.query.shape[0]
    options = {
        name: each[one] if isinstance(each, np.ndarray) and each.ndim > 1 and len(each) == batch else each
        for name, each in call.options.items()
    }
    return Call(call.query[one], call.key[one], call.value[one], options)


def alone_and_among_others(setting: Setting) -> list[Finding]:
    options = setting.contract.options
    for chosen in dict.fromkeys([(), options[:1], options]):
        for lengths in ((5, 9), (1, 67), (33, 131), (1, 515)):
            found = beside_others(setting, setting.grid.case(chosen, lengths, batch=3, dims=(16, 16)))
            if found is not None:
                return [found]
    return []


def beside_others(setting: Setting, case: Case) -> Finding | None:
    call = case.build(setting.contract)
    together, again = setting.suspect.ask(case, call), setting.suspect.ask(case, call)
    if together is None or again is None or together.bits != again.bits:
        return None
    for number in range(case.sizes.batch):
        own = item(call, number)
        alone = setting.suspect.ask(case.but(batch=1), own)
        if alone is None or np.array_equal(alone.output[0], together.output[number], equal_nan=True):
            continue
        expected = Expectation.of(own, setting.contract)
        if expected.deviation(alone) is None and not differs_much(
            alone.output[0], together.output[number], expected
        ):
            return Finding(
                "batch invariance",
                Severity.UNSTABLE,
                f"batch item {number} has other last bits alone than beside others{case.condition()}",
                counterexample(case, call, together, None, {"batch": number}),
                "sums whose split among threads or blocks depends on the batch",
                "Split sums at fixed places. The difference is only rounding.",
            )
    return None


def differs_much(alone: np.ndarray, together: np.ndarray, expected: Expectation) -> bool:
    """Whether the difference is more than rounding: then the grid finds the mistake and its cause."""
    with np.errstate(invalid="ignore"):
        near = np.abs(alone - together) <= 2 * expected.bound.output[0]
    return not near.all()


INVARIANCE = Probe(
    "invariance",
    lambda contract: ("batch invariance",),
    lambda contract: contract.same_bits,
    alone_and_among_others,
)
