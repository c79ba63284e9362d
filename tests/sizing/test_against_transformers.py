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
from attnscope.sizing.architectures.known import FAMILIES
from tests.sizing.real_caches import CACHE_ENGINES, Outcome, compare, default_config, model_types

CONFIGS = sorted((Path(__file__).parent / "configs").glob("*.json"))
# architectures that Transformers runs under another name
RUNS_AS = {"kimi_k2": "deepseek_v3"}
TIED_BY_TRANSFORMERS = {"flan-t5-xl"}  # whatever its file says
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
        said = f"{type(error).__name__}: {str(error)[:100]}"
        return Outcome(
            model_type, dict.fromkeys(CACHE_ENGINES, "not runnable"), dict.fromkeys(CACHE_ENGINES, said)
        )
    return compare(model_type, fields)


def in_processes(work: Callable[[Any], Outcome], items: Sequence[Any]) -> list[Outcome]:
    """All outcomes, from a process a core; what was lost when one died is tried once more, each alone."""
    outcomes = attempt(work, items, os.cpu_count())
    for item in [item for item in items if item not in outcomes]:
        died = Outcome(str(item), dict.fromkeys(CACHE_ENGINES, "not runnable"))
        died.said = dict.fromkeys(CACHE_ENGINES, "its process died")
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
                print(f"  {verdict}: {outcome.name}: {outcome.said[engine]}")
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
    assert counts["equal"] > 3 * counts["refused"], "refusing must not be the cheap way out"


@pytest.mark.parametrize("model_type", sorted(name for name, family in FAMILIES.items() if family.defaults))
def test_a_documented_default_is_transformers_own(model_type: str) -> None:
    fields = default_config(model_type)
    for name, value in FAMILIES[model_type].defaults.items():
        assert fields[name] == value, name


@pytest.mark.parametrize("model_type", sorted(FAMILIES))
def test_the_rule_for_missing_layer_types_is_transformers_own(model_type: str) -> None:
    """Which layers slide, look at a chunk or keep a state, where a file does not list them."""
    import transformers

    if model_type not in transformers.CONFIG_MAPPING:
        pytest.skip(f"{model_type} is the name of this room's own")
    fields = {name: value for name, value in default_config(model_type).items() if name != "layer_types"}
    fields.pop("per_layer_config", None)
    try:
        model = describe_model(fields)
    except at.ConfigError as error:
        pytest.skip(f"refused: {error}")
    listed = getattr(transformers.CONFIG_MAPPING[model_type].from_dict(dict(fields)), "layer_types", None)
    if listed is not None:
        slides = [word in ("sliding_attention", "chunked_attention") for word in listed]
        assert [layer.window is not None for layer in model.layers] == slides
        keeps = [word in ("linear_attention", "conv", "hybrid") for word in listed]
        assert [bool(layer.states) for layer in model.layers] == keeps


@pytest.mark.parametrize("model_type", sorted(FAMILIES))
def test_a_field_that_is_left_out_is_what_the_class_fills_in_or_refused(model_type: str) -> None:
    """Each field of the default config in turn: a plan is as large as with the class's own values."""
    import transformers

    if model_type not in transformers.CONFIG_MAPPING:
        pytest.skip(f"{model_type} is the name of this room's own")
    whole, architecture = default_config(model_type), transformers.CONFIG_MAPPING[model_type]
    wrong = []
    for name in sorted(set(whole) - {"model_type", "is_decoder", "is_encoder_decoder", "text_config"}):
        given = {other: value for other, value in whole.items() if other != name}
        try:
            found = at.size(given, context=5_000).cache_bytes
        except at.ConfigError:
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
            wrong.append(f"{name}: {found:,} bytes, where Transformers' own values give {expected}")
    assert not wrong
