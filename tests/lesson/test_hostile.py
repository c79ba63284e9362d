"""Stubs, constants, calls to the library, endless loops: each gets a polite message."""

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import attnscope as at
import attnscope.lesson.solutions
from attnscope.lesson import LessonError, Verdict, check
from tests.lesson.solutions import SOLUTIONS, STRETCH, attention, checked, entropy, soft_lookup, softmax


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
    assert (
        "is not written yet"
        in check(number, *[raise_not_implemented] * len(STRETCH[number]), stretch=True).message
    )


@pytest.mark.parametrize("constant", [0, 0.5, np.zeros(()), np.ones((2, 3)), [[0.2, 0.8]]], ids=range(5))
def test_a_constant_does_not_depend_on_its_argument(constant: Any) -> None:
    verdict = checked(softmax=lambda scores: constant)
    assert (
        verdict.message
        == "softmax returns the same result for all calls: it does not depend on its argument."
    )


@pytest.mark.parametrize("number", list(SOLUTIONS))
def test_a_constant_never_passes(number: int) -> None:
    for constant in (0, np.zeros((2, 2)), True, set(), (np.zeros(2), np.zeros(2)), "text", {}, object(), 1j):
        answers = [lambda *a, constant=constant: constant] * len(SOLUTIONS[number])
        assert not check(number, *answers), constant


LIBRARY: dict[str, Any] = {
    "softmax": lambda s: at.reference.weights(s, s),
    "attention": lambda q, k, v: (at.attention(q, k, v), at.reference.weights(q, k)),
    "visible": lambda q, k, n: (at.Causal() & at.KeyLengths(list(n))).visible(q, k, batch=len(n)),
    "masked_attention": lambda q, k, v, visible: at.attention(q, k, v, mask=visible),
    "multi_head": lambda x, q, k, v, o, heads, kv, visible=None: at.MultiHeadAttention(
        q, k, v, o, heads=heads, kv_heads=kv
    )(x),
    "effective_keys": lambda w: checked(entropy=entropy),
    "counterexample": lambda: (
        np.ones((1, 1)),
        np.ones((3, 1)),
        at.reference.attention(np.ones((3, 1)), np.ones((3, 1)), np.ones((3, 1))),
    ),
    "alibi": lambda h, q, k: (
        -at.alibi_slopes(h)[:, None, None] * np.abs(np.arange(q)[:, None] + k - q - np.arange(k))
    ),
    "decode_step": lambda cache, q, k, v: (
        at.attention(q, k, v),
        at.KVCache(layers=1, kv_heads=2, key_dim=2),
    ),
    "cache_bytes": lambda c, t, b: at.size({}, context=t),
    "flash": lambda q, k, v, block: at.reference.blockwise(q, k, v),
    "leaks": lambda fn, tokens: attnscope.lesson.solutions.leaks(fn, tokens),
    "induction_score": lambda weights, tokens: at.observe(weights, weights, weights),
    "flash_backward": lambda q, k, v, o, lse, g, block: at.reference.gradients(q, k, v, g),
}


@pytest.mark.parametrize("name", LIBRARY)
def test_a_call_to_the_library_is_seen(name: str) -> None:
    verdict = checked(**{name: LIBRARY[name]})
    assert not verdict
    assert f"{name} calls attnscope." in verdict.message
    assert "The exercise is to write it yourself" in verdict.message


def test_a_call_to_the_library_that_hides_its_traces_is_seen() -> None:
    def answer(query: Any, key: Any, value: Any) -> Any:
        try:
            return at.attention(query, key, value), at.reference.weights(query, key)
        except BaseException:  # noqa: BLE001
            return attention(query, key, value)

    assert "calls attnscope.attention.attention" in checked(attention=answer).message


def test_a_watch_that_is_taken_off_is_seen() -> None:
    def answer(query: Any, key: Any, value: Any) -> Any:
        sys.setprofile(None)
        return at.reference.attention(query, key, value), at.reference.weights(query, key)

    assert "attention calls sys.setprofile." in checked(attention=answer).message


def test_the_library_itself_is_no_answer() -> None:
    merge = checked(stretch=True, merge=at.merge_partials)
    assert "raises AttributeError" in merge.message
    assert "calls attnscope.lesson" in checked(softmax=at.lesson.check).message


