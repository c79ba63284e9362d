"""Statements that this lesson once had wrong: the truth is computed here, and no page may contradict it."""

import re
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

import attnscope as at
from tests.lesson.notebooks import shipped
from tests.lesson.page import LESSON, pages

Floats = NDArray[np.float64]


def softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    parts = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(parts / parts.sum(axis=-1, keepdims=True))


def no_float16_is_below_a_large_negative_number() -> bool:
    lowest = np.finfo(np.float16).min
    with np.errstate(over="ignore"):
        return not (np.array([lowest, lowest + lowest]) < -1e10).any()


def a_hidden_passage_arrives_through_the_rows_between() -> bool:
    """Hidden from the answer's rows alone, it moves them in two layers; hidden from all later rows, never."""
    answer_only, all_later = np.tri(12, dtype=bool), np.tri(12, dtype=bool)
    answer_only[8:, :4] = False
    all_later[4:, :4] = False
    x = np.random.default_rng(0).standard_normal((12, 4)) / 2
    moved = x + 0.1 * (np.arange(12) < 4)[:, None]

    def answer(x: NDArray[np.float64], visible: NDArray[np.bool_], layers: int) -> NDArray[np.float64]:
        for _ in range(layers):
            x = x + at.attention(x, x, x, mask=visible)
        return x[8:]

    through, cut = (
        [not np.array_equal(answer(x, visible, layers), answer(moved, visible, layers)) for layers in (1, 2)]
        for visible in (answer_only, all_later)
    )
    return through == [False, True] and cut == [False, False]


def a_slightly_wider_spread_is_no_smaller_gradient() -> bool:
    scores, gains = np.random.default_rng(0).standard_normal((2, 2000, 128))

    def gradient(spread: float) -> float:
        weights = softmax(spread * scores)
        return float(
            np.median(np.linalg.norm(weights * (gains - (weights * gains).sum(-1, keepdims=True)), axis=-1))
        )

    return gradient(1.0) < gradient(2**0.5) and gradient(16.0) < gradient(1.0)


def small_fast_memory_saves_no_traffic() -> bool:
    """Numbers moved, counted block by block, beside scores and weights that are written out."""
    n, d = 4096, 64

    def times_fewer(fast: int, *, keys_outer: bool) -> Fraction:
        rows = fast // (4 * d)  # of a block each of queries, keys, values and outputs
        moved = 0
        for _ in range(0, n, rows):
            moved += 2 * rows * d  # the outer block: keys and values, or queries and outputs
            moved += (3 * d + 4) * n if keys_outer else 2 * d * n
        return Fraction(4 * n * d + 4 * n * n, moved)

    small = [times_fewer(d * d, keys_outer=outer) for outer in (True, False)]
    four = [times_fewer(4 * d * d, keys_outer=outer) for outer in (True, False)]
    written_out = 4 * n * d + 4 * n * n
    keys_outer = Fraction(written_out, 2 * n * d + 3 * n * n + 4 * n * n // d)
    queries_outer = Fraction(written_out, 2 * n * d + 2 * n * n)  # is 2
    return max(small) < 1 and four == [keys_outer, queries_outer]


def the_dictionary_passes_a_gradient_to_the_value_it_chose() -> bool:
    """A hard lookup, differentiated: 1 to the chosen value, 0 to all other arguments."""

    def look_up(query: Floats, keys: Floats, values: Floats) -> float:
        return float(values[np.argmax(keys @ query)])

    arguments = (
        np.array([1.0, 2.0]),
        np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]),
        np.array([3.0, 5.0, 7.0]),
    )
    before, step = look_up(*arguments), 2.0**-20  # exact in binary
    slopes = []
    for place, argument in enumerate(arguments):
        slopes.append(np.zeros_like(argument))
        for index in np.ndindex(argument.shape):
            moved = [each.copy() for each in arguments]
            moved[place][index] += step
            slopes[place][index] = (look_up(*moved) - before) / step
    of_query, of_keys, of_values = slopes
    return not of_query.any() and not of_keys.any() and of_values.tolist() == [0.0, 1.0, 0.0]


def a_first_layer_s_rotary_key_depends_on_its_position() -> bool:
    token = np.random.default_rng(0).standard_normal((1, 8))
    return not np.allclose(at.apply_rotary(token, [3]), at.apply_rotary(token, [10]))


def a_leak_through_a_softmax_saturates() -> bool:
    """The output of a softmax that is masked too late, over the change of a hidden score."""
    values = np.array([1.0, 2.0, 0.0])  # the last is hidden
    moved = [
        abs((softmax(np.array([0.0, 0.0, change])) - softmax(np.zeros(3))) @ values)
        for change in (1.0, 20.0, 40.0)
    ]
    return bool(moved[0] < moved[1] and abs(moved[2] - moved[1]) < 1e-6)


