"""Two real models, a sentence encoder and Gemma 3, answer with "attnscope" what they answer with eager."""

from typing import Any

import numpy as np
import pytest

import attnscope as at
from tests.interop.judging import assert_as_exact_as_eager, exact, in_float64, logits, plainly
from tests.interop.texts import logits_beside_a_cache
from tests.tolerance import of_a_sum

torch = pytest.importorskip("torch", reason="needs torch: make test-models")
pytest.importorskip("transformers", reason="needs transformers: make test-models")

from attnscope.interop import mask_functions  # noqa: E402
from attnscope.interop.transformers import observing, register  # noqa: E402

PROMPT, STEPS = 480, 64  # so that the text outgrows Gemma's window of 512


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


@pytest.fixture(scope="module")
def wide(gemma: Any) -> Any:
    return in_float64(gemma)


@pytest.fixture(scope="module")
def text() -> Any:
    return draw(1, PROMPT + STEPS, 200_000)


@pytest.fixture(scope="module")
def truth(wide: Any, text: Any) -> Any:
    """Of the last tokens, as are all logits of this text: those of all would take a gigabyte."""
    return plainly(wide, input_ids=text, use_cache=False, logits_to_keep=STEPS)


@pytest.fixture(scope="module")
def eager(gemma: Any, text: Any) -> Any:
    return logits(gemma, "eager", input_ids=text, use_cache=False, logits_to_keep=STEPS)


def test_a_text_through_gemma(gemma: Any, text: Any, eager: Any, truth: Any) -> None:
    ours = logits(gemma, "attnscope", input_ids=text, use_cache=False, logits_to_keep=STEPS)
    assert_as_exact_as_eager(ours, eager, truth)


@pytest.mark.parametrize("kind", ["dynamic", "static"])
def test_64_tokens_of_gemma_beside_its_cache(
    gemma: Any, text: Any, kind: str, eager: Any, truth: Any
) -> None:
    chunks = [PROMPT] + [1] * STEPS
    ours = logits_beside_a_cache(gemma, "attnscope", kind, chunks, text, logits_to_keep=1)
    assert_as_exact_as_eager(ours[:, 1:], eager, truth)


@pytest.mark.parametrize("side", ["left", "right"])
def test_texts_of_two_lengths_through_gemma(gemma: Any, wide: Any, side: str) -> None:
    real = torch.ones((2, 24), dtype=torch.long)
    real[1, slice(0, 9) if side == "left" else slice(15, 24)] = 0
    given = {"input_ids": draw(2, 24, 200_000), "attention_mask": real, "use_cache": False}
    at_real = real.numpy().astype(bool)
    ours, eager = (logits(gemma, name, **given)[at_real] for name in ("attnscope", "eager"))
    assert_as_exact_as_eager(ours, eager, plainly(wide, **given)[at_real])


def test_a_mask_that_is_forgotten_is_noticed(
    gemma: Any, text: Any, eager: Any, truth: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = next(code for code, reader in mask_functions.READERS.items() if reader.__name__ == "window_behind")
    monkeypatch.setitem(mask_functions.READERS, code, lambda closed, asked: None)
    ours = logits(gemma, "attnscope", input_ids=text, use_cache=False, logits_to_keep=STEPS)
    with pytest.raises(AssertionError, match="error of the logits"):
        assert_as_exact_as_eager(ours, eager, truth)


def test_all_heads_of_gemma_are_seen_and_the_first_token_is_a_sink(gemma: Any, text: Any) -> None:
    """Gemma is known to read its first token most; its windowed layers do not reach it."""
    tokens, length = text.clone(), text.shape[1]
    tokens[:, 0] = gemma.config.bos_token_id
    with (
        torch.inference_mode(),
        observing(gemma, first_keys=1, segments={"sink": (0, 1), "rest": (1, None)}) as seen,
    ):
        gemma.model(input_ids=tokens, use_cache=False)
    assert len(seen) == gemma.config.num_hidden_layers == 18
    for layer, kind in zip(seen, gemma.config.layer_types, strict=True):
        most = 512 if kind == "sliding_attention" else length
        np.testing.assert_array_equal(layer.visible_keys[0, 0], np.minimum(np.arange(length) + 1, most))
        assert layer.segment_mass is not None
        np.testing.assert_allclose(layer.segment_mass.sum(-1), 1, atol=of_a_sum(length))
    of_full_layers = [seen[layer].first_mass[:, :, 1:].mean() for layer in (5, 11, 17)]
    assert max(of_full_layers) > 0.3


def test_a_repeated_random_text_shows_gemma_s_induction_heads_and_ablating_them_costs_the_copy(
    gemma: Any,
) -> None:
    """Only the earlier occurrence predicts the next of repeated random tokens: induction heads copy it."""
    half = draw(1, 100, 200_000)
    tokens = torch.cat([torch.tensor([[gemma.config.bos_token_id]]), half, half], dim=1)

    def loss_of_the_repetition(**asked: Any) -> tuple[float, Any]:
        with torch.inference_mode(), observing(gemma, **asked) as seen:
            answered = gemma(input_ids=tokens, use_cache=False).logits[0, 101:-1]
            return torch.nn.functional.cross_entropy(answered, tokens[0, 102:]).item(), seen

    whole, seen = loss_of_the_repetition(top_keys=8)
    induction = np.array([at.observation.head_scores(layer, tokens.numpy()).induction[0] for layer in seen])
    heads = [(int(layer), int(head)) for layer, head in np.argwhere(induction > 0.5)]
    assert 1 <= len(heads) <= 8
    others = [(int(layer), int(head)) for layer, head in np.argwhere(induction < 0.1)][-len(heads) :]
    without, _ = loss_of_the_repetition(ablate=heads, layers=[])
    without_others, _ = loss_of_the_repetition(ablate=others, layers=[])
    assert whole < 1.5
    assert without > whole + 4  # nats a token
    assert without_others < whole + 2
