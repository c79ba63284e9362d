"""Functions that misbehave: each gives a finding, and the audit continues."""

import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import attnscope as at
from attnscope.audit import Contract, ContractError, attention
from attnscope.probing.calls import TimeIsUp
from tests.audit import unhurried
from tests.audit.plain import Plain

CAUSAL = Contract(causal=True)


def right(query: Any, key: Any, value: Any, *, causal: bool = False, **options: Any) -> Any:
    return at.attention(query, key, value, mask=at.Causal() if causal else None)


def test_one_that_always_raises() -> None:
    def broken(query: Any, key: Any, value: Any, *, causal: bool) -> Any:
        raise RuntimeError("no such kernel")

    [finding] = attention(broken, CAUSAL).findings
    assert finding.check == "call"
    assert "raises RuntimeError: no such kernel" in finding.sentence


def test_one_that_refuses_what_its_contract_claims() -> None:
    def narrow(query: Any, key: Any, value: Any, *, causal: bool, window: Any = None) -> Any:
        if window is not None:
            raise TypeError("unexpected keyword argument 'window'")
        return right(query, key, value, causal=causal)

    [finding] = attention(narrow, Contract(causal=True, window=True)).findings
    assert finding.check == "call"
    assert finding.sentence.endswith("when a window is given")


def test_one_that_returns_another_shape() -> None:
    report = attention(lambda query, key, value, causal: query[0], CAUSAL)
    assert "returns the output with shape" in report.findings[0].sentence


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ([1.0], "returns a list of 1 as the output, expected a NumPy array"),
        (None, "returns nothing as the output"),
    ],
)
def test_one_that_returns_no_array(returned: Any, words: str) -> None:
    [finding] = attention(lambda query, key, value, causal: returned, CAUSAL).findings
    assert words in finding.sentence


def test_one_that_returns_integers() -> None:
    [finding] = attention(lambda query, key, value, causal: np.zeros(query.shape, int), CAUSAL).findings
    assert "returns the output as int64, expected floating-point numbers" in finding.sentence


def test_one_that_forgets_the_logsumexp() -> None:
    report = attention(
        lambda query, key, value, **options: right(query, key, value), Contract(logsumexp=True)
    )
    assert "expected (output, logsumexp)" in report.findings[0].sentence


def test_one_that_is_no_number_everywhere() -> None:
    report = attention(lambda query, key, value, causal: np.full(query.shape, np.nan, np.float32), CAUSAL)
    assert not report.ok
    assert "nan" in report.findings[0].sentence


def test_one_that_hangs() -> None:
    def slow(query: Any, key: Any, value: Any, *, causal: bool) -> Any:
        time.sleep(30)

    report = attention(slow, CAUSAL, seconds_per_call=0.1)
    [finding] = report.findings
    assert report.calls <= 4
    assert "gave no answer within 0.1 s" in finding.sentence
    assert any("smaller ones gave no answer in time" in each for each in report.not_covered)


def test_one_that_hangs_although_it_catches_everything() -> None:
    def stubborn(query: Any, key: Any, value: Any, *, causal: bool) -> Any:
        try:
            while True:
                pass
        except Exception:  # noqa: BLE001  # what is tested
            return right(query, key, value, causal=causal)

    assert "gave no answer" in attention(stubborn, CAUSAL, seconds_per_call=0.1).findings[0].sentence


def test_one_that_hangs_beside_the_main_thread() -> None:
    reports = []

    def slow(query: Any, key: Any, value: Any, *, causal: bool) -> Any:
        time.sleep(1)

    thread = threading.Thread(target=lambda: reports.append(attention(slow, CAUSAL, seconds_per_call=0.05)))
    thread.start()
    thread.join(20)
    assert "gave no answer" in reports[0].findings[0].sentence


def test_audits_in_several_threads_keep_their_output_apart(capsys: pytest.CaptureFixture[str]) -> None:
    """One prints, three do not, and all the time the main thread does."""
    before = sys.stdout, sys.stderr, warnings.showwarning

    def loud(query: Any, key: Any, value: Any, *, causal: bool) -> Any:
        print("attending")  # noqa: T201
        return right(query, key, value, causal=causal)

    with ThreadPoolExecutor(4) as pool:
        audits = [pool.submit(attention, each, CAUSAL) for each in (right, loud, right, right)]
        printed = 0
        while not all(audit.done() for audit in audits):
            print("line")  # noqa: T201
            printed += 1
            time.sleep(0.01)
    assert (sys.stdout, sys.stderr, warnings.showwarning) == before
    assert capsys.readouterr().out == "line\n" * printed
    for number, audit in enumerate(audits):
        assert [each.check for each in audit.result().findings] == ["side effects"] * (number == 1)


def test_one_that_hangs_at_one_length_only() -> None:
    def sometimes(query: Any, key: Any, value: Any, *, causal: bool) -> Any:
        if key.shape[2] == 1_031:
            raise TimeIsUp  # as the alarm does
        return right(query, key, value)  # and forgets causal

    report = unhurried.attention(sometimes, CAUSAL)
    assert {"call", "dependence"} <= {finding.check for finding in report.findings}


def test_one_that_prints(capsys: pytest.CaptureFixture[str]) -> None:
    def chatty(query: Any, key: Any, value: Any, *, causal: bool) -> Any:
        print("attending")  # noqa: T201  # what is tested
        return right(query, key, value, causal=causal)

    [finding] = attention(chatty, CAUSAL).findings
    assert (finding.check, finding.severity) == ("side effects", "unstable")
    assert "attending" in finding.sentence
    assert capsys.readouterr().out == ""


