"""Multi-head attention: project, split into heads, attend, join, project; and every shape on the way."""

from dataclasses import dataclass
from typing import Any, Literal, Unpack, cast

import numpy as np
from numpy.typing import NDArray

from attnscope import reference
from attnscope.attention import attention
from attnscope.errors import AttentionFormatError, AttentionShapeError
from attnscope.reference.inputs import Options


class CallOptions(Options, total=False):
    """The keyword arguments that go on to attention()."""

    threads: int | None
    implementation: Literal["auto", "kernel", "reference"]


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

    Shapes
        x                                    (batch, tokens, model_dim)
        queries, keys, values                (batch, tokens, heads or kv_heads * key_dim or value_dim)
        query, key, value                    (batch, heads or kv_heads, tokens, key_dim or value_dim)
        scores, weights                      (batch, heads, tokens, tokens)
        mixed                                (batch, heads, tokens, value_dim)
        joined                               (batch, tokens, heads * value_dim)
        output                               (batch, tokens, columns of w_o)
        All without the batch axis when x had none.
    Precision
        x's format, but scores and weights: these are the reference's, in float64.
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
        """Lay the steps out as a table."""
        shapes = {name: str(list(getattr(self, name).shape)) for name in MADE_BY}
        rows = [("step", "shape", "made by"), *((name, shapes[name], how) for name, how in MADE_BY.items())]
        names, sizes = (max(len(row[column]) for row in rows) for column in (0, 1))
        return "\n".join(f"{name:<{names}}  {shape:<{sizes}}  {how}" for name, shape, how in rows)

    __repr__ = __str__


class MultiHeadAttention:
    """Several heads of attention, side by side, on projections of one sequence.

    output = join_h(attention(x w_q[h], x w_k[g], x w_v[g])) w_o,   g = h // (heads // kv_heads)

    Weights are applied as x @ w. The columns of one head stand together: head h of the queries is
    w_q[:, h * key_dim : (h + 1) * key_dim].

    Shapes
        w_q       (model_dim, heads * key_dim)
        w_k       (model_dim, kv_heads * key_dim)
        w_v       (model_dim, kv_heads * value_dim)
        w_o       (heads * value_dim, output_dim)
        x         (tokens, model_dim) or (batch, tokens, model_dim); the output has the same rank
    Precision
        x and all weights share one format. Projections of bfloat16 and float16 are computed in float32 and
        rounded once. They are NumPy's matrix products, whose last bits may depend on the number of rows:
        the promise of the same bits is attention()'s, from its arguments on.
    Errors
        AttentionShapeError, AttentionFormatError; AttentionError from attention().
    Source
        Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2; kv_heads: Ainslie et al. 2023, arXiv:2305.13245.

    >>> eye = np.eye(2)
    >>> average = MultiHeadAttention(0 * eye, 0 * eye, eye, eye, heads=2)  # no query, no key: all keys alike
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
        """Compute the output for x; the options are attention()'s."""
        mixed = attention(*self.projected_heads(x), **options)
        return with_axes_of(x, project(join(mixed), self.w_o))

    def trace(self, x: NDArray[Any], **options: Unpack[CallOptions]) -> Trace:
        """Do the same, keeping every array; for short texts, as it holds tokens * tokens weights a head."""
        query, key, value = self.projected_heads(x)
        scoring = only_scoring(options)
        mixed = attention(query, key, value, **options)
        joined = join(mixed)
        steps: dict[str, NDArray[Any]] = {
            "queries": join(query),
            "keys": join(key),
            "values": join(value),
            "query": query,
            "key": key,
            "value": value,
            "scores": reference.scores(query, key, value, **scoring),
            "weights": reference.weights(query, key, value, **scoring),
            "mixed": mixed,
            "joined": joined,
            "output": project(joined, self.w_o),
        }
        return Trace(x=x, **{name: with_axes_of(x, array) for name, array in steps.items()})

    def projected_heads(self, x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Make query, key and value as attention() takes them: (batch, heads or kv_heads, tokens, dim)."""
        check_x(self, x)
        rows = x[None] if x.ndim == 2 else x
        return (
            split(project(rows, self.w_q), self.heads),
            split(project(rows, self.w_k), self.kv_heads),
            split(project(rows, self.w_v), self.kv_heads),
        )


def project(rows: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
    """Multiply in the rows' format, in float32 where that has but 2 bytes."""
    if rows.dtype.itemsize > 2:
        product: NDArray[Any] = rows @ weights
        return product
    return (rows.astype(np.float32) @ weights.astype(np.float32)).astype(rows.dtype)


def split(columns: NDArray[Any], heads: int) -> NDArray[Any]:
    """View (batch, tokens, heads * dim) as (batch, heads, tokens, dim)."""
    batch, tokens, width = columns.shape
    return columns.reshape(batch, tokens, heads, width // heads).swapaxes(1, 2)


def join(heads: NDArray[Any]) -> NDArray[Any]:
    """Put heads side by side: (batch, heads, tokens, dim) to (batch, tokens, heads * dim)."""
    batch, count, tokens, dim = heads.shape
    return heads.swapaxes(1, 2).reshape(batch, tokens, count * dim)


def with_axes_of(x: NDArray[Any], result: NDArray[Any]) -> NDArray[Any]:
    """Drop the batch axis that x did not have."""
    return result[0] if x.ndim == 2 else result


def only_scoring(options: CallOptions) -> Options:
    """Keep what the reference understands: all but how and where to compute."""
    return cast("Options", {name: each for name, each in options.items() if name in Options.__annotations__})


def check_heads(module: MultiHeadAttention) -> None:
    """Refuse head counts that do not share."""
    for name in ("heads", "kv_heads"):
        count = getattr(module, name)
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise AttentionShapeError(
                f"{name}={count!r} is no number of heads, expected an integer of at least 1."
            )
    if module.heads % module.kv_heads:
        ways = [count for count in range(1, module.heads + 1) if module.heads % count == 0]
        raise AttentionShapeError(
            f"heads={module.heads} cannot share kv_heads={module.kv_heads}: each kv head must serve the same "
            f"number of heads. Use kv_heads in {ways}."
        )


def check_weights(module: MultiHeadAttention) -> None:
    """Refuse a matrix that disagrees with w_q, w_v and the head counts, from which every width follows."""
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
    """Count the columns of one head."""
    columns: int = matrix.shape[1]
    if columns % heads or columns == 0:
        raise AttentionShapeError(
            f"{name} has {columns} columns, expected a multiple of {counted}={heads}: "
            "each head takes equally many. Check the head count, or transpose: weights are (in, out)."
        )
    return columns // heads


def expect_shape(name: str, matrix: NDArray[Any], expected: tuple[int, int]) -> None:
    """Refuse another shape."""
    if matrix.shape != expected:
        raise AttentionShapeError(
            f"{name} has shape {matrix.shape}, expected {expected} from w_q, w_v and the head counts. "
            "Weights are (in, out), applied as x @ w."
        )


def check_x(module: MultiHeadAttention, x: Any) -> None:
    """Refuse an x that the weights cannot multiply."""
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
