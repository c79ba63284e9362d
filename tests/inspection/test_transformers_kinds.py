"""Kinds of models under inspection: hybrids, models without attention, and models that read no text."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attnscope.inspection import InspectionError, Request, inspect

torch = pytest.importorskip("torch", reason="needs torch: make test-models")
transformers = pytest.importorskip("transformers", reason="needs transformers: make test-models")

TEXT = "the cat sat on the mat . the cat sat on a dog ."
Save = Callable[..., Path]


def jamba() -> Any:
    """Layers 1 and 3 of 5 have attention, the others are recurrences."""
    torch.manual_seed(0)
    sizes = {
        "vocab_size": 40,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 5,
        "num_attention_heads": 4,
    }
    mamba = {"use_mamba_kernels": False, "mamba_d_state": 4, "mamba_dt_rank": 4, "num_experts": 1}
    places = {"attn_layer_period": 2, "attn_layer_offset": 1, "num_key_value_heads": 2, "bos_token_id": 1}
    return transformers.JambaForCausalLM(transformers.JambaConfig(**sizes, **mamba, **places)).eval()


@pytest.mark.filterwarnings("ignore")  # kernels that are not installed
def test_of_a_hybrid_the_layers_with_attention_are_observed_by_their_own_numbers(save: Save) -> None:
    folder = save(jamba())
    for asked, numbers in ((None, [1, 3]), ("3", [3]), ("2-4", [3])):
        found = inspect(Request(TEXT, model=folder, layers=asked))
        assert [layer.number for layer in found.layers] == numbers
    assert found.layers[0].name == "layers.3.self_attn"
    with pytest.raises(
        InspectionError, match=r"layers='2', expected some of 1, 3: the model's other layers have no"
    ):
        inspect(Request(TEXT, model=folder, layers="2"))


@pytest.mark.filterwarnings("ignore")
def test_a_model_without_attention_is_refused(save: Save) -> None:
    sizes = {"vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}
    folder = save(transformers.MambaForCausalLM(transformers.MambaConfig(**sizes)))
    with pytest.raises(
        InspectionError, match=r"tiny-model' cannot be observed: the model ran, and none of its attention"
    ):
        inspect(Request(TEXT, model=folder))


def test_a_model_that_reads_no_text_is_refused(save: Save) -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    vision = transformers.ViTModel(transformers.ViTConfig(**sizes, image_size=16, patch_size=8))
    both = {
        "text_config": sizes | {"vocab_size": 40},
        "vision_config": sizes | {"image_size": 16, "patch_size": 8},
    }
    pair = transformers.CLIPModel(transformers.CLIPConfig(**both))
    for model, message in (
        (vision, r"tiny-model' is vit, which reads pixel_values, expected a model that reads a text"),
        (pair, r"tiny-model' does not run on a text alone: "),
    ):
        folder = save(model)
        with pytest.raises(InspectionError, match=message):
            inspect(Request(TEXT, model=folder))
