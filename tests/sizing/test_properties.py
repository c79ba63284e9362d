"""What holds for every config: sums, growth, engines, and no error but ours."""

import copy
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import attnscope as at
from tests.sizing.published import NAMES, config

ENGINES = ("hf", "hf-static", "vllm", "llama.cpp", "attnscope")


def test_there_are_enough_real_models() -> None:
    assert len(NAMES) >= 40


@pytest.mark.parametrize("name", NAMES)
def test_the_explanation_adds_up(name: str) -> None:
    plan = at.size(config(name), context=5_000, batch=3)
    lines = plan.explain().splitlines()
    (total,) = [line for line in lines if line.startswith("cache: ")]
    terms, result = total.removeprefix("cache: ").split(" bytes = ")[0].rsplit(" = ", 1)
    numbers = [int(term.replace(",", "")) for term in terms.split(" + ")]
    assert sum(numbers) == int(result.replace(",", "")) == plan.cache_bytes
    for row, line in zip(plan.layers, lines, strict=False):
        assert row.formula in line
        assert int(re.findall(r"([\d,]+) bytes$", line)[0].replace(",", "")) == row.cache_bytes
    assert all(note in repr(plan) and note in plan.explain() for note in plan.notes)


@pytest.mark.parametrize("engine", ENGINES)
@given(name=st.sampled_from(NAMES), context=st.integers(0, 300_000), more=st.integers(0, 5_000))
def test_more_tokens_never_take_less(engine: str, name: str, context: int, more: int) -> None:
    """Pages that windows free make the paged engines swing by at most one page per layer, or one chunk."""
    try:
        less, plan = (
            at.size(config(name), context=tokens, engine=engine) for tokens in (context, context + more)
        )
    except at.ConfigError:
        return  # an engine that has no such cache
    slack = 0
    if engine in ("vllm", "attnscope"):
        pieces = {"chunked": 8_192}
        slack = sum(row.layers * row.bytes_per_token * pieces.get(row.kind, 64) for row in less.layers)
    assert less.cache_bytes <= plan.cache_bytes + slack


@given(name=st.sampled_from(NAMES), batch=st.integers(1, 50), context=st.integers(1, 10_000))
def test_a_batch_is_so_many_sequences(name: str, batch: int, context: int) -> None:
    one = at.size(config(name), context=context)
    assert at.size(config(name), context=context, batch=batch).cache_bytes == batch * one.cache_bytes


@given(name=st.sampled_from(NAMES), context=st.integers(20_000, 100_000))
def test_beyond_all_windows_each_token_adds_the_same(name: str, context: int) -> None:
    plans = [at.size(config(name), context=tokens, encoder_context=None) for tokens in (context, context + 1)]
    cross = sum(row.layers * row.bytes_per_token for row in plans[0].layers if row.kind == "cross")
    expected = plans[0].bytes_per_token + (cross if plans[0].model.encoder_tokens is None else 0)
    if not any(layer.window and layer.window > context for layer in plans[0].model.layers):
        assert plans[1].cache_bytes - plans[0].cache_bytes == expected


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.just(10**400),
    st.just("auto"),
    st.lists(st.integers(0, 3), max_size=3),
    st.recursive(
        st.none(), lambda inner: st.dictionaries(st.text(max_size=3), inner, max_size=2), max_leaves=5
    ),
    st.lists(st.sampled_from(["full_attention", "sliding_attention", "mamba", "odd"]), max_size=4),
)


@given(data=st.data(), name=st.sampled_from(NAMES), engine=st.sampled_from(ENGINES))
def test_a_spoiled_config_is_sized_or_refused(data: st.DataObject, name: str, engine: str) -> None:
    """Fields changed, dropped, added: a plan whose rows add up, or our own error."""
    fields = copy.deepcopy(config(name))
    for _ in range(data.draw(st.integers(1, 3))):
        inner: Any = fields.get("text_config")
        target = inner if isinstance(inner, dict) and data.draw(st.booleans()) else fields
        extra = [
            "kv_extra",
            "sliding_window",
            "layer_types",
            "num_experts",
            "text_config",
            "dtype",
            "head_dim",
        ]
        field = data.draw(st.sampled_from([*sorted(target), *extra]))
        if data.draw(st.booleans()):
            target[field] = data.draw(ODD)
        else:
            target.pop(field, None)
    try:
        plan = at.size(fields, context=100, engine=engine, memory=2**36)
    except at.ConfigError:
        return
    assert plan.cache_bytes == sum(row.cache_bytes for row in plan.layers) >= 0
    assert plan.explain()
    assert repr(plan)
