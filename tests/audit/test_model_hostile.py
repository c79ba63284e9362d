"""Models that misbehave: each gives a finding or a clear error, and the audit continues."""

import time
from typing import Any

import numpy as np
import pytest

import attnscope as at
from attnscope.audit import ContractError, Report
from tests.audit.models.host import Generation, Host, RightPadded, Windowed, WithPrefix
from tests.audit.unhurried import model


class Wrapped:
    """A host whose answers are changed on their way."""

    def __init__(self, change: Any) -> None:
        self.host, self.change = Host(), change

    def __call__(self, ids: Any, mask: Any) -> Any:
        return self.change(self.host, ids, mask)


def audit(change: Any, **more: Any) -> Report:
    return at.audit.model(Wrapped(change), **{**Host().claims, "decode": None, **more})


def test_one_that_always_raises() -> None:
    def broken(host: Any, ids: Any, mask: Any) -> Any:
        raise RuntimeError("no weights")

    report = audit(broken)
    [finding] = report.findings
    assert finding.check == "call"
    assert "raises RuntimeError: no weights" in finding.sentence
    assert any("answers no call" in each for each in report.not_covered)


def test_one_that_refuses_a_mask_it_declares() -> None:
    def maskless(host: Any, ids: Any, mask: Any) -> Any:
        if mask is not None:
            raise TypeError("unexpected argument")
        return host(ids, mask)

    report = audit(maskless)
    assert [each.check for each in report.findings] == ["call"]
    assert "dependence" in report.checks


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda host, ids, mask: host(ids, mask)[:, -1], r"logits of shape [2"),
        (lambda host, ids, mask: host(ids, mask)[..., :-1], "expected [1, 5, 31]"),
        (lambda host, ids, mask: None, "returns nothing"),
        (lambda host, ids, mask: (host(ids, mask), None), "returns a tuple of 2"),
        (lambda host, ids, mask: host(ids, mask).argmax(axis=-1), "as int64"),
    ],
)
def test_another_kind_of_answer(change: Any, words: str) -> None:
    [finding] = audit(change).findings
    assert finding.check == "call"
    assert words.replace("[2", "[1") in finding.sentence


def test_one_that_hangs() -> None:
    def slow(host: Any, ids: Any, mask: Any) -> Any:
        time.sleep(5)

    report = audit(slow, seconds_per_call=0.2)
    assert report.calls <= 3
    assert report.findings[0].check == "call"
    assert "no answer within 0.2 s" in report.findings[0].sentence


def test_the_time_is_limited_and_the_report_names_what_was_left_out() -> None:
    class Slow(Generation):
        def step(self, ids: Any, mask: Any) -> Any:
            time.sleep(0.1)
            return super().step(ids, mask)

    host = Host()
    report = at.audit.model(host, **{**host.claims, "decode": lambda: Slow(host)}, seconds=2.0)
    assert report.ok, str(report)
    assert "everything after the audit's time was up" in report.not_covered


def test_nan_everywhere() -> None:
    report = audit(lambda host, ids, mask: host(ids, mask) * np.nan)
    assert "not a number" in {each.check for each in report.findings}


def test_one_that_prints() -> None:
    def loud(host: Any, ids: Any, mask: Any) -> Any:
        print("shapes", ids.shape)  # noqa: T201
        return host(ids, mask)

    [finding] = audit(loud).findings
    assert (finding.check, str(finding.severity)) == ("side effects", "unstable")


def test_one_that_writes_to_its_tokens() -> None:
    def careless(host: Any, ids: Any, mask: Any) -> Any:
        logits = host(ids, mask)
        ids[:, 0] = 3
        return logits

    [finding] = audit(careless).findings
    assert finding.check == "mutation"
    assert "token_ids" in finding.sentence


def test_a_longest_row_is_no_finding() -> None:
    def short(host: Any, ids: Any, mask: Any) -> Any:
        if ids.shape[1] > 40:
            raise IndexError("position 40 is out of range")
        return host(ids, mask)

    report = audit(short)
    assert report.ok, str(report)
    assert any("rows of 70 tokens or more" in each for each in report.not_covered)


