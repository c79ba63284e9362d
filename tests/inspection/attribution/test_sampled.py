"""The method sampled: random subsets and LASSO."""

import sys
from pathlib import Path

import numpy as np
import pytest

from attnscope.inspection import Attribution, AttributionRequest, InspectionError, attribute
from attnscope.inspection.attribution.effects import random_subsets
from attnscope.inspection.attribution.lasso import fit_lasso

FACT = "Ada read red books."
QUESTION, ANSWER = "Ada read", " red books."


def attributed(folder: Path, **options: object) -> Attribution:
    texts = {"one": FACT, "other": "The sea was calm.", "two": FACT, "last": "Bob has a cat."}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    paths = tuple(folder / name for name in texts)
    given = {"question": QUESTION, "answer": ANSWER, "documents": paths, "by": "document", **options}
    return attribute(AttributionRequest(**given))  # type: ignore[arg-type]


def of_rule(needed: str) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and errors if 8 nats are lost without "both" or "either" of sources 1 and 4."""
    ablations = random_subsets(64, 8)
    first, second = ablations[:, 1], ablations[:, 4]
    lost = first | second if needed == "both" else first & second
    coefficients, errors = fit_lasso(ablations, np.where(lost, 8.0, 0.0)[:, None])
    return coefficients[:, 0], errors


@pytest.mark.parametrize("needed", ["both", "either"])
def test_sources_that_matter_together_share_the_effect(needed: str) -> None:
    found, errors = of_rule(needed)
    others = np.delete(found, [1, 4])
    # Each changes the mean over the subsets of the other by 8 / 2
    assert np.abs(found[[1, 4]] - 4).max() < 1
    assert np.abs(others).max() < 0.5
    assert (errors > 0).any()
    assert errors.max() < 1


def test_an_exact_line_has_no_error() -> None:
    ablations = random_subsets(64, 5)
    slopes = np.array([3.0, 0, 0, -2.0, 0])
    found, errors = fit_lasso(ablations, (ablations @ slopes)[:, None])
    np.testing.assert_allclose(found[:, 0], slopes, atol=0.05)  # the penalty shrinks them
    assert errors.max() < 0.05


def test_drops_that_never_differ_have_no_source() -> None:
    found, errors = fit_lasso(random_subsets(16, 4), np.ones((16, 2)))
    assert not found.any()
    assert not errors.any()


def test_subsets_come_in_pairs_that_cover_every_source_once() -> None:
    found = random_subsets(20, 7)
    np.testing.assert_array_equal(found[::2], ~found[1::2])
    np.testing.assert_array_equal(found, random_subsets(20, 7))
    assert len(random_subsets(17, 7)) == 17


@pytest.mark.parametrize("ablation", ["knockout", "removal"])
def test_documents_that_replace_each_other_have_effects_only_if_sampled(
    tmp_path: Path, ablation: str
) -> None:
    alone = {each.name: each.drop for each in attributed(tmp_path, method=ablation).sources}
    found = {each.name: each for each in attributed(tmp_path, method="sampled", ablation=ablation).sources}
    assert max(abs(alone["one"]), abs(alone["two"])) < 1
    for name in ("one", "two"):
        assert found[name].drop > 20
        error = found[name].error
        assert error is not None
        assert 0 < error < found[name].drop / 2
    assert max(abs(found[name].drop) for name in ("other", "last")) < 10


def test_the_same_request_has_the_same_bits(tmp_path: Path) -> None:
    one, other = (attributed(tmp_path, method="sampled", samples=20) for _ in range(2))
    np.testing.assert_array_equal(one.drops, other.drops)
    assert one.as_json()["sources"][0]["error"] == one.sources[0].error
    assert one.rows < attributed(tmp_path, method="sampled", samples=40).rows


def test_parts_sum_to_the_drop(tmp_path: Path) -> None:
    found = attributed(tmp_path, method="sampled", answer=" red books. Bob has a cat.")
    assert len(found.answer.sentences) == 2
    np.testing.assert_allclose(found.by_sentence.sum(axis=1), found.drops)
    assert found.top(1)[0].name == "last"
    assert found.by_sentence[3, 1] > abs(found.by_sentence[3, 0])


def test_without_scikit_learn_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "attnscope.inspection.attribution.lasso", raising=False)
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(InspectionError, match=r"needs scikit-learn: pip install 'attnscope\[attribution\]'"):
        attributed(tmp_path, method="sampled")


def test_options_of_sampled_are_refused_elsewhere_and_out_of_range() -> None:
    with pytest.raises(InspectionError, match=r"samples and ablation are options of method='sampled', but"):
        AttributionRequest(samples=64)
    with pytest.raises(InspectionError, match=r"method='sampled', but method='removal'"):
        AttributionRequest(method="removal", ablation="removal")
    with pytest.raises(InspectionError, match=r"samples=15, expected 16 or more"):
        AttributionRequest(method="sampled", samples=15)
    with pytest.raises(InspectionError, match=r"ablation='noise', expected one of knockout, removal"):
        AttributionRequest(method="sampled", ablation="noise")


def test_the_hand_written_model_has_no_gradient(tmp_path: Path) -> None:
    with pytest.raises(InspectionError, match=r"method='gradient' is for Transformers models: the heads"):
        attributed(tmp_path, method="gradient")
