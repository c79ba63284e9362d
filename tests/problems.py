"""Hypothesis draws attention problems: sizes, masks of every kind, scoring, formats and arrays."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from attnscope.problem import (
    AttentionShape,
    Causal,
    Dense,
    Documents,
    KeyLengths,
    KeyRanges,
    Mask,
    Prefix,
    Window,
)

DTYPES: dict[str, Any] = {
    "float32": np.float32,
    "bfloat16": ml_dtypes.bfloat16,
    "float16": np.float16,
    "float64": np.float64,
}
# Edges of a vector (4, 8, 16 lanes), of a tile (48 rows) and of a block or a bitmap's word (64 keys).
EDGES = (0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 47, 48, 49, 63, 64, 65, 127, 128, 129)


def matrix(of: AttentionShape) -> tuple[int, int, int, int]:
    """The shape that masks and biases broadcast to."""
    return (of.batch, of.query_heads, of.query_len, of.key_len)


@dataclass(frozen=True, eq=False)
class Case:
    """The arguments of one call of attention(): `attention(*case.arrays, **case.options)`."""

    query: NDArray[Any]
    key: NDArray[Any]
    value: NDArray[Any]
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def arrays(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        return self.query, self.key, self.value

    def but(self, **options: Any) -> "Case":
        """The same arrays under other options."""
        return Case(self.query, self.key, self.value, self.options | options)

    def __repr__(self) -> str:
        shapes = " ".join(f"{n}{list(a.shape)}" for n, a in zip("qkv", self.arrays, strict=True))
        shown = {name: brief(option) for name, option in self.options.items()}
        return f"<Case {self.query.dtype} {shapes} {shown}>"


def brief(option: Any) -> str:
    return f"{option.dtype}{list(option.shape)}" if isinstance(option, np.ndarray) else repr(option)


def length(maximum: int, minimum: int = 0) -> st.SearchStrategy[int]:
    edges = [edge for edge in EDGES if minimum <= edge <= maximum]
    return st.sampled_from(edges) | st.integers(minimum, maximum)


@st.composite
def sizes(draw: st.DrawFn, *, max_tokens: int = 70, max_dim: int = 40, empty: bool = True) -> AttentionShape:
    kv_heads = draw(st.integers(1, 3))
    shortest = 0 if empty else 1
    return AttentionShape(
        batch=draw(st.integers(1, 3)),
        query_heads=kv_heads * draw(st.integers(1, 4)),
        kv_heads=kv_heads,
        query_len=draw(length(max_tokens, shortest)),
        key_len=draw(length(max_tokens, shortest)),
        key_dim=draw(length(max_dim, 1)),
        value_dim=draw(length(max_dim, 1)),
    )


def one_or_per_batch(number: st.SearchStrategy[int], batch: int) -> st.SearchStrategy[Any]:
    return number | st.lists(number, min_size=batch, max_size=batch)


def offsets(of: AttentionShape) -> st.SearchStrategy[Any]:
    """Where the first query stands: usually unsaid; else anywhere, before and after the keys included."""
    somewhere = st.integers(-of.query_len - 1, of.key_len + 1)
    return st.none() | one_or_per_batch(somewhere, of.batch)


@st.composite
def key_ranges(draw: st.DrawFn, of: AttentionShape) -> KeyRanges:
    pair = st.tuples(st.integers(0, of.key_len), st.integers(0, of.key_len)).map(sorted)
    if draw(st.booleans()):
        return KeyRanges(*draw(pair))
    pairs = draw(st.lists(pair, min_size=of.batch, max_size=of.batch))
    return KeyRanges([first for first, _ in pairs], [end for _, end in pairs])


@st.composite
def documents(draw: st.DrawFn, of: AttentionShape) -> Documents:
    """Runs of equal ids, as packing makes them; sometimes ids in any order."""
    shape = (of.key_len,) if draw(st.booleans()) else (of.batch, of.key_len)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    ids = rng.integers(0, draw(st.integers(1, 4)), size=shape)
    if draw(st.booleans()):
        ids = np.sort(ids, axis=-1)
    return Documents(ids, offset=draw(offsets(of)))


@st.composite
def visible_arrays(draw: st.DrawFn, of: AttentionShape) -> NDArray[np.bool_]:
    """A bool array that broadcasts to the score matrix, from nearly empty to nearly full."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = draw(broadcastable(of))
    return rng.random(shape) < draw(st.sampled_from([0.05, 0.5, 0.95]))


