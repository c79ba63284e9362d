"""Rollout without matrices equals the product of the matrices."""

from typing import Any

import numpy as np
import pytest

import attnscope as at
from tests.tolerance import of_a_sum

RNG = np.random.default_rng(6)
LAYERS: list[dict[str, Any]] = [
    dict(zip(("query", "key", "value"), (RNG.standard_normal((2, h, 30, 8)) for h in (4, 2, 2)), strict=True))
    | {"mask": at.Causal()}
    for _ in range(3)
]


WRONG_BY = len(LAYERS) * of_a_sum(0)  # in float64, but for each layer's shares, which are float32


@pytest.mark.parametrize(("row", "residual"), [(-1, 0.5), (4, 0.0), (29, 0.9)])
def test_it_is_the_product_of_the_layers_matrices(row: int, residual: float) -> None:
    product = np.broadcast_to(np.eye(30), (2, 30, 30))
    for layer in LAYERS:
        weights = at.reference.weights(layer["query"], layer["key"], mask=layer["mask"]).mean(axis=1)
        product = (residual * np.eye(30) + (1 - residual) * weights) @ product
    share = at.observation.rollout(LAYERS, row=row, residual=residual)
    np.testing.assert_allclose(share, product[:, row], rtol=WRONG_BY)
    np.testing.assert_allclose(share.sum(axis=-1), 1, rtol=WRONG_BY)


def test_two_axes_are_one_head() -> None:
    flat = {name: array[0, 0] for name, array in LAYERS[0].items() if name != "mask"}
    assert at.observation.rollout([flat]).shape == (1, 30)


@pytest.mark.parametrize(
    ("layers", "options", "message"),
    [
        ([], {}, "layers is empty"),
        (LAYERS, {"row": 30}, "row=30: expected one of 30 tokens, -30 to 29"),
        (LAYERS, {"residual": 1.5}, "residual=1.5: expected a share from 0 to 1"),
        (
            [LAYERS[0] | {"key": LAYERS[0]["key"][:, :, :20]}],
            {},
            "layer 0 has 30 queries and 20 keys, expected 30 of both",
        ),
    ],
)
def test_bad_input_is_refused(layers: Any, options: Any, message: str) -> None:
    with pytest.raises(at.AttentionError, match=message):
        at.observation.rollout(layers, **options)
