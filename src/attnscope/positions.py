"""Where a token stands: ALiBi's slopes, and rotary position embedding."""

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attnscope.errors import AttentionFormatError, AttentionScoringError, AttentionShapeError

FORMATS = ("float32", "bfloat16", "float16", "float64")

Style = Literal["half", "interleaved"]


def alibi_slopes(heads: int) -> NDArray[np.float32]:
    """Slopes that make each head forget distance at its own rate.

    slope h of a power-of-two head count is 2^(-8 (h + 1) / heads),   h = 0, 1, ...

    Any other count takes the slopes of the power of two below it, then every second one (the first, the
    third, ...) of the power of two above it.

    Shapes
        slopes    (heads,)
    Precision
        float32, rounded once from float64; exact where the exponent is an integer.
    Errors
        AttentionShapeError for fewer than one head.
    Source
        Press et al. 2022, arXiv:2108.12409, section 3, and its released code for other head counts.

    >>> alibi_slopes(4).tolist()
    [0.25, 0.0625, 0.015625, 0.00390625]
    >>> alibi_slopes(3).tolist()
    [0.0625, 0.00390625, 0.25]
    """
    check_head_count(heads)
    below = 1 << (heads.bit_length() - 1)  # the largest power of two up to heads
    first = np.arange(1, below + 1) * (8.0 / below)
    between = np.arange(1, 2 * (heads - below), 2) * (8.0 / (2 * below))
    exponents: NDArray[np.float64] = -np.concatenate([first, between])
    return np.exp2(exponents).astype(np.float32)


def apply_rotary(
    x: NDArray[Any],
    positions: ArrayLike,
    base: float = 10000.0,
    style: Style = "half",
    *,
    rotary_dim: int | None = None,
) -> NDArray[Any]:
    """Turn each token's vector by angles proportional to its position (RoPE).

    (a, b) -> (a cos t - b sin t, a sin t + b cos t),   t = position * base^(-2 pair / rotary_dim)

    So the dot product of a rotated query and a rotated key depends on the distance of their positions
    only. Pairs are numbered 0, 1, ..., rotary_dim / 2 - 1:
    style "half" pairs x[pair] with x[pair + rotary_dim / 2] (GPT-NeoX, Llama in transformers);
    style "interleaved" pairs x[2 pair] with x[2 pair + 1] (the paper, GPT-J).

    Shapes
        x            (..., tokens, dim)
        positions    (tokens,), or (batch, tokens) where batch is the first axis of x
        rotary_dim   the first rotary_dim of dim entries turn, the others pass; all unless given
        result       that of x
    Precision
        Angles, sines and products in float64, then one rounding to x's format: at position 131,072 a float32
        angle is off by up to 0.008 radians. A token's result depends on nothing but its vector and position.
    Errors
        AttentionShapeError for an odd rotary_dim, or positions that are not one a token;
        AttentionFormatError for an x that is no float32, bfloat16, float16 or float64 array;
        AttentionScoringError for a base that is not above 0, or another style.
    Source
        Su et al. 2021, arXiv:2104.09864, section 3.2.2.

    >>> quarter = np.pi / 2
    >>> apply_rotary(np.array([[1.0, 0.0]]), [quarter]).round(12)
    array([[0., 1.]])
    """
    check_rotatable(x)
    turning = x.shape[-1] if rotary_dim is None else rotary_dim
    check_rotary_dim(turning, x.shape[-1])
    check_base(base)
    angles = spread(np.asarray(positions), x)[..., None] * frequencies(turning, float(base))
    return turn(x, np.cos(angles), np.sin(angles), style)


def frequencies(rotary_dim: int, base: float) -> NDArray[np.float64]:
    """Tell how many radians a position adds to each pair: from 1 down to nearly 1 / base."""
    return base ** (-np.arange(0, rotary_dim, 2) / rotary_dim)


def turn(x: NDArray[Any], cosines: NDArray[Any], sines: NDArray[Any], style: Style = "half") -> NDArray[Any]:
    """Rotate pairs of entries of x by given angles; entries beyond the pairs pass unchanged.

    Shapes
        x                 (..., tokens, dim)
        cosines, sines    broadcast to (..., tokens, pairs) with pairs <= dim / 2
    Precision
        float64, then one rounding to x's format.
    """
    pairs = cosines.shape[-1]
    if style == "half":
        first, second = slice(0, pairs), slice(pairs, 2 * pairs)
    elif style == "interleaved":
        first, second = slice(0, 2 * pairs, 2), slice(1, 2 * pairs, 2)
    else:
        raise AttentionScoringError(
            f"style={style!r} is no way to pair entries. Use 'half' or 'interleaved'."
        )
    a, b = x[..., first].astype(np.float64), x[..., second].astype(np.float64)
    result = x.copy()
    result[..., first] = a * cosines - b * sines
    result[..., second] = a * sines + b * cosines
    return result


def spread(positions: NDArray[Any], x: NDArray[Any]) -> NDArray[np.float64]:
    """Shape positions, as float64, to stand beside x's axes before the last."""
    if positions.dtype.kind not in "iuf":
        raise AttentionFormatError(f"positions has dtype {positions.dtype}, expected integers or floats.")
    tokens = x.shape[-2]
    allowed = [(tokens,)] if x.ndim == 2 else [(tokens,), (x.shape[0], tokens)]
    if positions.shape not in allowed:
        ways = " or ".join(map(str, allowed))
        raise AttentionShapeError(
            f"positions has shape {positions.shape}, expected {ways} for x of shape {x.shape}: "
            "one position a token. Use np.arange(first, first + tokens)."
        )
    between = (1,) * (x.ndim - 2)
    shape = (tokens,) if positions.ndim == 1 else (x.shape[0], *between[1:], tokens)
    return positions.astype(np.float64).reshape(shape)


def check_head_count(heads: Any) -> None:
    """Refuse what is no number of heads."""
    if isinstance(heads, bool) or not isinstance(heads, int) or heads < 1:
        raise AttentionShapeError(f"heads={heads!r} has no slopes, expected an integer of at least 1.")


def check_base(base: Any) -> None:
    """Refuse a base whose powers are no angles."""
    if not isinstance(base, int | float | np.number) or not np.isfinite(base) or base <= 0:
        raise AttentionScoringError(
            f"base={base!r} gives no angles, expected a number above 0. Use base=10000.0."
        )


def check_rotatable(x: Any) -> None:
    """Refuse what has no tokens, or no format of ours."""
    if not isinstance(x, np.ndarray) or x.dtype.name not in FORMATS or not x.dtype.isnative:
        came = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
        raise AttentionFormatError(f"x is {came}, expected a NumPy array of {', '.join(FORMATS)}.")
    if x.ndim < 2:
        raise AttentionShapeError(
            f"x has shape {x.shape}, expected (..., tokens, dim). Use x[None] for one token."
        )


def check_rotary_dim(rotary_dim: int, dim: int) -> None:
    """Refuse a width that does not come in pairs."""
    if rotary_dim % 2 or not 0 < rotary_dim <= dim:
        raise AttentionShapeError(
            f"rotary_dim={rotary_dim} cannot be turned in pairs, expected an even number up to dim={dim}. "
            "Pass rotary_dim= to leave the last entries unrotated."
        )
