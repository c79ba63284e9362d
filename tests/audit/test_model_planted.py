"""Every planted mistake of a model is found by the right check and severity; the correct models are not."""

from typing import Any

import numpy as np
import pytest

from attnscope.audit import Report
from tests.audit.models.controls import CONTROLS
from tests.audit.models.host import Deep, Host, Learned, Windowed
from tests.audit.models.planted import PLANTED
from tests.audit.unhurried import model


def audit(host: Host, **more: Any) -> Report:
    return model(host, **host.claims, **more, special_ids=(7,))


def test_there_are_many() -> None:
    assert len(PLANTED) >= 60


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_found_and_its_cause_named(name: str) -> None:
    planted = PLANTED[name]
    report = audit(planted.make())
    found = [each for each in report.of(planted.check) if each.severity == planted.severity]
    assert found, str(report)
    if planted.cause is not None:
        assert any(planted.cause in f"{each.sentence} {each.cause}" for each in found), str(report)
    assert report.exit_status == 1


@pytest.mark.parametrize("kind", CONTROLS, ids=lambda kind: kind.__name__)
def test_nothing_is_found_in_a_correct_model(kind: type[Host]) -> None:
    report = audit(kind())
    assert report.ok, str(report)


def test_the_number_of_layers_makes_the_reach_exact() -> None:
    class OneTooWideInOneLayer(Windowed):
        def near(self, asked: Any, layer: int) -> Any:
            wider = layer == 0
            return (asked.keys >= asked.queries - self.window - wider)[None]

    assert audit(OneTooWideInOneLayer()).of("window") == ()
    [finding] = audit(OneTooWideInOneLayer(), layers=2).of("window")
    assert "9 before it: with a window of 4, 2 layers reach 8" in finding.sentence
    assert audit(Windowed(), layers=2).ok


def test_absolute_positions_that_are_ignored_are_found() -> None:
    class Ignored(Learned):
        def embed(self, asked: Any) -> Any:
            return self.embedding[asked.ids]

    [finding] = audit(Ignored(), positions="learned").of("positions")
    assert "6 equal tokens are the same at every position" in finding.sentence
    assert finding.cause == "agrees with: positions ignored"
    assert audit(Learned(), positions="learned").of("positions") == ()
    assert audit(Ignored()).of("positions") == ()


def test_without_layers_the_report_names_what_is_not_covered() -> None:
    assert any("layers=n" in each for each in audit(Windowed()).not_covered)


def test_a_finding_is_as_small_as_it_can_be() -> None:
    [finding] = audit(PLANTED["BidirectionalDecoder"].make()).findings
    assert finding.counterexample is not None
    assert finding.counterexample.arrays["token_ids"].shape == (1, 2)
    assert "token 0 move" in finding.sentence
    assert "token 1 changes" in finding.sentence


def test_a_counterexample_can_be_asked_again() -> None:
    """Its questions differ in the token of the sentence, their logits in one that must not move."""
    host = PLANTED["PaddingReplacesCausal"].make()
    [finding] = audit(host).findings
    assert finding.counterexample is not None
    arrays, places = finding.counterexample.arrays, finding.counterexample.indices
    before = host(arrays["token_ids_before"], arrays["attention_mask"])
    after = host(arrays["token_ids"], arrays["attention_mask"])
    row, slot = places["row"], places["slot"]
    assert (arrays["token_ids_before"] != arrays["token_ids"]).sum() == 1
    assert np.array_equal(arrays["token_ids_before"][row, : slot + 1], arrays["token_ids"][row, : slot + 1])
    assert not np.allclose(before[row, slot], after[row, slot])


def test_progress_is_told() -> None:
    shares: list[float] = []
    host = Deep()
    model(host, **host.claims, progress=lambda share, step: shares.append(share))
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
