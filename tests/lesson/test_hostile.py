"""Stubs, constants, calls to the library, endless loops: each gets a polite message."""

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import attnscope as at
from attnscope.lesson import LessonError, Verdict, check
from tests.lesson.solutions import SOLUTIONS, STRETCH, attention, effective_keys, entropy, leaks, softmax


def raise_not_implemented(*arguments: Any) -> None:
    raise NotImplementedError("softmax")


STUBS: dict[str, Any] = {
    "raises": raise_not_implemented,
    "returns None": lambda *a: None,
    "returns ...": lambda *a: ...,
    "is None": None,
    "is ...": ...,
}


@pytest.mark.parametrize("stub", STUBS.values(), ids=STUBS)
@pytest.mark.parametrize("number", SOLUTIONS)
def test_a_stub_is_not_written_yet(number: int, stub: Any) -> None:
    verdict = check(number, *[stub] * len(SOLUTIONS[number]))
    assert not verdict
    assert verdict.message.endswith("is not written yet: it returns nothing.")
    assert verdict.counterexample is None


@pytest.mark.parametrize("number", STRETCH)
def test_a_stub_of_a_stretch_part_is_not_written_yet(number: int) -> None:
    assert "is not written yet" in check(number, raise_not_implemented, stretch=True).message


@pytest.mark.parametrize("constant", [0, 0.5, np.zeros(()), np.ones((2, 3)), [[0.2, 0.8]]], ids=range(5))
def test_a_constant_does_not_depend_on_its_argument(constant: Any) -> None:
    verdict = check(1, lambda scores: constant, attention)
    assert (
        verdict.message
        == "softmax returns the same result for all calls: it does not depend on its argument."
    )


@pytest.mark.parametrize("number", [n for n in SOLUTIONS if n != 6])
def test_a_constant_never_passes(number: int) -> None:
    for constant in (0, np.zeros((2, 2)), True, set(), (np.zeros(2), np.zeros(2)), "text", {}, object(), 1j):
        answers = [lambda *a, constant=constant: constant] * len(SOLUTIONS[number])
        assert not check(number, *answers), constant


LIBRARY: dict[int, tuple[Any, ...]] = {
    1: (lambda s: at.reference.weights(s, s), attention),
    2: (lambda q, k, n: (at.Causal() & at.KeyLengths(list(n))).visible(q, k, batch=len(n)),),
    3: (lambda q, k, v, visible: at.attention(q, k, v, mask=visible),),
    4: (
        lambda x, q, k, v, o, heads, kv, visible=None: at.MultiHeadAttention(
            q, k, v, o, heads=heads, kv_heads=kv
        )(x),
    ),
    5: (entropy, lambda w: at.lesson.check(5, entropy, effective_keys)),
    6: (
        lambda: (
            np.ones((1, 1)),
            np.ones((3, 1)),
            at.reference.attention(np.ones((3, 1)), np.ones((3, 1)), np.ones((3, 1))),
        ),
    ),
    7: (
        lambda h, q, k: (
            -at.alibi_slopes(h)[:, None, None] * np.abs(np.arange(q)[:, None] + k - q - np.arange(k))
        ),
    ),
    8: (lambda cache, q, k, v: (at.attention(q, k, v), at.KVCache(layers=1, kv_heads=2, key_dim=2)),),
    9: (lambda c, t, b: at.size({}, context=t), lambda *a: 0, lambda *a: 0),
    10: (lambda q, k, v, block: at.reference.blockwise(q, k, v), leaks),
}


@pytest.mark.parametrize("number", LIBRARY)
def test_a_call_to_the_library_is_seen(number: int) -> None:
    verdict = check(number, *LIBRARY[number])
    assert not verdict
    assert " calls attnscope." in verdict.message
    assert "The exercise is to write it yourself" in verdict.message


def test_a_call_to_the_library_that_hides_its_traces_is_seen() -> None:
    def answer(query: Any, key: Any, value: Any) -> Any:
        try:
            return at.attention(query, key, value), at.reference.weights(query, key)
        except BaseException:  # noqa: BLE001
            return attention(query, key, value)

    assert "calls attnscope.attention.attention" in check(1, softmax, answer).message


def test_a_watch_that_is_taken_off_is_seen() -> None:
    def answer(query: Any, key: Any, value: Any) -> Any:
        sys.setprofile(None)
        return at.reference.attention(query, key, value), at.reference.weights(query, key)

    assert "attention calls sys.setprofile." in check(1, softmax, answer).message


def test_the_library_itself_is_no_answer() -> None:
    merge = check(10, {"merge": at.merge_partials}, stretch=True)
    assert "raises AttributeError" in merge.message
    assert "calls attnscope.lesson" in check(1, at.lesson.check, attention).message


def test_the_library_may_be_used_in_a_stretch_part() -> None:
    assert check(7, lambda x, positions: at.apply_rotary(x, positions), stretch=True)


def test_the_watch_ends_with_the_check() -> None:
    before = sys.getprofile()
    assert check(1, softmax, attention)
    assert sys.getprofile() is before


def endless(*arguments: Any) -> None:
    while True:
        pass


def endless_and_stubborn(*arguments: Any) -> None:
    until = time.monotonic() + 0.4
    while time.monotonic() < until:
        try:
            while time.monotonic() < until:
                pass
        except BaseException:  # noqa: BLE001
            pass


def waiting(*arguments: Any) -> None:
    time.sleep(0.5)


def in_this_thread(work: Callable[[], Verdict]) -> Verdict:
    return work()