def test_one_that_writes_to_its_input() -> None:
    def spoiling(query: Any, key: Any, value: Any, *, causal: bool) -> Any:
        output = right(query, key, value, causal=causal)
        value[...] = 0
        return output

    [finding] = attention(spoiling, CAUSAL).findings
    assert finding.check == "mutation"
    assert "writes to its input value" in finding.sentence


def test_one_that_ends_the_process() -> None:
    def leaving(query: Any, key: Any, value: Any, *, causal: bool) -> Any:
        raise SystemExit(3)

    assert "ends the process: SystemExit(3)" in attention(leaving, CAUSAL).findings[0].sentence


def test_one_that_warns() -> None:
    def noisy(query: Any, key: Any, value: Any, *, causal: bool) -> Any:
        np.log(np.zeros(1))
        return right(query, key, value, causal=causal)

    assert attention(noisy, CAUSAL).ok


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of audits in seconds, which only a test advances."""
    now = [0.0]
    for module in ("run", "suspect", "probes.exactness"):
        monkeypatch.setattr(f"attnscope.audit.{module}.monotonic", lambda: now[0])
    return now


def test_the_time_of_an_audit_is_limited(clock: list[float]) -> None:
    def slow(query: Any, key: Any, value: Any, *, causal: bool) -> Any:
        clock[0] += 1.0
        return right(query, key, value, causal=causal)

    report = attention(slow, CAUSAL, seconds=16.0)
    assert (report.calls, report.seconds) == (16, 16.0)
    assert any("time was up" in each for each in report.not_covered)


@pytest.mark.parametrize("answers", [0, 3])
def test_a_call_that_the_end_of_the_time_stops_is_a_finding_if_it_is_the_first(
    clock: list[float], answers: int
) -> None:
    calls = []

    def stopped(query: Any, key: Any, value: Any, *, causal: bool) -> Any:
        calls.append(query)
        if len(calls) <= answers:
            return right(query, key, value, causal=causal)
        clock[0] += 4.0
        raise TimeIsUp  # as the alarm does

    report = attention(stopped, CAUSAL, seconds=3.0)
    assert report.calls == answers + 1
    sentences = [each.sentence.split(", with")[0] for each in report.findings]
    assert sentences == ["it gave no answer within 3 s"] * (answers == 0)
    assert any("time was up" in each for each in report.not_covered)


def test_a_refusal_of_an_unusual_layout_is_reported_but_no_finding() -> None:
    report = attention(right, CAUSAL)
    assert report.ok
    assert any(
        each.startswith("column-major arrays: it raises AttentionFormatError") for each in report.not_covered
    )


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(ContractError, match=r"fn=3 cannot be called, expected fn\(query, key, value"):
        attention(3, CAUSAL)  # type: ignore[arg-type]
    with pytest.raises(ContractError, match=r"contract=\{\}: expected a Contract"):
        attention(Plain(), {})  # type: ignore[arg-type]


class Strange:
    """An output whose attributes do what they like."""

    def __init__(self, how: str) -> None:
        self.how = how

    @property
    def __array__(self) -> Any:
        if self.how == "no attribute":
            raise RuntimeError("no array today")
        return self.convert

    def convert(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if self.how == "ends the process":
            raise SystemExit(0)
        if self.how == "hangs":
            time.sleep(30)
        raise ValueError("cannot be read")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("no attribute", "raises RuntimeError: no array today"),
        ("ends the process", "ends the process: SystemExit(0)"),
        ("hangs", "gave no answer within 0.3 s"),
        ("raises", "raises ValueError: cannot be read"),
    ],
)
def test_an_output_that_misbehaves_when_it_is_read_is_a_finding(how: str, words: str) -> None:
    limit = 0.3 if how == "hangs" else 60.0
    report = attention(lambda query, key, value, causal: Strange(how), CAUSAL, seconds_per_call=limit)
    assert words in report.findings[0].sentence


SHAPES: dict[str, Any] = {
    "scalar": lambda output: np.float32(1),
    "0-d": lambda output: np.array(1.0, np.float32),
    "value_dim 0": lambda output: output[..., :0],
    "one dim more": lambda output: output[None],
    "flat": lambda output: output.ravel(),
    "no rows": lambda output: output[:, :, :0],
    "object": lambda output: output.astype(object),
    "complex": lambda output: output.astype(np.complex64),
    "text": lambda output: output.astype(str),
    "a matrix": lambda output: np.ma.masked_array(output, output > 0),
    "nested": lambda output: ((output,), output),
    "a generator": lambda output: (each for each in output),
    "records": lambda output: np.zeros(output.shape, [("a", np.float32)]),
}


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("logsumexp", [False, True])
def test_any_wrong_output_is_a_finding_and_no_exception(kind: str, logsumexp: bool) -> None:
    def wrong(query: Any, key: Any, value: Any, *, causal: bool, return_logsumexp: bool = False) -> Any:
        output = SHAPES[kind](at.attention(query, key, value))
        return (output, SHAPES[kind](query[..., 0])) if return_logsumexp else output

    contract = Contract(causal=True, logsumexp=logsumexp, gradients=wrong_gradients, cache=WrongCache)
    assert attention(wrong, contract, seconds=2.0).findings


def wrong_gradients(*arrays: Any, **options: Any) -> Any:
    return (arrays[0][..., :0], None, "text")


class WrongCache:
    """Accepts everything, and answers with another shape each time."""

    calls = 0

    def append(self, key: Any, value: Any) -> None:
        self.calls += 1

    def attend(self, query: Any) -> Any:
        return query[..., : self.calls % 3]
