"""Pictures show the numbers that they are of."""

from typing import Any

import numpy as np
import pytest

import attnscope as at
from tests.tolerance import of_a_sum

pytest.importorskip("matplotlib", reason="not installed here: it comes with attnscope[plot]")

RNG = np.random.default_rng(8)
QUERY, KEY, VALUE = (RNG.standard_normal((1, h, 60, 8)).astype(np.float32) for h in (4, 2, 2))
SEEN = at.observe(
    QUERY,
    KEY,
    VALUE,
    mask=at.Causal(),
    segments={"system": (0, 20), "user": (20, 60)},
    received=True,
    block_map_size=12,
)


def axes_of(figure: Any) -> Any:
    figure.savefig("/dev/null", format="png")
    return figure.axes[0]


@pytest.mark.parametrize("head", [None, 2])
def test_entropy_over_position(head: int | None) -> None:
    lines = axes_of(SEEN.plot("entropy", head=head)).get_lines()
    np.testing.assert_allclose(lines[0].get_ydata(), np.log(np.arange(1, 61)))  # all alike: ln(visible keys)
    np.testing.assert_array_equal(lines[1].get_ydata(), SEEN.entropy[0, head or 0])


def test_many_heads_become_their_median_and_range() -> None:
    many = at.observe(*(np.repeat(x, 4, axis=1) for x in (QUERY, KEY, VALUE)))
    line = axes_of(many.plot("entropy")).get_lines()[1]
    np.testing.assert_allclose(line.get_ydata(), np.median(many.entropy[0], axis=0), rtol=of_a_sum(0))


def test_a_map_is_the_head_s_own_or_the_mean() -> None:
    assert SEEN.block_map is not None
    shown = axes_of(SEEN.plot("map", head=1)).get_images()[0].get_array()
    np.testing.assert_array_equal(shown, SEEN.block_map[0, 1])
    np.testing.assert_allclose(
        axes_of(SEEN.plot("map")).get_images()[0].get_array(), SEEN.block_map[0].mean(axis=0)
    )


def test_segments_are_bars_that_fill_the_width() -> None:
    bars = axes_of(SEEN.plot("segments")).patches
    assert len(bars) == 2 * 4
    heads = SEEN.per_head().segment_mass
    assert heads is not None
    of_doubles = of_a_sum(0, np.float64)  # a bar's width is the difference of its ends
    np.testing.assert_allclose([bar.get_width() for bar in bars], heads[0].T.ravel(), rtol=of_doubles)


def test_received_is_drawn_over_the_keys() -> None:
    assert SEEN.received is not None
    line = axes_of(SEEN.plot("received", head=3)).get_lines()[0]
    np.testing.assert_array_equal(line.get_ydata(), SEEN.received[0, 3])


def test_layers_and_heads_make_a_grid() -> None:
    grid = axes_of(at.observation.draw_heads([SEEN.per_head()] * 3, "first_mass")).get_images()[0].get_array()
    assert grid.shape == (3, 4)
    np.testing.assert_array_equal(grid[1], SEEN.per_head().first_mass[0])


@pytest.mark.parametrize(
    ("kind", "where", "message"),
    [
        ("heat", {}, "kind='heat': expected one of entropy, map, segments, received"),
        ("map", {"head": 4}, "head=4: expected 0 to 3"),
        ("map", {"batch": 1}, "batch=1: expected 0 to 0"),
    ],
)
def test_what_is_not_there_is_refused(kind: Any, where: dict[str, int], message: str) -> None:
    with pytest.raises(at.AttentionError, match=message):
        SEEN.plot(kind, **where)


def test_what_was_not_asked_for_says_how_to_ask() -> None:
    bare = at.observe(QUERY, KEY, VALUE)
    for kind, how in (("map", "block_map_size=64"), ("segments", "segments="), ("received", "received=True")):
        with pytest.raises(at.AttentionError, match=f"Call observe\\(..., {how}"):
            bare.plot(kind)  # type: ignore[arg-type]
    with pytest.raises(at.AttentionError, match="measure='speed': expected one of"):
        at.observation.draw_heads([bare.per_head()], "speed")
    with pytest.raises(at.AttentionError, match="summaries is empty"):
        at.observation.draw_heads([])