def test_the_library_may_be_used_in_a_stretch_part() -> None:
    assert checked(stretch=True, rotary=lambda x, positions: at.apply_rotary(x, positions))


def test_the_watch_ends_with_the_check() -> None:
    before = sys.getprofile()
    assert check(1, softmax, soft_lookup)
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
        "attention(query, key, value) did not return within 0.1 s. Is there a loop that does not end?"
    )


def test_an_endless_loop_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    check(2, endless, seconds=0.1)
    assert threading.active_count() == before


def test_an_answer_that_writes_into_its_argument_is_reported() -> None:
    def answer(scores: Any) -> Any:
        scores -= scores.max(axis=-1, keepdims=True)
        return softmax(scores)

    verdict = checked(softmax=answer)
    assert verdict.message == (
        "softmax writes into its argument scores, which the caller still needs. "
        "Work on a copy, or make new arrays."
    )
    assert verdict.counterexample is not None


def test_an_answer_that_changes_its_config_is_reported() -> None:
    def answer(config: Any, tokens: int, batch: int) -> int:
        return int(config.pop("layers"))

    assert "writes into its argument config" in checked(cache_bytes=answer).message


def test_an_error_is_reported_with_its_line() -> None:
    def answer(scores: Any) -> Any:
        return scores.no_such_method()

    verdict = checked(softmax=answer)
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

    assert not checked(softmax=answer)


def test_a_result_instead_of_a_function_is_reported() -> None:
    weights = softmax(np.zeros((2, 2)))
    assert check(1, weights, soft_lookup).message == (
        "softmax is ndarray and no function: pass softmax, not softmax(scores)."
    )


def test_random_answers_are_reported() -> None:
    assert (
        "draw random numbers"
        in checked(visible=lambda q, k, n: np.random.default_rng().random((len(n), q, k)) < 0.5).message
    )


@pytest.mark.parametrize("number", [0, 11, -1, 1.0, "1", True, None])
def test_there_are_ten_exercises(number: Any) -> None:
    with pytest.raises(
        LessonError, match=r"is no exercise, expected 1 to 10, or a project, \"A\" to \"C\"\.$"
    ):
        check(number, softmax)


def test_an_exercise_has_its_number_of_answers() -> None:
    with pytest.raises(
        LessonError, match=r"takes 2 answers, and 1 came\. Use check\(1, softmax, soft_lookup\)\.$"
    ):
        check(1, softmax)
    with pytest.raises(
        LessonError, match=r"takes 1 answer, and 2 came\. Use check\(2, softmax_backward, stretch=True\)\.$"
    ):
        check(2, softmax, attention, stretch=True)


def test_answers_may_come_in_another_order_or_by_their_names() -> None:
    assert check(1, soft_lookup, softmax)
    assert check(1, {"softmax": softmax, "soft_lookup": soft_lookup, "other": 3})
    assert check(1, sys.modules["tests.lesson.solutions"])


def test_a_missing_name_is_not_written_yet() -> None:
    assert check(1, {"softmax": softmax}).message == ("soft_lookup is not written yet: it returns nothing.")


def test_a_verdict_is_true_if_it_passed_and_prints_its_example() -> None:
    good, bad = checked(entropy=entropy), checked(entropy=lambda w: -entropy(w))
    assert good
    assert not bad
    assert str(good) == "passed: exercise 4, reading weights: right in all 19 questions that were asked."
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

    assert not checked(softmax=answer)
    printed = capsys.readouterr().out.count("called")
    assert 0 < printed < questions, "the smaller calls that look for an example are quiet"


class Lazy:
    """Computes nothing until it is read as an array."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return at.attention(*self.arguments)


def test_a_result_that_calls_the_library_when_it_is_read_is_seen() -> None:
    verdict = checked(attention=lambda q, k, v: (Lazy(q, k, v), attention(q, k, v)[1]))
    assert "attention calls attnscope.attention.attention" in verdict.message


def test_a_result_without_end_is_ended() -> None:
    def answer(attention_fn: Any, tokens: int) -> Any:
        while True:
            yield 0, 1

    verdict = check(9, answer, seconds=0.2)
    assert verdict.message.startswith("leaks(attention_fn, tokens) did not return within 0.2 s.")
