"""Multi-head attention: project, split into heads, attend, join, project; with a trace of every array."""

from dataclasses import dataclass
from typing import Any, Unpack, cast

import numpy as np
from numpy.typing import NDArray

from attnscope import reference
from attnscope.attention import CallOptions, attention
from attnscope.errors import AttentionFormatError, AttentionShapeError
from attnscope.problem import AttentionOptions

MADE_BY = {
    "x": "the argument",
    "queries": "x @ w_q",
    "keys": "x @ w_k",
    "values": "x @ w_v",
    "query": "queries, split into heads",
    "key": "keys, split into kv heads",
    "value": "values, split into kv heads",
    "scores": "scale * query . key, mask and bias",
    "weights": "softmax of scores",
    "mixed": "weights @ value",
    "joined": "mixed, heads side by side",
    "output": "joined @ w_o",
}


@dataclass(frozen=True, eq=False)
class Trace:
    """Every array of one call of MultiHeadAttention, in order. Prints as a table of names and shapes.

    All arrays lack the batch axis if x does. They have x's format, but scores and weights, which the
    reference computes, are float64.

    Parameters
    ----------
    x : ndarray, shape (batch, tokens, model_dim)
        The argument.
    queries : ndarray, shape (batch, tokens, heads * key_dim)
    keys : ndarray, shape (batch, tokens, kv_heads * key_dim)
    values : ndarray, shape (batch, tokens, kv_heads * value_dim)
        The projections of x.
    query : ndarray, shape (batch, heads, tokens, key_dim)
    key : ndarray, shape (batch, kv_heads, tokens, key_dim)
    value : ndarray, shape (batch, kv_heads, tokens, value_dim)
        The projections, split into heads.
    scores, weights : ndarray, shape (batch, heads, tokens, tokens)
        What the softmax reads, and what it returns.
    mixed : ndarray, shape (batch, heads, tokens, value_dim)
        Each head's output.
    joined : ndarray, shape (batch, tokens, heads * value_dim)
        The outputs of all heads side by side.
    output : ndarray, shape (batch, tokens, output_dim)
        The result.
    """

    x: NDArray[Any]
    queries: NDArray[Any]
    keys: NDArray[Any]
    values: NDArray[Any]
    query: NDArray[Any]
    key: NDArray[Any]
    value: NDArray[Any]
    scores: NDArray[Any]
    weights: NDArray[Any]
    mixed: NDArray[Any]
    joined: NDArray[Any]
    output: NDArray[Any]

    def __str__(self) -> str:
        """Format the steps as a table."""
        shapes = {name: str(list(getattr(self, name).shape)) for name in MADE_BY}
        rows = [("step", "shape", "made by"), *((name, shapes[name], how) for name, how in MADE_BY.items())]
        names, sizes = (max(len(row[column]) for row in rows) for column in (0, 1))
        return "\n".join(f"{name:<{names}}  {shape:<{sizes}}  {how}" for name, shape, how in rows)

    __repr__ = __str__


