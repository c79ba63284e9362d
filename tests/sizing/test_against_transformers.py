"""Sizes beside the caches that the installed Transformers makes, of real and of default configs."""

import copy
import importlib.util
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

import attnscope as at
from attnscope.sizing import describe_model
from attnscope.sizing.architectures import known_model_types
from attnscope.sizing.architectures.known import DIVIDED, FAMILIES
from tests.sizing.real_caches import CACHE_ENGINES, Outcome, build_error, compare, default_config, model_types
from tests.sizing.refusals_with_a_reason import (
    DEFAULTS,
    NOT_BUILT,
    NOT_KNOWN,
    OTHER_FIELDS,
    SIZES,
    WITHIN_ANOTHER,
    WITHOUT_A_RULE,
)

CONFIGS = sorted((Path(__file__).parent / "configs").glob("*.json"))
# architectures that Transformers runs under another name
RUNS_AS = {"kimi_k2": "deepseek_v3"}
TIED_BY_TRANSFORMERS = {"flan-t5-xl"}  # although its file does not tie them
missing = [name for name in ("torch", "transformers") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.skipif(bool(missing), reason=f"{' and '.join(missing)} not installed here: make test-models"),
    pytest.mark.filterwarnings("ignore"),
]


def compare_file(path: Path) -> Outcome:
    fields = json.loads(path.read_text(encoding="utf-8"))
    return compare(path.stem, fields, RUNS_AS.get(fields["model_type"]))


def compare_default(model_type: str) -> Outcome:
    try:
        fields = default_config(model_type)
    except Exception as error:  # noqa: BLE001  # whatever a foreign config raises is its outcome
        reason = f"{type(error).__name__}: {str(error)[:100]}"
        return Outcome(
            model_type, dict.fromkeys(CACHE_ENGINES, "not runnable"), dict.fromkeys(CACHE_ENGINES, reason)
        )
    return compare(model_type, fields)


def in_processes(work: Callable[[Any], Outcome], items: Sequence[Any]) -> list[Outcome]:
    """All outcomes, from a process a core; what was lost when one died is tried once more, each alone."""
    outcomes = attempt(work, items, os.cpu_count())
    for item in [item for item in items if item not in outcomes]:
        died = Outcome(str(item), dict.fromkeys(CACHE_ENGINES, "not runnable"))
        died.reasons = dict.fromkeys(CACHE_ENGINES, "its process died")
        outcomes[item] = attempt(work, [item], 1).get(item, died)
    return [outcomes[item] for item in items]


def attempt(work: Callable[[Any], Outcome], items: Sequence[Any], cores: int | None) -> dict[Any, Outcome]:
    """What was done before a process died, if one did."""
    outcomes: dict[Any, Outcome] = {}
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as workers:
        running = {item: workers.submit(work, item) for item in items}
        for item, future in running.items():
            with suppress(BrokenProcessPool):
                outcomes[item] = future.result()
    return outcomes


@pytest.fixture(scope="module")
def of_files() -> list[Outcome]:
    return in_processes(compare_file, CONFIGS)


@pytest.fixture(scope="module")
def of_defaults() -> list[Outcome]:
    return in_processes(compare_default, model_types())


def report(title: str, outcomes: list[Outcome], engine: str) -> Counter[str]:
    """Print the four counts, and whatever is not equal with its reason."""
    counts = Counter(outcome.verdicts[engine] for outcome in outcomes)
    order = ("equal", "refused", "wrong", "not runnable")
    print(f"\n{title}, engine {engine}: {', '.join(f'{counts[verdict]} {verdict}' for verdict in order)}")
    for verdict in order[1:]:
        for outcome in outcomes:
            if outcome.verdicts[engine] == verdict:
                print(f"  {verdict}: {outcome.name}: {outcome.reasons[engine]}")
    return counts


