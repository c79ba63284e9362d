"""Costs of single layers that no model of the tests has alone."""

from attnscope.sizing.costs import Costs, state_flops
from attnscope.sizing.model import Layer, ModelDescription, Rows, State


def test_a_state_takes_6_operations_a_number_and_a_convolution_2() -> None:
    layer = Layer("state space", states=(State("convolution", (5, 4)), State("recurrent", (5, 16))))
    assert state_flops(layer) == 2 * 20 + 6 * 80


def test_a_layer_that_shares_an_earlier_one_s_rows_reads_them_and_writes_none() -> None:
    rows = (Rows("key", 1, 2), Rows("value", 1, 2))
    own = Layer("full", rows, query_heads=1, key_dim=2, value_dim=2)
    shared = Layer("full, shared", rows, shared=True, query_heads=1, key_dim=2, value_dim=2)
    costs = Costs(ModelDescription("made up", (own, shared)), "bfloat16", "bfloat16", "bfloat16")
    moved = {part.name: part.moved_bytes for part in costs.step(10, 3)}
    assert moved["attention"] == 3 * 2 * 10 * 8
    assert moved["cache"] == 3 * 1 * 8