def in_another_thread(work: Callable[[], Verdict]) -> Verdict:
    found: list[Verdict] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize("somewhere", [in_this_thread, in_another_thread])
@pytest.mark.parametrize("answer", [endless, endless_and_stubborn, waiting])
def test_an_endless_loop_ends(answer: Any, somewhere: Callable[[Callable[[], Verdict]], Verdict]) -> None:
    verdict = somewhere(lambda: check(2, answer, seconds=0.1))
    assert not verdict
    assert verdict.message == (
        "visible(query_len, key_len, key_lengths) did not return within 0.1 s. "
        "Is there a loop that does not end?"
    )


def test_an_endless_loop_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    check(2, endless, seconds=0.1)
    assert threading.active_count() == before


def test_an_answer_that_writes_into_its_argument_is_reported() -> None:
    def answer(scores: Any) -> Any:
        scores -= scores.max(axis=-1, keepdims=True)
        return softmax(scores)

    verdict = check(1, answer, attention)
    assert verdict.message == (
        "softmax writes into its argument scores, which the caller still needs. "
        "Work on a copy, or make new arrays."
    )
    assert verdict.counterexample is not None


def test_an_answer_that_changes_its_config_is_reported() -> None:
    def answer(config: Any, tokens: int, batch: int) -> int:
        return int(config.pop("layers"))

    assert "writes into its argument config" in check(9, answer, *SOLUTIONS[9][1:]).message


def test_an_error_is_reported_with_its_line() -> None:
    def answer(scores: Any) -> Any:
        return scores.no_such_method()

    verdict = check(1, answer, attention)
    assert verdict.message == (
        "softmax(scores) raises AttributeError: 'numpy.ndarray' object has no attribute 'no_such_method', "
        "in answer: `return scores.no_such_method()`."
    )
    assert verdict.counterexample is not None
    assert verdict.counterexample.arguments["scores"].size <= 2


@pytest.mark.parametrize(
    "error",
    [SystemExit(3), KeyboardInterrupt(), MemoryError(), RecursionError("deep"), Exception()],
    ids=repr,
)
def test_any_error_is_reported(error: BaseException) -> None:
    def answer(scores: Any) -> Any:
        raise error

    assert not check(1, answer, attention)


def test_a_result_instead_of_a_function_is_reported() -> None:
    weights = softmax(np.zeros((2, 2)))
    assert check(1, weights, attention).message == (
        "softmax is ndarray and no function: pass softmax, not softmax(scores)."
    )


def test_random_answers_are_reported() -> None:
    assert (
        "draw random numbers"
        in check(2, lambda q, k, n: np.random.default_rng().random((len(n), q, k)) < 0.5).message
    )


@pytest.mark.parametrize("number", [0, 11, -1, 1.0, "1", True, None])
def test_there_are_ten_exercises(number: Any) -> None:
    with pytest.raises(LessonError, match=r"is no exercise, expected 1 to 10\.$"):
        check(number, softmax)


def test_an_exercise_has_its_number_of_answers() -> None:
    with pytest.raises(
        LessonError, match=r"takes 2 answers, and 1 came\. Use check\(1, softmax, attention\)\.$"
    ):
        check(1, softmax)
    with pytest.raises(
        LessonError, match=r"takes 1 answer, and 2 came\. Use check\(2, visible_in_window, stretch=True\)\.$"
    ):
        check(2, softmax, attention, stretch=True)


def test_answers_may_come_in_another_order_or_by_their_names() -> None:
    assert check(1, attention, softmax)
    assert check(1, {"softmax": softmax, "attention": attention, "other": 3})
    assert check(1, sys.modules[softmax.__module__])


def test_a_missing_name_is_not_written_yet() -> None:
    assert check(1, {"softmax": softmax}).message == ("attention is not written yet: it returns nothing.")


def test_a_verdict_is_true_if_it_passed_and_prints_its_example() -> None:
    good, bad = check(5, entropy, effective_keys), check(5, lambda w: -entropy(w), effective_keys)
    assert good
    assert not bad
    assert str(good) == "passed: exercise 5, entropy: right in all 18 questions that were asked."
    assert repr(bad).splitlines() == [
        "not yet: entropy: it is negative: the sign is missing.",
        "",
        "    weights = [0.595501, 0.404499]",
        "    entropy(weights)",
        "      gives entropy = -0.674794",
        "      expected entropy = 0.674794",
    ]


def test_what_an_answer_prints_is_printed_once_per_question(capsys: pytest.CaptureFixture[str]) -> None:
    questions = 0

    def answer(scores: Any) -> Any:
        nonlocal questions
        questions += 1
        print("called")  # noqa: T201
        return np.exp(scores)

    assert not check(1, answer, attention)
    printed = capsys.readouterr().out.count("called")
    assert 0 < printed < questions, "the smaller calls that look for an example are quiet"


class Lazy:
    """Computes nothing until it is read as an array."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return at.attention(*self.arguments)


def test_a_result_that_calls_the_library_when_it_is_read_is_seen() -> None:
    verdict = check(1, softmax, lambda q, k, v: (Lazy(q, k, v), attention(q, k, v)[1]))
    assert "attention calls attnscope.attention.attention" in verdict.message


def test_a_result_without_end_is_ended() -> None:
    def answer(attention_fn: Any, tokens: int) -> Any:
        while True:
            yield 0, 1

    verdict = check(10, SOLUTIONS[10][0], answer, seconds=0.2)
    assert verdict.message.startswith("leaks(attention_fn, tokens) did not return within 0.2 s.")