def test_every_real_config_is_sized_as_transformers_caches_it(
    of_files: list[Outcome], capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        counts = report("real configs", of_files, "hf")
    assert counts == {"equal": len(CONFIGS)}


def test_no_real_config_is_sized_wrong_for_a_static_cache(
    of_files: list[Outcome], capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        counts = report("real configs", of_files, "hf-static")
    assert not counts["wrong"]
    assert not counts["refused"]


def test_estimated_weights_are_near_the_real_ones(of_files: list[Outcome]) -> None:
    """Within 1 %: norms, biases and position embeddings are left out."""
    far = {}
    for path, outcome in zip(CONFIGS, of_files, strict=True):
        fields = json.loads(path.read_text(encoding="utf-8"))
        estimated = describe_model(fields).weights
        if estimated is None or "vision_config" in fields or path.stem in TIED_BY_TRANSFORMERS:
            continue
        assert outcome.parameters is not None
        if abs(estimated / outcome.parameters - 1) > 0.01:
            far[path.stem] = (estimated, outcome.parameters)
    assert not far


@pytest.mark.parametrize("engine", CACHE_ENGINES)
def test_no_default_config_is_sized_wrong(
    engine: str, of_defaults: list[Outcome], capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        counts = report("default configs", of_defaults, engine)
    assert not counts["wrong"]
    refused = {outcome.name for outcome in of_defaults if outcome.verdicts[engine] == "refused"}
    assert refused <= NOT_KNOWN | DEFAULTS


def test_no_known_architecture_is_on_the_list_of_unknown_ones() -> None:
    assert not NOT_KNOWN & set(known_model_types())


@pytest.mark.parametrize("model_type", sorted(name for name, family in FAMILIES.items() if family.defaults))
def test_a_documented_default_is_transformers_own(model_type: str) -> None:
    fields = default_config(model_type)
    for name, value in FAMILIES[model_type].defaults.items():
        assert fields[name] == value, name


OF_TRANSFORMERS = sorted(FAMILIES)


def test_every_architecture_is_one_of_transformers() -> None:
    import transformers

    assert [name for name in OF_TRANSFORMERS if name not in transformers.CONFIG_MAPPING] == []


@pytest.mark.parametrize("model_type", OF_TRANSFORMERS)
def test_the_rule_for_missing_layer_types_is_transformers_own(model_type: str) -> None:
    """Which layers slide, see a chunk or keep a state, if a file does not list them."""
    import transformers

    fields = {name: value for name, value in default_config(model_type).items() if name != "layer_types"}
    fields.pop("per_layer_config", None)
    if model_type in WITHOUT_A_RULE:
        with pytest.raises(at.ConfigError, match="layer_types is missing"):
            describe_model(fields)
        return
    model = describe_model(fields)
    listed = getattr(transformers.CONFIG_MAPPING[model_type].from_dict(dict(fields)), "layer_types", None)
    if listed is not None:
        slides = [word in ("sliding_attention", "chunked_attention") for word in listed]
        assert [layer.window is not None for layer in model.layers] == slides
        keeps = [word in ("linear_attention", "conv", "hybrid") for word in listed]
        assert [bool(layer.states) for layer in model.layers] == keeps


@pytest.mark.parametrize("model_type", sorted(set(OF_TRANSFORMERS) - DEFAULTS))
def test_a_field_that_is_left_out_is_what_the_class_fills_in_or_refused(model_type: str) -> None:
    """Each field of the default config in turn: a plan is as large as with the class's own values."""
    import transformers

    whole, architecture = default_config(model_type), transformers.CONFIG_MAPPING[model_type]
    wrong = []
    for name in sorted(set(whole) - {"model_type", "is_decoder", "is_encoder_decoder", "text_config"}):
        given = {other: value for other, value in whole.items() if other != name}
        try:
            found = at.size(given, context=5_000).cache_bytes
        except at.ConfigError as error:
            if not has_a_reason(model_type, name, str(error)):
                wrong.append(f"{name}: refused without a reason on the list: {error}")
            continue
        try:
            filled = architecture.from_dict(copy.deepcopy(given)).to_dict()
        except Exception:  # noqa: BLE001  # the class itself cannot read such a file
            continue
        try:
            expected = at.size(filled | {"is_decoder": True}, context=5_000).cache_bytes
        except at.ConfigError:
            expected = None
        if found != expected:
            wrong.append(f"{name}: {found:,} bytes, and {expected} with the values of Transformers")
    assert not wrong


def has_a_reason(model_type: str, name: str, error: str) -> bool:
    """Whether a refusal without this field is on a list, and is about it."""
    if (model_type, name) in OTHER_FIELDS:
        return error.startswith(OTHER_FIELDS[model_type, name])
    return name in SIZES and error.startswith(f"{name} is missing")


def test_a_refusal_without_a_reason_fails() -> None:
    assert has_a_reason("llama", "hidden_size", "hidden_size is missing, and llama has no default.")
    assert not has_a_reason("llama", "vocab_size", "vocab_size is missing")
    assert not has_a_reason("llama", "hidden_size", "num_key_value_heads=3: expected")


WITH_HEADS = [name for name, family in FAMILIES.items() if family.heads]
BUILT: dict[str, dict[str, Any]] = {
    "MiMo without layer_types": {
        "model_type": "mimo_v2_flash",
        "num_hidden_layers": 8,
        "hidden_size": 256,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "v_head_dim": 16,
        "sliding_window": 50,
    },
    "MiMo with sliding_window_size": {
        "model_type": "mimo_v2_flash",
        "num_hidden_layers": 8,
        "hidden_size": 256,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "sliding_window": 70,
        "sliding_window_size": 50,
    },
    "MiniCPM3 without v_head_dim": {
        "model_type": "minicpm3",
        "num_hidden_layers": 2,
        "hidden_size": 256,
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
        "kv_lora_rank": 32,
        "q_lora_rank": 64,
        "qk_rope_head_dim": 16,
        "qk_nope_head_dim": 32,
    },
    **{
        f"{model_type} with an intermediate_size beside expand": {
            "model_type": model_type,
            "num_hidden_layers": 2,
            "hidden_size": 256,
            "intermediate_size": 777,
            "expand": 3,
            "state_size": 16,
            "conv_kernel": 4,
        }
        for model_type in ("mamba", "falcon_mamba")
    },
}


@pytest.mark.parametrize("model_type", sorted(set(WITH_HEADS) - NOT_BUILT - WITHIN_ANOTHER))
def test_a_width_that_the_heads_do_not_divide_is_refused_exactly_if_transformers_does(
    model_type: str,
) -> None:
    fields = default_config(model_type)
    names = FAMILIES[model_type].names
    hidden, heads = (
        next(name for name in each if name in fields) for each in (names.hidden, names.query_heads)
    )
    fields[hidden] += 1 if fields[heads] > 1 else 0
    fields.pop("head_dim", None)
    error = build_error(fields)
    refused = error is not None and ("a multiple of" in error or "divisible by" in error)
    assert refused == (model_type in DIVIDED.split()), error


SMALL = {"vocab_size": 100, "intermediate_size": 64}


@pytest.mark.parametrize("name", BUILT)
def test_what_transformers_builds_is_sized_as_it_caches(name: str) -> None:
    assert compare(name, {**SMALL, **BUILT[name]}).verdicts["hf"] == "equal"
