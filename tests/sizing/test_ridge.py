"""Where the binding limit changes, and the seconds of many steps: by hand, and beside trying them all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import attnscope as at
from attnscope.sizing.costs import Costs
from attnscope.sizing.model import Layer, ModelDescription, Rows
from attnscope.sizing.roofline import ridge_batch, ridge_context, step_phase, steps_seconds
from tests.sizing.made_up import DENSE, EXPERTS


def machine(flops: float, read: float) -> at.Hardware:
    return at.Hardware("made up", flops_per_second=flops, bytes_per_second=read)


def test_the_batch_at_which_the_limit_changes_by_hand() -> None:
    """At 5 tokens: b * 3136 / 1000 > (2816 + 192 b) / 500 from b = 5.632 / 2.752 = 2.05 on."""
    found = at.roofline(DENSE, prompt=3, new_tokens=2, hardware=machine(1000.0, 500.0))
    assert found.ridge_batch == 3


def test_the_batch_of_the_weights_alone_by_hand() -> None:
    """Of a batch b: b * 2816 / 1000 > 2816 / 500 beyond b = 2; the tie at b = 2 is memory-bound."""
    found = at.roofline(DENSE, prompt=3000, new_tokens=2, hardware=machine(1000.0, 500.0))
    assert found.weights_ridge_batch == 3


def test_the_context_at_which_the_limit_changes_by_hand() -> None:
    """5 sequences: (14080 + 320 c) / 1100 > (2976 + 160 c) / 500 up to c = 6.848 / 0.029091 = 235.4."""
    found = at.roofline(DENSE, prompt=3, new_tokens=2, batch=5, hardware=machine(1100.0, 500.0))
    assert found.ridge_context == 236
    assert found.bound == "compute"


def test_there_is_no_ridge_if_memory_always_binds() -> None:
    found = at.roofline(DENSE, prompt=1000, new_tokens=2, hardware=machine(1e9, 1.0))
    assert (found.ridge_batch, found.ridge_context) == (None, None)
    assert (
        found.weights_ridge_batch == 10**9 + 1
    )  # a weight that is read once is worth one multiply-add per sequence
    assert "memory-bound at any batch" in str(found)
    assert "memory-bound at any context" in str(found)


def test_there_is_no_ridge_if_arithmetic_always_binds() -> None:
    found = at.roofline(DENSE, prompt=3, new_tokens=2, hardware=machine(1.0, 1e9))
    assert (found.ridge_batch, found.weights_ridge_batch, found.ridge_context) == (None, None, None)


def mixed(window: int, chunk: int) -> ModelDescription:
    """A layer of each sight, without weights but of the first."""
    rows = (Rows("key", 1, 2), Rows("value", 1, 2))
    sizes = {"rows": rows, "query_heads": 4, "key_dim": 2, "value_dim": 2}
    layers = (
        Layer("full", attention_weights=50, **sizes),  # type: ignore[arg-type]
        Layer("sliding", window=window, **sizes),  # type: ignore[arg-type]
        Layer("chunked", window=chunk, **sizes),  # type: ignore[arg-type]
    )
    return ModelDescription("made up", layers)


@given(
    window=st.integers(1, 12),
    chunk=st.integers(1, 12),
    first=st.integers(1, 30),
    steps=st.integers(1, 60),
    batch=st.integers(1, 4),
    ridge=st.floats(0.5, 20.0),
)
def test_the_steps_together_take_what_each_takes_alone(
    window: int, chunk: int, first: int, steps: int, batch: int, ridge: float
) -> None:
    costs = Costs(mixed(window, chunk), "bfloat16", "bfloat16", "bfloat16")
    hardware = machine(100.0 * ridge, 100.0)
    each = [step_phase(costs, hardware, context, batch).seconds for context in range(first, first + steps)]
    assert steps_seconds(costs, hardware, first, first + steps - 1, batch) == pytest.approx(sum(each))


@given(context=st.integers(1, 50), ridge=st.floats(0.5, 20.0), has_experts=st.booleans())
def test_the_batch_is_the_first_of_all_tried(context: int, ridge: float, has_experts: bool) -> None:
    from attnscope.sizing import describe_model

    costs = Costs(describe_model(EXPERTS if has_experts else DENSE), "bfloat16", "bfloat16", "bfloat16")
    hardware = machine(100.0 * ridge, 100.0)
    bounds = [step_phase(costs, hardware, context, batch).bound for batch in range(1, 200)]
    changes = [batch + 1 for batch in range(1, 199) if bounds[batch] != bounds[0]]
    found = ridge_batch(costs, hardware, context)
    assert found == changes[0] if changes else found is None or found > 199


@given(batch=st.integers(1, 30), ridge=st.floats(0.5, 6.0), window=st.integers(1, 40))
def test_the_context_is_the_first_of_all_tried(batch: int, ridge: float, window: int) -> None:
    costs = Costs(mixed(window, 1), "bfloat16", "bfloat16", "bfloat16")
    hardware = machine(100.0 * ridge, 100.0)
    bounds = [step_phase(costs, hardware, context, batch).bound for context in range(1, 400)]
    changes = [context + 1 for context in range(1, 399) if bounds[context] != bounds[0]]
    found = ridge_context(costs, hardware, batch)
    assert found == changes[0] if changes else found is None or found > 399