def a_masked_row_is_an_average_only_if_its_scores_are_replaced() -> bool:
    scores = np.array([0.0, 0.0, 0.0, np.log(5)])
    replaced, added = softmax(np.full(4, -1e9)), softmax(scores - 1e9)
    in_float32 = softmax((scores - 1e9).astype(np.float32).astype(float))
    return (
        np.allclose(replaced, 0.25)
        and np.allclose(in_float32, 0.25)
        and np.allclose(added, [0.125, 0.125, 0.125, 0.625], atol=1e-6)
    )


def two_parts_without_keys_merge_to_nothing() -> bool:
    nothing = at.partial_attention(np.ones((1, 2)), np.ones((3, 2)), np.ones((3, 1)), mask=at.KeyLengths([0]))
    merged = at.merge_partials(nothing, nothing)
    return bool((merged.output == 0).all() and np.isneginf(merged.logsumexp).all())


def entropy_lies_between_0_and_ln_n() -> bool:
    weights = softmax(3 * np.random.default_rng(0).standard_normal((1000, 12)))
    entropy = -(weights * np.log(weights)).sum(axis=-1)
    return bool((entropy >= 0).all() and (entropy <= np.log(12)).all())


def a_causal_mask_alone_tells_a_row_its_place() -> bool:
    """Without positions, the weight on a first key that all rows like equally is 1 over the visible keys."""
    zeros = np.zeros((6, 1))
    first = np.eye(6)[:, :1]
    read = at.attention(zeros, zeros, first, mask=at.Causal())[:, 0]
    return bool(np.allclose(read, 1 / np.arange(1, 7)))


# What is true; a page that must say so, and how; what no page may say
CORRECTIONS: list[tuple[Callable[[], bool], str, str, str]] = [
    (
        no_float16_is_below_a_large_negative_number,
        "03-masks.md",
        r"\[False False\]",
        r"`mask < -1e10` says yes",
    ),
    (
        a_hidden_passage_arrives_through_the_rows_between,
        "10-language-models.md",
        r"hid(?:e|den) (?:it )?from \*?all\*?|cut off",
        r"Hide the passage from the answer by a mask, and the answer cannot use it",
    ),
    (
        a_slightly_wider_spread_is_no_smaller_gradient,
        "02-scaled-dot-product.md",
        r"\bgrows\b",
        r"All gradients through the scores shrink",
    ),
    (
        small_fast_memory_saves_no_traffic,
        "08-flash-attention.md",
        r"0\.33 and 0\.50",
        r"4\.0 times fewer|nothing gained but the memory",
    ),
    (
        the_dictionary_passes_a_gradient_to_the_value_it_chose,
        "01-soft-retrieval.md",
        r"the value that it chose",
        r"has the derivative zero wherever it has one",
    ),
    (
        a_first_layer_s_rotary_key_depends_on_its_position,
        "07-cache.md",
        r"the same key: False",
        r"only the first layer's keys depend on the token alone",
    ),
    (
        a_leak_through_a_softmax_saturates,
        "09-leaks.md",
        r"saturates",
        r"change the hidden token \*?more\*?, and a leak moves more",
    ),
    (
        a_masked_row_is_an_average_only_if_its_scores_are_replaced,
        "03-masks.md",
        r"\[0\.125 0\.125 0\.125 0\.625\]",
        r"the softmax shifts them to \$0\$, and the row becomes the average",
    ),
    (
        two_parts_without_keys_merge_to_nothing,
        "08-flash-attention.md",
        r"e\^\{-\\infty - \\ell\}\$ is \$0\$",
        r"\\ell_\\emptyset = -\\infty\$, \$o_\\emptyset = 0\$\. \*\*Theorem",
    ),
    (
        entropy_lies_between_0_and_ln_n,
        "04-weights.md",
        r"\\ln t \\le t - 1",
        r"Always \$0 \\le H \\le \\ln n\$\.",
    ),
    (
        a_causal_mask_alone_tells_a_row_its_place,
        "06-positions.md",
        r"2305\.19466",
        r"It is little to go by|the two ways in which today's models|Everything so far treats a context as a",
    ),
]
every_correction = pytest.mark.parametrize(
    ("holds", "name", "said", "wrong"), CORRECTIONS, ids=[row[0].__name__ for row in CORRECTIONS]
)


@every_correction
def test_what_was_wrong_is_right(holds: Callable[[], bool], name: str, said: str, wrong: str) -> None:
    assert holds()
    assert re.search(said, plain((LESSON / name).read_text(encoding="utf-8")))


@every_correction
def test_no_page_says_it_again(holds: Callable[[], bool], name: str, said: str, wrong: str) -> None:
    for path in pages():
        assert not re.search(wrong, plain(path.read_text(encoding="utf-8"))), path.name


def plain(text: str) -> str:
    """A page on one line."""
    return " ".join(text.split())


def test_pooled_heads_are_only_where_a_conversion_starts() -> None:
    [cell] = [
        "".join(cell["source"])
        for cell in shipped()["cells"]
        if cell["cell_type"] == "markdown" and "2305.13245" in "".join(cell["source"])
    ]
    assert cell.startswith("**Stretch.**")
    assert "where the conversion starts" in cell
    assert "trained on for a while" in cell
