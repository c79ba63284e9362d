"""Messages of a notebook's process have a largest size, and judging has a deadline."""

import os
import struct
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest

from attnscope.lesson import judge as judging
from attnscope.lesson.calling import Answers
from attnscope.lesson.check import exercise_of
from attnscope.lesson.grading import grade
from attnscope.lesson.notebook import Limits
from attnscope.lesson.process import Host
from attnscope.lesson.sandbox import Sandbox
from attnscope.lesson.wire import MOST_ARRAY_BYTES, MOST_HEADER_BYTES, WireError, encoded, receive
from tests.lesson.notebooks import made_of, saved
from tests.lesson.solutions import SOLUTIONS, checked


@pytest.mark.parametrize("sizes", [(MOST_HEADER_BYTES + 1, 0), (2, MOST_ARRAY_BYTES + 1), (2, 200 << 20)])
def test_nothing_of_a_message_that_is_too_long_is_read(sizes: tuple[int, int]) -> None:
    asked = []

    def read(count: int) -> bytes:
        asked.append(count)
        return struct.pack("<QQ", *sizes)

    with pytest.raises(WireError, match="the message is too long"):
        receive(read)
    assert asked == [16]


def message_of(header: bytes, arrays: bytes = b"") -> Any:
    """A function that reads this message piece by piece."""
    data = bytearray(struct.pack("<QQ", len(header), len(arrays)) + header + arrays)

    def read(count: int) -> bytes:
        piece = bytes(data[:count])
        del data[:count]
        return piece

    return read


@pytest.mark.parametrize(
    "header",
    [
        b'{"of": {"a": {"array": "<f8", "shape": [100000000000]}}}',
        b'{"of": {"a": {"array": "<f8", "shape": [1000000, 1000000]}}}',
        b'{"of": {"a": {"array": "<f8", "shape": [-1]}}}',
        b'{"of": {"a": {"array": "<f8", "shape": [1.0]}}}',
        b'{"of": {"a": {"array": "<f8", "shape": [1, 1, 1, 1, 1, 1, 1, 1, 1]}}}',
        b'{"of": {"a": {"array": "O", "shape": [1]}}}',
        b'{"of": {"a": {"array": "V8", "shape": [1]}}}',
        b'{"of": {"a": {"array": "<f8"}}}',
        b'{"of": 3}',
        b'{"of": "text"}',
        b'{"of": [1]}',
        b'{"of": {"a": {"whole": "' + b"9" * 5000 + b'"}}}',
    ],
)
def test_a_forged_array_is_refused_before_it_is_made(header: bytes) -> None:
    with pytest.raises(WireError):
        receive(message_of(header, b"\0" * 8))


def test_arrays_arrive_as_they_were_sent() -> None:
    sent = [np.arange(6.0).reshape(2, 3).T, np.zeros((0, 5), np.float32), np.array(True), np.array([-1, 2])]
    data = encoded({"arrays": sent})
    header = data[16 : 16 + struct.unpack("<QQ", data[:16])[0]]
    came = receive(message_of(header, data[16 + len(header) :]))["arrays"]
    for one, other in zip(sent, came, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_a_process_that_does_not_read_cannot_keep_the_judge_waiting() -> None:
    unread, ours = os.pipe()
    os.set_blocking(ours, False)
    host = Host(Path("mine.ipynb"), Limits(), monotonic() + 60, 0, Sandbox())
    with os.fdopen(ours, "wb", buffering=0) as host.requests, os.fdopen(unread), pytest.raises(TimeoutError):
        host.write(bytes(1 << 20), monotonic() + 0.05)


FORGED = """
import json, os, struct
def forged(message):
    header = json.dumps({"of": message}).encode()
    return struct.pack("<QQ", len(header), 0) + header
"""
FLOOD = f"""{FORGED}
for fd in range(3, 30):
    try:
        for number in range(1, 2000):
            os.write(fd, forged({{"cell": number, "trouble": "x" * 9999}}))
    except OSError:
        pass
"""


def test_a_flood_of_forged_messages_leaves_no_more_notes_than_cells(tmp_path: Path) -> None:
    graded = grade(saved(made_of("x = 1", FLOOD), tmp_path / "mine.ipynb"), Limits())
    assert graded.passed == 0
    assert len(graded.notes) <= 2
    assert all(len(note) < 500 for note in graded.notes)


def test_a_result_larger_than_any_right_one_is_refused() -> None:
    verdict = checked(entropy=lambda weights: np.zeros(2 << 20))
    assert verdict.message == "entropy(weights) returns more than 8 MiB; no right answer is as large."


@pytest.mark.parametrize("shape", [(200_000, 1), (3, 200_000)])
def test_a_counterexample_that_would_take_long_to_judge_is_refused(shape: tuple[int, int]) -> None:
    keys = np.zeros(shape)
    keys[0, 0] = 1
    value = np.linspace(-1, 1, len(keys))[:, None]
    verdict = checked(counterexample=lambda: (np.ones((1, shape[1])), keys, value))
    assert "use at most 128 keys of at most 128 numbers. Three keys are enough." in verdict.message


class Clock:
    """A clock that only the judge's own computing moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


CASES = {"right": SOLUTIONS[1], "wrong": (lambda scores: np.exp(scores), lambda *arrays: np.ones(7))}
OVER = "exercise 1 could not be judged to its end in the time it may take."


@pytest.mark.parametrize("functions", CASES.values(), ids=CASES)
def test_the_judge_s_own_computing_counts(functions: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    expected = judging.TaskJudge.expected

    def slow(self: judging.TaskJudge, arguments: Any) -> Any:
        clock.now += 10
        return expected(self, arguments)

    monkeypatch.setattr(judging, "monotonic", clock)
    monkeypatch.setattr(judging.TaskJudge, "expected", slow)
    answers = Answers(dict(zip(("softmax", "soft_lookup"), functions, strict=True)), 20.0)
    assert judging.judge(exercise_of(1), answers, until=25.0).message == OVER
    assert clock.now == 30


def test_the_search_for_a_cause_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()

    def slow(_self: judging.Reply, _misconception: Any) -> bool:
        clock.now += 10
        return False

    monkeypatch.setattr(judging, "monotonic", clock)
    monkeypatch.setattr(judging.Reply, "agrees", slow)
    answers = Answers({"softmax": lambda scores: scores}, 20.0)
    assert judging.judge(exercise_of(1), answers, until=25.0).message == OVER