class MultiHeadAttention:
    """Several heads of attention, side by side, on projections of one sequence.

    output = join_h(attention(x w_q[h], x w_k[g], x w_v[g])) w_o,   g = h // (heads // kv_heads)

    Weights are applied as x @ w. The columns of a head are adjacent: head h of the queries is
    w_q[:, h * key_dim : (h + 1) * key_dim].

    Parameters
    ----------
    w_q : ndarray, shape (model_dim, heads * key_dim)
    w_k : ndarray, shape (model_dim, kv_heads * key_dim)
    w_v : ndarray, shape (model_dim, kv_heads * value_dim)
    w_o : ndarray, shape (heads * value_dim, output_dim)
        All of one format: float32, bfloat16, float16 or float64.
    heads : int
        Number of query heads.
    kv_heads : int, default heads
        Number of heads of keys and values, a divisor of `heads`.

    Raises
    ------
    AttentionShapeError
        If the heads cannot be shared, or a matrix does not fit the others.
    AttentionFormatError
        If the matrices differ in format.

    Notes
    -----
    Projections of bfloat16 and float16 are computed in float32 and rounded once. They are NumPy's matrix
    products, whose last bits may depend on the number of rows. attention()'s guarantee of equal bits starts
    at its arguments.

    References
    ----------
    Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2. kv_heads: Ainslie et al. 2023, arXiv:2305.13245.

    Examples
    --------
    >>> eye = np.eye(2)
    >>> average = MultiHeadAttention(0 * eye, 0 * eye, eye, eye, heads=2)  # all scores are 0: equal weights
    >>> average(np.array([[1.0, 2.0], [3.0, 6.0]]))
    array([[2., 4.],
           [2., 4.]])
    """

    def __init__(
        self,
        w_q: NDArray[Any],
        w_k: NDArray[Any],
        w_v: NDArray[Any],
        w_o: NDArray[Any],
        *,
        heads: int,
        kv_heads: int | None = None,
    ) -> None:
        self.w_q, self.w_k, self.w_v, self.w_o = w_q, w_k, w_v, w_o
        self.heads = heads
        self.kv_heads = heads if kv_heads is None else kv_heads
        check_heads(self)
        check_weights(self)

    def __call__(self, x: NDArray[Any], **options: Unpack[CallOptions]) -> NDArray[Any]:
        """Compute the output.

        Parameters
        ----------
        x : ndarray, shape (tokens, model_dim) or (batch, tokens, model_dim)
            Of the format of the weights.
        **options : Unpack[CallOptions]
            attention()'s: mask, scoring options, threads, implementation.

        Returns
        -------
        ndarray, shape (tokens, output_dim) or (batch, tokens, output_dim)

        Raises
        ------
        AttentionError, TypeError
            If x does not fit the weights, and as attention() does.
        """
        mixed = attention(*self.projected_heads(x), **options)
        return with_axes_of(x, project(join(mixed), self.w_o))

    def trace(self, x: NDArray[Any], **options: Unpack[CallOptions]) -> Trace:
        """Compute the output and keep every array: tokens * tokens weights per head, so for short texts.

        Parameters
        ----------
        x : ndarray, shape (tokens, model_dim) or (batch, tokens, model_dim)
            Of the format of the weights.
        **options : Unpack[CallOptions]
            attention()'s: mask, scoring options, threads, implementation.

        Returns
        -------
        Trace

        Raises
        ------
        AttentionError, TypeError
            If x does not fit the weights, and as attention() does.
        """
        query, key, value = self.projected_heads(x)
        meaning = without_execution(options)
        mixed = attention(query, key, value, **options)
        joined = join(mixed)
        steps: dict[str, NDArray[Any]] = {
            "queries": join(query),
            "keys": join(key),
            "values": join(value),
            "query": query,
            "key": key,
            "value": value,
            "scores": reference.scores(query, key, **meaning),
            "weights": reference.weights(query, key, **meaning),
            "mixed": mixed,
            "joined": joined,
            "output": project(joined, self.w_o),
        }
        return Trace(x=x, **{name: with_axes_of(x, array) for name, array in steps.items()})

    def projected_heads(self, x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Project x and split the result into heads, as attention() takes them.

        Parameters
        ----------
        x : ndarray, shape (tokens, model_dim) or (batch, tokens, model_dim)
            Without the batch axis, the results have the batch 1.

        Returns
        -------
        query : ndarray, shape (batch, heads, tokens, key_dim)
        key : ndarray, shape (batch, kv_heads, tokens, key_dim)
        value : ndarray, shape (batch, kv_heads, tokens, value_dim)

        Raises
        ------
        AttentionShapeError, AttentionFormatError
            If x does not fit the weights.
        """
        check_x(self, x)
        rows = x[None] if x.ndim == 2 else x
        return (
            split(project(rows, self.w_q), self.heads),
            split(project(rows, self.w_k), self.kv_heads),
            split(project(rows, self.w_v), self.kv_heads),
        )


def project(rows: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
    """Multiply in the rows' format, or in float32 if that has 2 bytes."""
    if rows.dtype.itemsize > 2:
        product: NDArray[Any] = rows @ weights
        return product
    return (rows.astype(np.float32) @ weights.astype(np.float32)).astype(rows.dtype)


def split(columns: NDArray[Any], heads: int) -> NDArray[Any]:
    """View (batch, tokens, heads * dim) as (batch, heads, tokens, dim)."""
    batch, tokens, width = columns.shape
    return columns.reshape(batch, tokens, heads, width // heads).swapaxes(1, 2)


def join(heads: NDArray[Any]) -> NDArray[Any]:
    """Concatenate heads: (batch, heads, tokens, dim) to (batch, tokens, heads * dim)."""
    batch, count, tokens, dim = heads.shape
    return heads.swapaxes(1, 2).reshape(batch, tokens, count * dim)


def with_axes_of(x: NDArray[Any], result: NDArray[Any]) -> NDArray[Any]:
    """Drop the batch axis if x has none."""
    return result[0] if x.ndim == 2 else result


def without_execution(options: CallOptions) -> AttentionOptions:
    """The options that decide what is computed, without those that decide how: threads, implementation."""
    how = ("threads", "implementation")
    return cast("AttentionOptions", {name: each for name, each in options.items() if name not in how})


def check_heads(module: MultiHeadAttention) -> None:
    """Raise AttentionShapeError unless the heads can be shared."""
    for name in ("heads", "kv_heads"):
        count = getattr(module, name)
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise AttentionShapeError(
                f"{name}={count!r}: expected an integer of at least 1, a number of heads."
            )
    if module.heads % module.kv_heads:
        ways = [count for count in range(1, module.heads + 1) if module.heads % count == 0]
        raise AttentionShapeError(
            f"heads={module.heads} cannot share kv_heads={module.kv_heads}: each kv head must serve the same "
            f"number of heads. Use kv_heads in {ways}."
        )


def check_weights(module: MultiHeadAttention) -> None:
    """Compare each matrix with w_q, w_v and the head counts, from which every width follows."""
    for name in ("w_q", "w_k", "w_v", "w_o"):
        matrix = getattr(module, name)
        if not isinstance(matrix, np.ndarray) or matrix.ndim != 2:
            came = f"shape {matrix.shape}" if isinstance(matrix, np.ndarray) else type(matrix).__name__
            raise AttentionShapeError(f"{name} is {came}, expected a NumPy array of 2 axes, (in, out).")
        if matrix.dtype != module.w_q.dtype:
            raise AttentionFormatError(
                f"{name} is {matrix.dtype}, expected {module.w_q.dtype} as w_q. "
                f"Use {name}.astype({module.w_q.dtype.name!r})."
            )
    model_dim = module.w_q.shape[0]
    key_dim = whole_columns("w_q", module.w_q, "heads", module.heads)
    value_dim = whole_columns("w_v", module.w_v, "kv_heads", module.kv_heads)
    expect_shape("w_k", module.w_k, (model_dim, module.kv_heads * key_dim))
    expect_shape("w_v", module.w_v, (model_dim, module.kv_heads * value_dim))
    expect_shape("w_o", module.w_o, (module.heads * value_dim, module.w_o.shape[1]))


def whole_columns(name: str, matrix: NDArray[Any], counted: str, heads: int) -> int:
    """The number of columns per head."""
    columns: int = matrix.shape[1]
    if columns % heads or columns == 0:
        raise AttentionShapeError(
            f"{name} has {columns} columns, expected a multiple of {counted}={heads}: "
            "each head takes the same number. Check the head count, or transpose: weights are (in, out)."
        )
    return columns // heads


def expect_shape(name: str, matrix: NDArray[Any], expected: tuple[int, int]) -> None:
    """Raise AttentionShapeError for another shape."""
    if matrix.shape != expected:
        raise AttentionShapeError(
            f"{name} has shape {matrix.shape}, expected {expected} from w_q, w_v and the head counts. "
            "Weights are (in, out), applied as x @ w."
        )


def check_x(module: MultiHeadAttention, x: Any) -> None:
    """Raise AttentionShapeError or AttentionFormatError unless the weights can multiply x."""
    model_dim = module.w_q.shape[0]
    if not isinstance(x, np.ndarray) or x.ndim not in (2, 3) or x.shape[-1] != model_dim:
        came = f"shape {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__
        raise AttentionShapeError(
            f"x is {came}, expected a NumPy array (tokens, {model_dim}) or (batch, tokens, {model_dim}), "
            "as w_q has that many rows."
        )
    if x.dtype != module.w_q.dtype:
        raise AttentionFormatError(
            f"x is {x.dtype}, expected {module.w_q.dtype} as the weights. "
            f"Use x.astype({module.w_q.dtype.name!r})."
        )
