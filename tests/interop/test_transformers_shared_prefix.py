"""Rows after a kept prefix, with keys hidden from them, are those of one plain pass over the whole text."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from attnscope.errors import UnsupportedProblemError
from tests.audit.models.tiny import build
from tests.interop.judging import (
    assert_as_exact_as_eager,
    in_float64,
    logits,
    plain_attention,
    plain_mask,
)

torch = pytest.importorskip("torch", reason="needs torch: make test-models")
transformers = pytest.importorskip("transformers", reason="needs transformers: make test-models")

from attnscope.interop.transformers import SharedPrefix, logits_of_pass  # noqa: E402

HELD, TOKENS = 19, 31
NAMES = [
    "LlamaForCausalLM",  # grouped heads
    "Gemma3ForCausalLM",  # windows
    "GptOssForCausalLM",  # sinks and windows
    "GPT2LMHeadModel",  # learned positions
    "Gemma2ForCausalLM",  # soft-cap
    "Llama4ForCausalLM",  # chunks
    "MistralForCausalLM",
    "GPTBigCodeForCausalLM",  # one kv head
    "OPTForCausalLM",
]
FLOAT64_NAMES = [each for each in NAMES if each != "Llama4ForCausalLM"]  # parts of it compute in float32


def tokens() -> NDArray[np.int64]:
    made: NDArray[np.int64] = np.random.default_rng(0).integers(3, 61, TOKENS)
    return made


def hidden_items() -> NDArray[np.bool_]:
    """Nothing; the first tokens; a part of the window; tokens on both sides of the border; many parts."""
    hidden = np.zeros((5, TOKENS), np.bool_)
    hidden[1, :6] = hidden[2, 14:18] = hidden[3, 17:23] = True
    hidden[4] = np.random.default_rng(1).random(TOKENS) < 0.5
    return hidden


def plain_pass(model: Any, hidden: NDArray[np.bool_]) -> NDArray[np.float64]:
    """One pass with the whole matrix: Transformers' own mask, without the hidden keys of the last rows."""
    from transformers import AttentionInterface, AttentionMaskInterface

    shown = np.ones((TOKENS, TOKENS), np.bool_)
    shown[HELD:, hidden] = False
    np.fill_diagonal(shown, val=True)

    def mask(*args: Any, **options: Any) -> Any:
        return plain_mask(*args, **options) & torch.from_numpy(shown)

    AttentionInterface.register("plain with hidden keys", plain_attention)
    AttentionMaskInterface.register("plain with hidden keys", mask)
    [found] = logits(model, "plain with hidden keys", input_ids=torch.from_numpy(tokens()[None]))
    return np.asarray(found)


def after_prefix(model: Any, hidden: NDArray[np.bool_], last: int = TOKENS - HELD) -> NDArray[np.float64]:
    prefix = SharedPrefix(model)
    prefix.read(tokens())
    rows = np.repeat(tokens()[None, HELD:], len(hidden), axis=0)
    found: NDArray[np.float64] = prefix.begin(HELD, hidden).run(rows, last).double().numpy()
    return found


@pytest.mark.parametrize("name", FLOAT64_NAMES)
def test_in_float64_rows_after_a_prefix_are_those_of_a_plain_pass(name: str) -> None:
    model = in_float64(build(name))
    found = after_prefix(model, hidden_items())
    for item, hidden in zip(found, hidden_items(), strict=True):
        expected = plain_pass(model, hidden)[HELD:]
        assert np.abs(item - expected).max() < 2.0**-40 * np.abs(expected).max()
    assert np.abs(found[1:] - found[0]).max() > 0.01  # what is hidden changes the rows, or nothing was tested


@pytest.mark.parametrize("name", NAMES)
def test_in_float32_they_are_as_exact_as_a_plain_pass(name: str) -> None:
    model = build(name)
    for item, hidden in zip(after_prefix(model, hidden_items()), hidden_items(), strict=True):
        plain, truth = plain_pass(model, hidden)[HELD:], plain_pass(in_float64(model), hidden)[HELD:]
        assert_as_exact_as_eager(item, plain, truth)


@pytest.mark.parametrize("name", FLOAT64_NAMES)
def test_keys_hidden_in_one_pass_are_hidden_as_in_a_plain_pass(name: str) -> None:
    model = in_float64(build(name))
    for hidden in hidden_items():
        found = logits_of_pass(model, tokens(), TOKENS - HELD, first_row=HELD, hidden=hidden).double().numpy()
        expected = plain_pass(model, hidden)[HELD:]
        assert np.abs(found - expected).max() < 2.0**-40 * np.abs(expected).max()


def test_a_chunk_after_the_first_rows_continues_them() -> None:
    model = in_float64(build("Gemma3ForCausalLM"))
    prefix = SharedPrefix(model)
    prefix.read(tokens())
    following = prefix.begin(HELD, hidden_items()[:2])
    pair = np.repeat(tokens()[None], 2, axis=0)
    chunks = [following.run(pair[:, start : start + 4], 4) for start in range(HELD, TOKENS, 4)]
    found = torch.cat(chunks, dim=1).double().numpy()
    np.testing.assert_allclose(found, after_prefix(model, hidden_items()[:2]), rtol=0, atol=2.0**-40 * 10)


def test_only_the_last_rows_have_logits() -> None:
    model = build("LlamaForCausalLM")
    whole = after_prefix(model, hidden_items())
    assert after_prefix(model, hidden_items(), last=3).shape == (5, 3, whole.shape[-1])


def test_the_model_has_its_own_attention_again() -> None:
    model = build("LlamaForCausalLM")
    before = logits(model, "sdpa", input_ids=torch.from_numpy(tokens()[None]))
    after_prefix(model, hidden_items())
    assert model.config._attn_implementation != "attnscope"
    np.testing.assert_array_equal(logits(model, "sdpa", input_ids=torch.from_numpy(tokens()[None])), before)


def test_what_keys_receive_is_the_mean_of_eager_weights() -> None:
    model = build("Gemma3ForCausalLM")
    prefix = SharedPrefix(model)
    prefix.read(tokens())
    factors = np.zeros(TOKENS - HELD, np.float32)
    factors[-2:] = 0.5
    following = prefix.begin(HELD, np.zeros((1, TOKENS), np.bool_), factors)
    following.run(tokens()[None, HELD:], 1)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        weights = model(input_ids=torch.from_numpy(tokens()[None]), output_attentions=True).attentions
    for found, expected in zip(following.follower.received, weights, strict=True):
        np.testing.assert_allclose(found, expected[0, :, -2:].mean(dim=1).numpy(), rtol=0, atol=2.0**-18)


@pytest.mark.filterwarnings("ignore")  # kernels that are not installed
def test_recurrent_states_are_refused() -> None:
    from tests.inspection.test_transformers_kinds import jamba

    with pytest.raises(
        UnsupportedProblemError, match=r"layer 0 of JambaForCausalLM keeps a .*, not keys and"
    ):
        SharedPrefix(jamba())
