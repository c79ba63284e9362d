"""Positions in scores and vectors: ALiBi's slopes, and rotary position embedding."""

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attnscope.errors import AttentionFormatError, AttentionScoringError, AttentionShapeError

FORMATS = ("float32", "bfloat16", "float16", "float64")

Style = Literal["half", "interleaved"]


def alibi_slopes(heads: int) -> NDArray[np.float32]:
    """Compute ALiBi's slopes: each head's scores fall with distance at a rate of its own.

    slope[h] = 2^(-8 (h + 1) / heads) for a power of two

    Any other count takes the slopes of the power of two below it, then every second one (the first, the
    third, ...) of the power of two above it.

    Parameters
    ----------
    heads : int
        Number of query heads, at least 1.

    Returns
    -------
    ndarray of float32, shape (heads,)
        Rounded once from float64; exact if the exponents are integers.

    Raises
    ------
    AttentionShapeError
        If `heads` is not an integer of at least 1.

    References
    ----------
    Press et al. 2022, arXiv:2108.12409, section 3, and its released code for other head counts.

    Examples
    --------
    >>> alibi_slopes(4).tolist()  # 2^-2, 2^-4, 2^-6, 2^-8
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
    """Apply rotary position embedding (RoPE): turn vectors by angles proportional to their positions.

    (a, b) -> (a cos t - b sin t, a sin t + b cos t),   t = position * base^(-2 pair / rotary_dim)

    The dot product of a rotated query and a rotated key depends on the difference of their positions only.

    Parameters
    ----------
    x : ndarray, shape (..., tokens, dim)
        float32, bfloat16, float16 or float64.
    positions : array_like, shape (tokens,) or (batch, tokens)
        batch is the first axis of x.
    base : float, default 10000.0
        The angles per position go from 1 down to almost 1 / base.
    style : {"half", "interleaved"}, default "half"
        "half" pairs x[pair] with x[pair + rotary_dim / 2] (GPT-NeoX, Llama in Transformers). "interleaved"
        pairs x[2 pair] with x[2 pair + 1] (the paper, GPT-J).
    rotary_dim : int, optional
        The first rotary_dim entries are turned, the others pass unchanged. Default: all.

    Returns
    -------
    ndarray
        Of x's shape and format.

    Raises
    ------
    AttentionShapeError
        If rotary_dim is odd or too large, or there is not one position per token.
    AttentionFormatError
        If x is not an array of a supported format, or positions are not numbers.
    AttentionScoringError
        If base is not above 0, or the style is unknown.

    Notes
    -----
    Angles, sines and products are computed in float64 and rounded once: at position 131,072 a float32 angle
    is off by up to 0.008 radians. A token's result depends on its vector and position only.

    References
    ----------
    Su et al. 2021, arXiv:2104.09864, section 3.2.2.

    Examples
    --------
    >>> x = np.array([[1.0, 0.0], [1.0, 0.0]])
    >>> apply_rotary(x, [0, 1]).round(3)  # position 1 turns by 1 radian: cos 1, sin 1
    array([[1.   , 0.   ],
           [0.54 , 0.841]])
    """
    check_rotatable(x)
    turning = x.shape[-1] if rotary_dim is None else rotary_dim
    check_rotary_dim(turning, x.shape[-1])
    check_base(base)
    angles = beside(np.asarray(positions), x)[..., None] * frequencies(turning, float(base))
    return turn(x, np.cos(angles), np.sin(angles), style)


def frequencies(rotary_dim: int, base: float) -> NDArray[np.float64]:
    """The radians that one position adds to each pair: from 1 down to almost 1 / base."""
    return base ** (-np.arange(0, rotary_dim, 2) / rotary_dim)


def turn(x: NDArray[Any], cosines: NDArray[Any], sines: NDArray[Any], style: Style = "half") -> NDArray[Any]:
    """Rotate pairs of entries of x (..., tokens, dim) by angles; entries beyond the pairs pass unchanged.

    Cosines and sines broadcast to (..., tokens, pairs) with pairs <= dim / 2. Computed in float64, rounded
    once.
    """
    pairs = cosines.shape[-1]
    if style == "half":
        first, second = slice(0, pairs), slice(pairs, 2 * pairs)
    elif style == "interleaved":
        first, second = slice(0, 2 * pairs, 2), slice(1, 2 * pairs, 2)
    else:
        raise AttentionScoringError(
            f"style={style!r}: expected 'half' or 'interleaved', the ways to pair entries."
        )
    a, b = x[..., first].astype(np.float64), x[..., second].astype(np.float64)
    result = x.copy()
    result[..., first] = a * cosines - b * sines
    result[..., second] = a * sines + b * cosines
    return result


def beside(positions: NDArray[Any], x: NDArray[Any]) -> NDArray[np.float64]:
    """Positions as float64, in a shape that broadcasts with x without its last axis."""
    if positions.dtype.kind not in "iuf":
        raise AttentionFormatError(f"positions has dtype {positions.dtype}, expected integers or floats.")
    tokens = x.shape[-2]
    allowed = [(tokens,)] if x.ndim == 2 else [(tokens,), (x.shape[0], tokens)]
    if positions.shape not in allowed:
        ways = " or ".join(map(str, allowed))
        raise AttentionShapeError(
            f"positions has shape {positions.shape}, expected {ways} for x of shape {x.shape}: "
            "one position per token. Use np.arange(first, first + tokens)."
        )
    between = (1,) * (x.ndim - 2)
    shape = (tokens,) if positions.ndim == 1 else (x.shape[0], *between[1:], tokens)
    return positions.astype(np.float64).reshape(shape)


def check_head_count(heads: Any) -> None:
    """Raise AttentionShapeError unless it is a number of heads."""
    if isinstance(heads, bool) or not isinstance(heads, int) or heads < 1:
        raise AttentionShapeError(f"heads={heads!r}: expected an integer of at least 1.")


def check_base(base: Any) -> None:
    """Raise AttentionScoringError unless the base is a positive finite number."""
    if not isinstance(base, int | float | np.number) or not np.isfinite(base) or base <= 0:
        raise AttentionScoringError(
            f"base={base!r}: expected a finite number above 0, whose powers are angles. Use base=10000.0."
        )


def check_rotatable(x: Any) -> None:
    """Raise AttentionFormatError or AttentionShapeError unless x is an array of tokens."""
    if not isinstance(x, np.ndarray) or x.dtype.name not in FORMATS or not x.dtype.isnative:
        came = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
        raise AttentionFormatError(f"x is {came}, expected a NumPy array of {', '.join(FORMATS)}.")
    if x.ndim < 2:
        raise AttentionShapeError(
            f"x has shape {x.shape}, expected (..., tokens, dim). Use x[None] for one token."
        )


def check_rotary_dim(rotary_dim: int, dim: int) -> None:
    """Raise AttentionShapeError unless the width is even and fits."""
    if rotary_dim % 2 or not 0 < rotary_dim <= dim:
        raise AttentionShapeError(
            f"rotary_dim={rotary_dim}: expected an even number up to dim={dim}, as entries are turned in "
            "pairs. "
            "Pass rotary_dim= to leave the last entries unrotated."
        )
