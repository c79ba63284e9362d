"""The node cases of onnx >= 1.23: all 93 of Attention and all 8 of RotaryEmbedding, none skipped.

Tolerances. Expected values come from NumPy in the inputs' format. For float32 they are compared under
onnx's own rtol and atol. In float16 and bfloat16 they carry that format's error in every step, so they are
compared under the bound that tests/tolerance.py derives for arithmetic in that format; and, as that is
wide, every output is also held against our float64 reference, under the bound for float32 arithmetic.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from attnscope import reference
from attnscope.attention import Implementation, attention
from attnscope.positions import Style, turn
from tests.conformance.onnx_cases import NodeCase, collect
from tests.conformance.onnx_node import STAGES, join_like, read_node, split
from tests.problems import Case
from tests.tolerance import Bound, assert_matches_oracle, assert_within, error_bound

HERE = Path(__file__).parent
ATTENTION = (HERE / "attention_cases.txt").read_text().split()
ROTARY = (HERE / "rotary_cases.txt").read_text().split()


def asks_for_scores(node: NodeCase) -> bool:
    return "qk_matmul_output" in node.outputs


def implementation(node: NodeCase) -> Implementation:
    """The kernel never holds a score matrix: who asks for one is served by the reference."""
    return "reference" if asks_for_scores(node) else "kernel"


def test_these_are_all_of_onnx_s_cases() -> None:
    nodes = collect("Attention")
    assert list(nodes) == ATTENTION
    assert list(collect("RotaryEmbedding")) == ROTARY
    on_the_kernel = [name for name in nodes if implementation(nodes[name]) == "kernel"]
    assert (len(nodes), len(on_the_kernel), len(nodes) - len(on_the_kernel)) == (93, 75, 18)
    assert len(ROTARY) == 8


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_answers_as_onnx_says(name: str) -> None:
    node = collect("Attention")[name]
    case = read_node(node)
    output = attention(*case.arrays, **case.options, implementation=implementation(node))
    expected = node.outputs["Y"]
    assert output.dtype == expected.dtype
    assert_agrees(node, case, "output", output, split(expected, case.query.shape[1]))
    assert_matches_oracle(output, case)
    assert join_like(expected, output).shape == expected.shape
    if asks_for_scores(node):
        assert_agrees(node, case, *score_matrix(node, case), node.outputs["qk_matmul_output"])
    if "present_key" in node.outputs:
        np.testing.assert_array_equal(case.key, node.outputs["present_key"])
        np.testing.assert_array_equal(case.value, node.outputs["present_value"])


def score_matrix(node: NodeCase, case: Case) -> tuple[str, NDArray[Any]]:
    mode = node.attributes.get("qk_matmul_output_mode", 0)
    if mode == len(STAGES):
        return "weights", reference.weights(case.query, case.key, **case.options)
    return "scores", reference.scores(case.query, case.key, stage=STAGES[mode], **case.options)


def assert_agrees(
    node: NodeCase, case: Case, what: str, actual: NDArray[Any], expected: NDArray[Any]
) -> None:
    wide = expected.astype(np.float64)
    if expected.dtype == np.float32:
        allowed = node.atol + node.rtol * np.abs(wide)
    else:
        bound: Bound = error_bound(case, arithmetic=expected.dtype, output=expected.dtype)
        allowed = getattr(bound, what)
    assert_within(actual, wide, allowed, what)


@pytest.mark.parametrize("name", ROTARY)
def test_rotary_embedding_turns_as_onnx_says(name: str) -> None:
    node = collect("RotaryEmbedding")[name]
    x = split(node.inputs["input"], node.attributes.get("num_heads"))
    cosines, sines = (cache_of_tokens(node, cache) for cache in ("cos_cache", "sin_cache"))
    style: Style = "interleaved" if node.attributes.get("interleaved") else "half"
    expected = node.outputs["output"]
    turned = join_like(expected, turn(x, cosines, sines, style))
    assert turned.dtype == expected.dtype
    np.testing.assert_allclose(turned, expected, rtol=node.rtol, atol=node.atol)


def cache_of_tokens(node: NodeCase, name: str) -> NDArray[Any]:
    """(batch, 1, tokens, pairs): the same angles for all heads."""
    cache = node.inputs[name]
    chosen = cache[node.inputs["position_ids"]] if "position_ids" in node.inputs else cache
    return chosen[:, None]


# Every key of these two holds the same value.
CANNOT_TELL_VALUES_APART = [
    "attention_3d_transpose_verification",
    "attention_local_window_ext_cache_float16_mask",
]


def test_a_wrong_answer_fails_all_cases_but_two() -> None:
    """The tolerances are of use only if a wrong answer fails: here each key's value is its neighbour's."""
    fooled = []
    for name, node in collect("Attention").items():
        case = read_node(node)
        wrong = reference.attention(case.query, case.key, np.roll(case.value, 1, axis=2), **case.options)
        try:
            assert_agrees(node, case, "output", wrong, split(node.outputs["Y"], case.query.shape[1]))
        except AssertionError:
            continue
        fooled.append(name)
    assert fooled == CANNOT_TELL_VALUES_APART
