"""ALiBi's slopes and rotary embedding, against numbers and plain trigonometry."""

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnscope.errors import AttentionFormatError, AttentionScoringError, AttentionShapeError
from attnscope.positions import alibi_slopes, apply_rotary
from tests.problems import DTYPES
from tests.tolerance import unit


def slopes_by_the_paper(heads: int) -> list[float]:
    """Press et al.'s rule: a geometric sequence; for other counts, every second one of the next."""
    if math.log2(heads).is_integer():
        first = 2 ** (-8 / heads)
        return [first ** (h + 1) for h in range(heads)]
    below = 2 ** math.floor(math.log2(heads))
    return slopes_by_the_paper(below) + slopes_by_the_paper(2 * below)[0::2][: heads - below]


@pytest.mark.parametrize("heads", [*range(1, 34), 40, 71, 112, 128])
def test_slopes_are_the_paper_s(heads: int) -> None:
    slopes = alibi_slopes(heads)
    assert slopes.dtype == np.float32
    np.testing.assert_allclose(slopes, slopes_by_the_paper(heads), rtol=2 * unit(np.float32))


def test_slopes_of_eight_heads_are_powers_of_one_half() -> None:
    np.testing.assert_array_equal(alibi_slopes(8), 0.5 ** np.arange(1, 9))


@pytest.mark.parametrize("heads", [0, -1, 2.0, True, "8"])
def test_no_slopes_for_what_is_no_head_count(heads: Any) -> None:
    with pytest.raises(AttentionShapeError, match=r"heads=.*: expected an integer of at least 1"):
        alibi_slopes(heads)


def rotated_by_hand(x: list[float], position: float, base: float, style: str) -> list[float]:
    half = len(x) // 2
    result = list(x)
    for pair in range(half):
        i, j = (pair, pair + half) if style == "half" else (2 * pair, 2 * pair + 1)
        turned = complex(x[i], x[j]) * complex(
            math.cos(t := position * base ** (-2 * pair / len(x))), math.sin(t)
        )
        result[i], result[j] = turned.real, turned.imag
    return result


@pytest.mark.parametrize("style", ["half", "interleaved"])
@pytest.mark.parametrize("name", DTYPES)
@given(
    seed=st.integers(0, 2**32),
    pairs=st.integers(1, 9),
    first=st.integers(0, 131_072),
    base=st.floats(10, 1e6),
)
def test_rotation_is_a_complex_product_rounded_once(
    style: Any, name: str, seed: int, pairs: int, first: int, base: float
) -> None:
    x = np.random.default_rng(seed).standard_normal((2, 3, 2 * pairs)).astype(DTYPES[name])
    positions = np.arange(first, first + 3)
    rotated = apply_rotary(x, positions, base, style)
    assert rotated.dtype == x.dtype
    expected = np.array([
        [rotated_by_hand(x[h, i].tolist(), positions[i], base, style) for i in range(3)] for h in range(2)
    ])
    length = np.abs(x.astype(np.float64)).max() * 2
    # one rounding to the format; the angle is good to a few units of itself
    allowed = unit(x.dtype) * length + 4 * unit(np.float64) * (first + 3) * length
    np.testing.assert_allclose(rotated.astype(np.float64), expected, rtol=0, atol=allowed)


@pytest.mark.parametrize("style", ["half", "interleaved"])
def test_dot_products_depend_on_the_distance_only(style: Any) -> None:
    rng = np.random.default_rng(1)
    query, key = rng.standard_normal((2, 1, 16))
    dots = [
        (apply_rotary(query, [at + 5], style=style) @ apply_rotary(key, [at], style=style).T).item()
        for at in (0, 17, 1000)
    ]
    assert dots == pytest.approx([dots[0]] * 3, rel=1e-11)


def test_position_zero_turns_nothing() -> None:
    x = np.random.default_rng(1).standard_normal((1, 8)).astype(np.float32)
    np.testing.assert_array_equal(apply_rotary(x, [0]), x)