def test_a_mask_of_bool_may_be_refused_with_an_error() -> None:
    def numbers_only(host: Any, ids: Any, mask: Any) -> Any:
        if mask is not None and mask.dtype == bool:
            raise TypeError("a mask of numbers, please")
        return host(ids, mask)

    report = audit(numbers_only)
    assert report.ok, str(report)
    assert any("a mask of bool: it raises TypeError" in each for each in report.not_covered)


def test_a_generation_without_reorder_and_truncate() -> None:
    class Plain:
        def __init__(self, host: Host) -> None:
            self.step = Generation(host).step

    host = Host()
    report = at.audit.model(host, **{**host.claims, "decode": lambda: Plain(host)})
    assert report.ok, str(report)
    assert "reorder: decode() has no reorder" in report.not_covered
    assert "truncate: decode() has no truncate" in report.not_covered


def test_a_generation_whose_step_raises() -> None:
    class Broken(Generation):
        def step(self, ids: Any, mask: Any) -> Any:
            if self.cache.tokens:
                raise RuntimeError("cache is full")
            return super().step(ids, mask)

    host = Host()
    report = at.audit.model(host, **{**host.claims, "decode": lambda: Broken(host)})
    assert {each.check for each in report.findings} == {"call"}
    assert "raises RuntimeError: cache is full" in report.findings[0].sentence


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"vocab_size": 0}, "vocab_size=0: expected an integer, 2 or more"),
        ({"vocab_size": 9, "padding": "both"}, 'padding=\'both\': expected "left", "right" or None'),
        ({"vocab_size": 9, "window": -1}, "window=-1"),
        ({"vocab_size": 9, "window": 2.5}, "window=2.5"),
        ({"vocab_size": 9, "pad_id": 9}, "token 9 is outside the vocabulary: expected 0 to 8"),
        ({"vocab_size": 9, "positions": "somewhere"}, "positions='somewhere'"),
        ({"vocab_size": 9, "causal": False, "prefix": 2}, "an encoder has neither a prefix"),
        ({"vocab_size": 9, "decode": 3}, "decode=3"),
    ],
)
def test_claims_that_cannot_be_checked(claims: dict[str, Any], words: str) -> None:
    with pytest.raises(ContractError) as error:
        at.audit.model(Host(), **claims)
    assert words in str(error.value)


def test_what_cannot_be_called() -> None:
    with pytest.raises(ContractError, match="logits_fn=3"):
        at.audit.model(3, vocab_size=9)  # type: ignore[arg-type]


class Reshaped(Generation):
    """A generation whose later steps return something else."""

    change: Any = None

    def step(self, ids: Any, mask: Any) -> Any:
        logits = super().step(ids, mask)
        return logits if self.cache.tokens == ids.shape[1] else type(self).change(logits)


STEPS: dict[str, Any] = {
    "a feature less": lambda logits: logits[..., :-1],
    "no token": lambda logits: logits[:, :0],
    "one row": lambda logits: logits[:1],
    "a dimension less": lambda logits: logits[0],
    "NaN": lambda logits: np.full_like(logits, np.nan),
    "tokens rolled": lambda logits: np.roll(logits, 1, axis=1),
    "rows rolled": lambda logits: np.roll(logits, 1, axis=0),
    "doubled": lambda logits: logits * 2,
    "nothing": lambda logits: None,
}


@pytest.mark.parametrize("host", [Host, RightPadded, Windowed, WithPrefix])
@pytest.mark.parametrize("change", STEPS)
def test_any_wrong_cached_step_is_a_finding_and_no_exception(host: type[Host], change: str) -> None:
    class Broken(Reshaped):
        pass

    Broken.change = staticmethod(STEPS[change])
    subject = host()
    assert model(subject, **{**subject.claims, "decode": lambda: Broken(subject)}).findings


def test_features_that_change_from_call_to_call_are_a_finding() -> None:
    """A model whose number of features is not declared, as of a torch module without vocabulary."""
    from attnscope.audit.models.audited import audited
    from attnscope.audit.models.claims import Limits, ModelClaims
    from attnscope.audit.models.subject import Subject

    host = Host()
    subject = Subject(lambda ids, mask: host(ids, mask)[..., : 9 + ids.shape[1] % 3], ModelClaims(31), 60.0)
    report = audited(subject, Limits(), "m")
    assert {each.check for each in report.findings} == {"call"}
