"""Every planted mistake is found by the right check and with the right severity; the correct code is not."""

import pytest

from attnscope.audit import Contract
from tests.audit.plain import Plain
from tests.audit.planted import PLANTED
from tests.audit.unhurried import attention


def test_there_are_many() -> None:
    assert len(PLANTED) >= 50


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_found(name: str) -> None:
    planted = PLANTED[name]
    report = attention(planted.make(), planted.contract)
    found = [each for each in report.of(planted.check) if str(each.severity) in planted.severity]
    assert found, str(report)
    if planted.causes:
        text = " ".join(f"{each.sentence} {each.cause}" for each in report.findings)
        assert any(words in text for words in planted.causes), str(report)


CONTRACTS = dict.fromkeys(each.contract for each in PLANTED.values() if each.contract.alignment == "end")


@pytest.mark.parametrize("contract", CONTRACTS, ids=str)
def test_nothing_is_found_in_correct_code(contract: Contract) -> None:
    report = attention(Plain(), contract)
    assert report.ok, str(report)


CAUSES = {
    "CausalAlignedToTheStart": "causal aligned to the start",
    "CausalDroppedBesideAMask": "causal ignored",
    "KeyMaskAlongTheQueries": "broadcast along the queries",
    "KeyMaskThroughAFlatBuffer": "flat buffer",
    "MaskAfterSoftmax": "applied after the softmax",
    "WindowOneTooWide": "one key too wide to the left",
    "DocumentsAreRuns": "compared by their neighbours",
    "ScaleOfTheWholeModel": "1/sqrt of all heads' dims together",
    "ScaleOnTheBias": "the bias multiplied by the scale",
    "SoftcapWithoutItsFactor": "score * tanh(score / softcap)",
    "SinksScaled": "the sinks multiplied by the scale",
    "LogSumExpInBaseTwo": "in base 2",
    "HeadsTiled": "h % kv_heads",
}


@pytest.mark.parametrize("name", CAUSES)
def test_the_likely_cause_is_named(name: str) -> None:
    planted = PLANTED[name]
    report = attention(planted.make(), planted.contract)
    assert any(CAUSES[name] in (finding.cause or "") for finding in report.findings), str(report)
    assert all(finding.fix for finding in report.findings if finding.cause and "agrees with" in finding.cause)


def test_a_condition_is_part_of_the_sentence() -> None:
    planted = PLANTED["CausalDroppedBesideAKeyMask"]
    [finding] = attention(planted.make(), planted.contract).findings
    assert "which causal hides (key" in finding.sentence
    assert "when a key mask (all visible) is also given" in finding.sentence


def test_an_equal_cause_is_reported_once() -> None:
    planted = PLANTED["CausalIgnored"]
    [finding] = attention(planted.make(), planted.contract).findings
    assert finding.cases > 20


@pytest.mark.parametrize("seed", [1, 2])
def test_another_seed_finds_the_same(seed: int) -> None:
    for name in (
        "CausalLostPastABlock",
        "WindowOneTooWide",
        "SinkOfHeadZero",
        "HiddenScoresAreMinusTenThousand",
    ):
        planted = PLANTED[name]
        report = attention(planted.make(), planted.contract, seed=seed)
        assert report.of(planted.check), f"{name}: {report}"