def test_the_bits_of_a_token_do_not_depend_on_its_neighbours() -> None:
    x = np.random.default_rng(1).standard_normal((2, 3, 301, 20)).astype(np.float32)
    whole = apply_rotary(x, np.arange(5000, 5301))
    strided = apply_rotary(x.swapaxes(1, 2).copy().swapaxes(1, 2), np.arange(5000, 5301))
    assert strided.tobytes() == whole.tobytes()
    for token in (0, 7, 299, 300):
        alone = apply_rotary(x[:, :, token : token + 1], [5000 + token])
        assert alone.tobytes() == whole[:, :, token : token + 1].tobytes()


def test_positions_may_differ_by_batch_row() -> None:
    x = np.random.default_rng(1).standard_normal((
        2,
        2,
        3,
        4,
    ))  # batch and heads alike: no axis gives itself away
    positions = np.array([[0, 1, 2], [10, 11, 12]])
    rotated = apply_rotary(x, positions)
    for row in range(2):
        np.testing.assert_array_equal(rotated[row], apply_rotary(x[row], positions[row]))


@pytest.mark.parametrize("style", ["half", "interleaved"])
def test_entries_beyond_rotary_dim_pass_unchanged(style: Any) -> None:
    x = np.random.default_rng(1).standard_normal((3, 10))
    rotated = apply_rotary(x, [1, 2, 3], style=style, rotary_dim=4)
    np.testing.assert_array_equal(rotated[:, 4:], x[:, 4:])
    np.testing.assert_array_equal(rotated[:, :4], apply_rotary(x[:, :4].copy(), [1, 2, 3], style=style))


def test_no_tokens_rotate_to_no_tokens() -> None:
    assert apply_rotary(np.zeros((2, 0, 4), np.float32), []).shape == (2, 0, 4)


X = np.zeros((2, 3, 4))


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((X, [0, 1]), AttentionShapeError, r"positions has shape \(2,\), expected \(3,\) or \(2, 3\)"),
        (
            (X[..., :3], [0, 1, 2]),
            AttentionShapeError,
            r"rotary_dim=3: expected an even number up to dim=3",
        ),
        ((X[0, 0], [0]), AttentionShapeError, r"x has shape \(4,\), expected \(\.\.\., tokens, dim\)"),
        (
            (X.astype(int), [0, 1, 2]),
            AttentionFormatError,
            r"x is int64, expected a NumPy array of float32, bfloat16",
        ),
        ((X.astype(">f8"), [0, 1, 2]), AttentionFormatError, r"x is >f8, expected a NumPy array of float32"),
        ((X.tolist(), [0, 1, 2]), AttentionFormatError, r"x is list, expected a NumPy array"),
        ((X, ["a", "b", "c"]), AttentionFormatError, r"positions has dtype <U1, expected integers or floats"),
        ((X, [0, 1, 2], 0.0), AttentionScoringError, r"base=0.0: expected a finite number above 0"),
        ((X, [0, 1, 2], math.nan), AttentionScoringError, r"base=nan: expected a finite number above 0"),
        (
            (X, [0, 1, 2], 1e4, "neox"),
            AttentionScoringError,
            r"style='neox': expected 'half' or 'interleaved'",
        ),
    ],
)
def test_what_cannot_be_rotated_is_refused_by_name(arguments: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        apply_rotary(*arguments)


@pytest.mark.parametrize("rotary_dim", [0, 3, 6, -2])
def test_rotary_dim_is_an_even_part_of_dim(rotary_dim: int) -> None:
    with pytest.raises(
        AttentionShapeError, match=f"rotary_dim={rotary_dim}: expected an even number up to dim="
    ):
        apply_rotary(X, [0, 1, 2], rotary_dim=rotary_dim)


def test_x_is_not_written_to() -> None:
    x = np.ones((1, 2), dtype=ml_dtypes.bfloat16)
    x.flags.writeable = False
    assert apply_rotary(x, [1]) is not x
    assert (x == 1).all()
