"""Calls of foreign code from several threads: each thread's output, warnings and time are its own."""

import sys
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from attnscope.probing import NoAnswer, Printed, buffers, captured, guarded


def in_threads(*works: Callable[[], Any]) -> list[Any]:
    """Run all at once and return what they return."""
    with ThreadPoolExecutor(len(works)) as pool:
        return [each.result() for each in [pool.submit(work) for work in works]]


def test_two_threads_capture_their_own_lines_and_restore_the_streams() -> None:
    """The first to begin ends first: a redirect of the process would leave the second buffer in place."""
    streams = sys.stdout, sys.stderr, warnings.showwarning
    first_began, second_began, first_ended = (threading.Event() for _ in range(3))
    texts = [Printed(), Printed()]

    def first() -> None:
        def work() -> None:
            first_began.set()
            assert second_began.wait(10)
            print("first")  # noqa: T201

        guarded(work, 30, texts[0])
        first_ended.set()

    def second() -> None:
        def work() -> None:
            second_began.set()
            assert first_ended.wait(10)
            print("second", file=sys.stderr)  # noqa: T201

        assert first_began.wait(10)
        guarded(work, 30, texts[1])

    in_threads(first, second)
    assert [each.text for each in texts] == ["first\n", "second\n"]
    assert (sys.stdout, sys.stderr, warnings.showwarning) == streams


def test_a_call_in_the_main_thread_captures_no_line_of_another(capsys: pytest.CaptureFixture[str]) -> None:
    printed = Printed()
    other = threading.Thread(target=lambda: print("other"))  # noqa: T201

    def work() -> None:
        print("own")  # noqa: T201
        other.start()
        other.join()

    guarded(work, 30, printed)
    assert printed.text == "own\n"
    assert capsys.readouterr().out == "other\n"


def test_a_warning_beside_the_main_thread_is_no_output_and_leaves_the_filters(
    recwarn: pytest.WarningsRecorder,
) -> None:
    warnings.simplefilter("always")
    filters, printed = list(warnings.filters), Printed()
    in_threads(lambda: guarded(lambda: warnings.warn("odd", stacklevel=1), 30, printed))
    assert printed.text == ""
    assert warnings.filters == filters
    assert not recwarn.list


def test_a_stream_that_foreign_code_puts_in_place_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    own = object()
    with captured():
        sys.stdout = own
    assert sys.stdout is own


def test_a_loop_without_end_beside_the_main_thread_is_stopped() -> None:
    ended, printed = threading.Event(), Printed()

    def work() -> None:
        try:
            while True:
                time.sleep(0)
        finally:
            ended.set()

    def call() -> None:
        with pytest.raises(NoAnswer, match=r"gave no answer within 0\.05 s"):
            guarded(work, 0.05, printed)

    in_threads(call)
    assert ended.wait(10)


def test_a_capture_in_another_s_name_is_nested() -> None:
    with captured() as outer:
        print("outer")  # noqa: T201
        with captured() as inner:
            print("inner")  # noqa: T201
            assert buffers() == [outer, inner]
    assert (outer.getvalue(), inner.getvalue(), buffers()) == ("outer\n", "inner\n", [])
