"""Exercise 5: heads. Split, attend, join, project; grouped key heads."""

from typing import Any

import numpy as np

from attnscope.lesson.attending import Array, attend, causal, softmax
from attnscope.lesson.comparing import UNIT, Rounded, exact, given
from attnscope.lesson.question import Arguments, Draw, Exercise, Expected, Misconception, Task

PARAMETERS = ("x", "w_q", "w_k", "w_v", "w_o", "heads", "kv_heads", "visible")


def drawn(mask: str | None, *, batched: bool = False, dtype: type = np.float64) -> Any:
    """Random inputs and weights; mask is "causal", "random" or None."""

    def make(rng: np.random.Generator, size: Any) -> Arguments:
        heads = size.kv_heads * size.group
        leading = (size.batch,) if batched else ()
        shapes = {
            "x": (*leading, size.tokens, size.d_model),
            "w_q": (size.d_model, heads * size.key_dim),
            "w_k": (size.d_model, size.kv_heads * size.key_dim),
            "w_v": (size.d_model, size.kv_heads * size.value_dim),
            "w_o": (heads * size.value_dim, size.d_model),
        }
        made: Arguments = {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}
        visible = None
        if mask == "causal":
            visible = causal(size.tokens, size.tokens)
        elif mask == "random":
            visible = (rng.random((size.tokens, size.tokens)) < 0.6) | np.eye(size.tokens, dtype=bool)
            visible[-1, : size.tokens - 1] = False
        return {**made, "heads": heads, "kv_heads": size.kv_heads, "visible": visible}

    return make


def split(rows: Any, heads: int) -> Any:
    """[..., tokens, heads * dim] to [..., heads, tokens, dim]."""
    return rows.reshape(*rows.shape[:-1], heads, -1).swapaxes(-2, -3)


def join(mixed: Any) -> Any:
    """[..., heads, tokens, dim] to [..., tokens, heads * dim]."""
    swapped = mixed.swapaxes(-2, -3)
    return swapped.reshape(*swapped.shape[:-2], -1)


def split_rounded(rows: Rounded, heads: int, group: int = 1) -> Rounded:
    """The same with errors, and each head repeated for its group."""
    value, error = (np.repeat(split(each, heads), group, axis=-3) for each in (rows.value, rows.error))
    return Rounded(value, error)


def product(a: Rounded, b: Rounded) -> Rounded:
    """The matrix product; its error is |a| e(b) + e(a) (|b| + e(b)) + (n + 2) u |a| |b|, n terms per sum."""
    sizes = np.abs(a.value), np.abs(b.value)
    rounding = (a.value.shape[-1] + 2) * UNIT * (sizes[0] @ sizes[1])
    return Rounded(a.value @ b.value, sizes[0] @ b.error + a.error @ (sizes[1] + b.error) + rounding)


def right_output(
    x: Array, w_q: Array, w_k: Array, w_v: Array, w_o: Array, heads: int, kv_heads: int, visible: Any
) -> tuple[Expected, ...]:
    """The reference between projections."""
    group = heads // kv_heads
    queries = split_rounded(product(given(x), given(w_q)), heads)
    keys = split_rounded(product(given(x), given(w_k)), kv_heads, group)
    values = split_rounded(product(given(x), given(w_v)), kv_heads, group)
    mixed = exact(queries, keys, values, visible).output
    joined = Rounded(join(mixed.value), join(mixed.bound))
    output = product(joined, given(w_o))
    return (Expected(output.value, output.error + UNIT * np.abs(output.value)),)


