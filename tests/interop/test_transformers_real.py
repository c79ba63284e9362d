"""Two real models answer with "attnscope" what they answer with eager attention: a sentence encoder, and Gemma 3."""

from typing import Any

import numpy as np
import pytest

from tests.interop.judging import assert_as_exact_as_eager, exact, logits
from tests.interop.texts import logits_beside_a_cache

torch = pytest.importorskip("torch", reason="needs torch: make test-models")
pytest.importorskip("transformers", reason="needs transformers: make test-models")

from attnscope.interop.transformers import observing, register  # noqa: E402

PROMPT, STEPS = 530, 64  # Gemma's window is 512


@pytest.fixture(autouse=True)
def _registered() -> None:
    register()


def draw(batch: int, length: int, words: int, seed: int = 0) -> Any:
    return torch.randint(1000, words, (batch, length), generator=torch.Generator().manual_seed(seed))


def test_sentences_of_many_lengths_through_minilm(minilm: Any) -> None:
    lengths = torch.tensor([128, 3, 57, 100])
    real = (torch.arange(128) < lengths[:, None]).long()
    given = {"input_ids": draw(4, 128, 30_000), "attention_mask": real}
    ours, eager = (logits(minilm, name, **given) for name in ("attnscope", "eager"))
    truth, at_real = exact(minilm, **given), real.numpy().astype(bool)
    assert_as_exact_as_eager(ours[at_real], eager[at_real], truth[at_real])


def test_a_prompt_through_gemma(gemma: Any) -> None:
    given = {"input_ids": draw(1, PROMPT, 200_000), "use_cache": False}
    ours, eager = (logits(gemma, name, **given) for name in ("attnscope", "eager"))
    assert_as_exact_as_eager(ours, eager, exact(gemma, **given))


@pytest.mark.parametrize("side", ["left", "right"])
def test_prompts_of_two_lengths_through_gemma(gemma: Any, side: str) -> None:
    real = torch.ones((2, 100), dtype=torch.long)
    real[1, slice(0, 30) if side == "left" else slice(70, 100)] = 0
    given = {"input_ids": draw(2, 100, 200_000), "attention_mask": real, "use_cache": False}
    ours, eager = (logits(gemma, name, **given) for name in ("attnscope", "eager"))
    truth, at_real = exact(gemma, **given), real.numpy().astype(bool)
    assert_as_exact_as_eager(ours[at_real], eager[at_real], truth[at_real])


@pytest.mark.parametrize("kind", ["dynamic", "static"])
def test_64_tokens_of_gemma_beside_its_cache(gemma: Any, kind: str) -> None:
    tokens = draw(1, PROMPT + STEPS, 200_000)
    ours, eager = (
        logits_beside_a_cache(gemma, name, kind, [PROMPT] + [1] * STEPS, tokens)[:, -STEPS:]
        for name in ("attnscope", "eager")
    )
    truth = exact(gemma, input_ids=tokens, use_cache=False)[:, -STEPS:]
    assert_as_exact_as_eager(ours, eager, truth)


def test_all_heads_of_gemma_are_seen_and_the_first_token_is_a_sink(gemma: Any) -> None:
    tokens = draw(1, PROMPT, 200_000)
    tokens[:, 0] = gemma.config.bos_token_id
    with torch.inference_mode(), observing(gemma, first_keys=1, segments={"sink": (0, 1), "rest": (1, None)}) as seen:
        gemma(input_ids=tokens, use_cache=False)
    assert len(seen) == 18
    for layer, kind in zip(seen, gemma.config.layer_types, strict=True):
        most = 512 if kind == "sliding_attention" else PROMPT
        np.testing.assert_array_equal(layer.visible_keys[0, 0], np.minimum(np.arange(PROMPT) + 1, most))
        np.testing.assert_allclose(layer.segment_mass.sum(-1), 1, atol=2.0**-20)
    of_full_layers = [seen[layer].first_mass[:, :, 1:].mean() for layer in (5, 11, 17)]
    assert max(of_full_layers) > 0.3