@st.composite
def broadcastable(draw: st.DrawFn, of: AttentionShape) -> tuple[int, ...]:
    shape = tuple(size if draw(st.booleans()) else 1 for size in matrix(of))
    return shape[draw(st.integers(0, 3)) :]


def simple_masks(of: AttentionShape) -> st.SearchStrategy[Mask]:
    side = st.none() | st.integers(0, of.key_len + 1)
    keys = one_or_per_batch(st.integers(0, of.key_len), of.batch)
    return st.one_of(
        st.builds(Causal, offset=offsets(of)),
        st.builds(Window, left=side, right=side, offset=offsets(of)),
        st.builds(KeyLengths, keys),
        key_ranges(of),
        documents(of),
        st.builds(Prefix, keys),
        st.builds(Dense, visible_arrays(of)),
    )


def masks(of: AttentionShape) -> st.SearchStrategy[Mask]:
    """One mask, or a few joined by & and |."""

    def join(parts: st.SearchStrategy[Mask]) -> st.SearchStrategy[Mask]:
        both = st.tuples(parts, parts)
        return both.map(lambda pair: pair[0] & pair[1]) | both.map(lambda pair: pair[0] | pair[1])

    return st.recursive(simple_masks(of), join, max_leaves=3)


@st.composite
def problems(
    draw: st.DrawFn,
    *,
    formats: tuple[str, ...] = ("float32", "bfloat16", "float16", "float64"),
    max_tokens: int = 70,
    max_dim: int = 40,
    empty: bool = True,
) -> Case:
    """Any legal problem of 4-D arrays, the plain one first.

    Scores stay where a bound on the error is of use: entries are normal deviates, which the default scale
    keeps near 1 whatever key_dim, times a spread of up to 4.
    """
    of = draw(sizes(max_tokens=max_tokens, max_dim=max_dim, empty=empty))
    number_format = draw(st.sampled_from(formats))
    random = random_arrays(draw(st.integers(0, 2**32)), DTYPES[number_format])
    spread = draw(st.sampled_from([1.0, 0.1, 4.0]))
    options = {
        "mask": draw(st.none() | masks(of) | visible_arrays(of)),
        "scale": draw(st.none() | st.sampled_from([0.01, 0.25, 1.0])),
        "softcap": draw(st.none() | st.sampled_from([0.5, 5.0, 50.0])),
        "bias": draw(st.none() | biases(of, number_format)),
        "alibi_slopes": draw(st.none() | per_head(of, 0.0, 1.0)),
        "sinks": draw(st.none() | per_head(of, -5.0, 5.0)),
    }
    return Case(
        random((of.batch, of.query_heads, of.query_len, of.key_dim), spread),
        random((of.batch, of.kv_heads, of.key_len, of.key_dim), 1.0),
        random((of.batch, of.kv_heads, of.key_len, of.value_dim), 1.0),
        {name: option for name, option in options.items() if option is not None},
    )


def random_arrays(seed: int, dtype: Any) -> Callable[[tuple[int, ...], float], NDArray[Any]]:
    rng = np.random.default_rng(seed)
    return lambda shape, spread: np.asarray(spread * rng.standard_normal(shape)).astype(dtype)


@st.composite
def biases(draw: st.DrawFn, of: AttentionShape, number_format: str) -> NDArray[Any]:
    """In the problem's format or, beside a shorter one, in float32; sometimes -inf in places."""
    wide = "float64" if number_format == "float64" else "float32"
    random = random_arrays(draw(st.integers(0, 2**32)), DTYPES[draw(st.sampled_from([number_format, wide]))])
    bias = random(draw(broadcastable(of)), 2.0)
    if draw(st.booleans()):
        bias[random(bias.shape, 1.0) > 1.0] = -np.inf
    return bias


def per_head(of: AttentionShape, low: float, high: float) -> st.SearchStrategy[Any]:
    """One float32 number a query head, as an array or as plain floats."""
    number = st.floats(low, high, width=32)
    numbers = st.lists(number, min_size=of.query_heads, max_size=of.query_heads)
    return numbers | numbers.map(lambda each: np.array(each, dtype=np.float32))