def other(**steps: Any) -> Any:
    """Multi-head attention with exchanged steps: split, group, scale, mask, join, project."""

    def wrong(
        x: Array, w_q: Array, w_k: Array, w_v: Array, w_o: Array, heads: int, kv_heads: int, visible: Any
    ) -> Any:
        splits = steps.get("split", split)
        query, key, value = (splits(x @ w, n) for w, n in ((w_q, heads), (w_k, kv_heads), (w_v, kv_heads)))
        repeated = steps.get("group", lambda rows, times: np.repeat(rows, times, axis=-3))
        key, value = (repeated(rows, heads // kv_heads) for rows in (key, value))
        shown = steps.get("mask", lambda visible, tokens: True if visible is None else visible)(
            visible, x.shape[-2]
        )
        scale = steps["scale"](x.shape[-1], heads) if "scale" in steps else None
        mixed = attend(query, key, value, shown, scale=scale, normalize=steps.get("softmax", softmax))[0]
        return steps.get("project", lambda joined, w: joined @ w)(steps.get("join", join)(mixed), w_o)

    return wrong


def transposed_weights(*args: Any) -> Any:
    x, w_q, w_k, w_v, w_o, *rest = args
    return other()(x, w_q.T, w_k.T, w_v.T, w_o, *rest)


def one_head(*args: Any) -> Any:
    *arrays, _, _, visible = args
    return other()(*arrays, 1, 1, visible)


GROUPED = {"tokens": 3, "d_model": 4, "kv_heads": 2, "group": 2, "key_dim": 2, "value_dim": 3}
PLAIN = {"tokens": 3, "d_model": 4, "kv_heads": 2, "group": 1, "key_dim": 2, "value_dim": 2}
HEADS = Task(
    name="multi_head",
    parameters=PARAMETERS,
    results=("output",),
    draws=(
        Draw("as many key heads as heads", drawn(None), PLAIN, seeds=2),
        Draw("a causal mask", drawn("causal"), {**PLAIN, "tokens": 4}, {"tokens": 2}),
        Draw(
            "heads of other lengths",
            drawn("random"),
            {"tokens": 4, "d_model": 5, "kv_heads": 3, "group": 1, "key_dim": 2, "value_dim": 4},
            {"tokens": 2},
        ),
        Draw("one head", drawn(None), {**PLAIN, "kv_heads": 1}),
        Draw("grouped heads", drawn(None), GROUPED, {"group": 2}),
        Draw(
            "one key head for all heads",
            drawn("causal"),
            {**GROUPED, "kv_heads": 1, "group": 3},
            {"group": 2},
        ),
        Draw("a batch", drawn("causal", batched=True), {**GROUPED, "batch": 2}, {"group": 2, "tokens": 2}),
        Draw("a batch, heads of one", drawn("random", batched=True), {**PLAIN, "batch": 3}, {"tokens": 2}),
        Draw("float32", drawn("causal", dtype=np.float32), {**GROUPED, "tokens": 5}, {"group": 2}),
    ),
    expected=right_output,
    misconceptions=(
        Misconception(
            "a head's columns are assumed to be interleaved with other heads'; a head's columns are "
            "contiguous: head 0 has the first key_dim columns.",
            other(split=lambda rows, n: np.moveaxis(rows.reshape(*rows.shape[:-1], -1, n), -1, -3)),
        ),
        Misconception(
            "the heads are split by a reshape that mixes tokens and columns: split the last axis into "
            "(heads, dim) first, then move the axis of heads.",
            other(split=lambda rows, n: rows.reshape(*rows.shape[:-2], n, rows.shape[-2], -1)),
        ),
        Misconception(
            "the heads are joined by a reshape that mixes heads and tokens: move the axis of heads back "
            "beside dim first.",
            other(join=lambda mixed: mixed.reshape(*mixed.shape[:-3], mixed.shape[-2], -1)),
        ),
        Misconception(
            "heads and columns are joined in the wrong order: all columns of head 0 come first, then those "
            "of head 1.",
            other(
                join=lambda mixed: np.moveaxis(mixed, -3, -1).reshape(*mixed.shape[:-3], mixed.shape[-2], -1)
            ),
        ),
        Misconception(
            "query head h reads key head h % kv_heads; neighbours share one: it is h // (heads // kv_heads).",
            other(group=lambda rows, times: np.concatenate([rows] * times, axis=-3)),
        ),
        Misconception(
            "all query heads read the first key head.",
            other(group=lambda rows, times: np.repeat(rows[..., :1, :, :], times * rows.shape[-3], axis=-3)),
        ),
        Misconception(
            "the scores are scaled by d_model; each head has its own key_dim.",
            other(scale=lambda d, h: d**-0.5),
        ),
        Misconception("the scores are not scaled.", other(scale=lambda d, h: 1.0)),
        Misconception(
            "the scores are scaled by the number of heads; it should be key_dim, the length of a head's "
            "query.",
            other(scale=lambda d, h: h**-0.5),
        ),
        Misconception(
            "visible makes no difference: every token sees all.", other(mask=lambda visible, n: True)
        ),
        Misconception(
            "the mask is inverted: True means that a query sees a key.",
            other(mask=lambda visible, n: True if visible is None else ~visible),
        ),
        Misconception(
            "without a mask the future is hidden; visible=None sees all.",
            other(mask=lambda visible, n: np.tri(n, dtype=bool) if visible is None else visible),
        ),
        Misconception(
            "it is always causal: visible makes no difference.",
            other(mask=lambda visible, n: np.tri(n, dtype=bool)),
        ),
        Misconception(
            "the joined heads are returned: the projection by w_o is missing.",
            other(project=lambda joined, w: joined),
        ),
        Misconception(
            "w_o is transposed: weights are [in, out], so that joined @ w_o is the output.",
            other(project=lambda joined, w: joined @ w.T),
        ),
        Misconception(
            "the weights are transposed: they are [in, out], so that x @ w is a projection.",
            transposed_weights,
        ),
        Misconception(
            "all heads are attended to as one: split them first, each has a softmax of its own.", one_head
        ),
        Misconception(
            "the softmax runs over the heads; each head has its own, over the keys.",
            other(softmax=lambda scores: softmax(scores, axis=-3)),
        ),
        Misconception(
            "the softmax runs over the queries instead of the keys.",
            other(softmax=lambda scores: softmax(scores, axis=-2)),
        ),
    ),
)


def kv_weights(rng: np.random.Generator, size: Any) -> Arguments:
    heads = size.kv_heads * size.group
    return {
        "w": rng.standard_normal((size.d_model, heads * size.dim)),
        "heads": heads,
        "kv_heads": size.kv_heads,
    }


def pooled(w: Array, heads: int, kv_heads: int) -> tuple[Expected, ...]:
    """Means over groups: Ainslie et al. 2023, arXiv:2305.13245, section 2.1."""
    grouped = w.reshape(len(w), kv_heads, heads // kv_heads, -1)
    bound = UNIT * (heads + 4) * np.abs(grouped).mean(axis=2)
    return (Expected(grouped.mean(axis=2).reshape(len(w), -1), bound.reshape(len(w), -1)),)


POOL = Task(
    name="pool_heads",
    parameters=("w", "heads", "kv_heads"),
    results=("pooled",),
    draws=(
        Draw("grouped heads", kv_weights, {"d_model": 2, "kv_heads": 2, "group": 2, "dim": 2}, seeds=2),
        Draw("one key head", kv_weights, {"d_model": 3, "kv_heads": 1, "group": 4, "dim": 2}),
        Draw("nothing to pool", kv_weights, {"d_model": 2, "kv_heads": 3, "group": 1, "dim": 2}),
    ),
    expected=pooled,
    misconceptions=(
        Misconception(
            "the heads of a group are summed; expected their mean.",
            lambda w, h, k: w.reshape(len(w), k, h // k, -1).sum(2).reshape(len(w), -1),
        ),
        Misconception(
            "heads that are not neighbours are pooled; a group's heads are neighbours.",
            lambda w, h, k: w.reshape(len(w), h // k, k, -1).mean(1).reshape(len(w), -1),
        ),
        Misconception(
            "only the first head of each group is kept.",
            lambda w, h, k: w.reshape(len(w), k, h // k, -1)[:, :, 0].reshape(len(w), -1),
        ),
    ),
)

EXERCISE = Exercise(5, "heads", (HEADS,), (POOL,), difficulty=2, minutes=30, after=(3,))
