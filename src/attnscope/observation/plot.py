"""Pictures of observations, for light and dark pages. Needs matplotlib, which comes with the extra `plot`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from attnscope.arguments import brief, whole_number
from attnscope.errors import AttentionError
from attnscope.observation.heads import HeadSummary, with_heads
from attnscope.observation.observation import Observation

INK = "#777777"  # on white and on black alike
COLORS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#8a6d00",
    "#56b4e9",
)  # Okabe and Ito's, told apart by most eyes
SEEN = LinearSegmentedColormap.from_list("seen", ["#10243e", "#1f5f8b", "#2a9d8f", "#e9c46a", "#fff3d6"])
FAINT = 0.4  # weights fall off steeply: their power 0.4 is shown
MOST_LINES = 6  # more heads become their median and range
MEASURES = {
    "entropy": "entropy (nats)",
    "normalized_entropy": "entropy / ln(visible keys)",
    "effective_keys": "effective keys, e^entropy",
    "max_weight": "largest weight",
    "first_mass": "mass on the first {count} keys",
    "mean_distance": "mean distance (tokens)",
}


def draw(seen: Observation, kind: str, *, batch: int = 0, head: int | None = None) -> Figure:
    """One of the pictures of Observation.plot()."""
    kinds = {"entropy": _entropy, "map": _map, "segments": _segments, "received": _received}
    if kind not in kinds:
        raise AttentionError(f"kind={brief(kind)}: expected one of {', '.join(kinds)}.")
    batches, heads = with_heads(seen.entropy, 3).shape[:2]
    _there("batch", batch, batches)
    if head is not None:
        _there("head", head, heads)
    figure = Figure(figsize=(8, 6.4 if kind == "map" else 4), dpi=120, layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    kinds[kind](axes, seen, batch, head)
    dress(axes)
    return figure


def draw_heads(summaries: Sequence[HeadSummary], measure: str = "entropy", *, batch: int = 0) -> Figure:
    """Layers by heads, each cell a head's mean of the measure.

    Errors
        AttentionError for an unknown measure, and when there is no layer.
    """
    if measure not in MEASURES:
        raise AttentionError(f"measure={brief(measure)}: expected one of {', '.join(MEASURES)}.")
    if not summaries:
        raise AttentionError(
            "there is no layer to draw, expected a HeadSummary for each: observation.per_head()."
        )
    heads = max(each.entropy.shape[1] for each in summaries)
    cells = np.full((len(summaries), heads), np.nan)
    for layer, each in enumerate(summaries):
        values = getattr(each, measure)[batch]
        cells[layer, : len(values)] = values
    figure = Figure(figsize=(1.6 + 0.5 * heads, 1.4 + 0.3 * len(summaries)), dpi=120, layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    image = axes.imshow(cells, cmap=SEEN, aspect="auto", interpolation="nearest")
    axes.set(xlabel="head", ylabel="layer", title=MEASURES[measure].format(count=summaries[0].first_keys))
    axes.set_xticks(range(heads))
    _bar(figure, axes, image)
    dress(axes)
    return figure


def _entropy(axes: Axes, seen: Observation, batch: int, head: int | None) -> None:
    entropy = with_heads(seen.entropy, 3)[batch]
    position = np.arange(seen.query_len) + seen.key_len - seen.query_len
    most = np.log(np.maximum(with_heads(seen.visible_keys, 3)[batch].max(axis=0, initial=1), 1))
    axes.plot(position, most, color=INK, linewidth=1, linestyle=":", label="ln(visible keys): all alike")
    if head is not None:
        axes.plot(position, entropy[head], color=COLORS[0], linewidth=1.5, label=f"head {head}")
    elif len(entropy) <= MOST_LINES:
        for number, row in enumerate(entropy):
            axes.plot(position, row, color=COLORS[number], linewidth=1.5, label=f"head {number}")
    else:
        low, middle, high = np.quantile(entropy, [0.0, 0.5, 1.0], axis=0)
        axes.fill_between(position, low, high, color=COLORS[0], alpha=0.25, label="all heads")
        axes.plot(position, middle, color=COLORS[0], linewidth=1.5, label="median head")
    axes.set(xlabel="position of the query", ylabel="entropy (nats)", ylim=(0, None))
    axes.legend(frameon=False, labelcolor=INK)


def _map(axes: Axes, seen: Observation, batch: int, head: int | None) -> None:
    pooled = _asked(seen.block_map, "map", "block_map_size=64", 4)[batch]
    cells = pooled.mean(axis=0) if head is None else pooled[head]
    first = seen.key_len - seen.query_len
    image = axes.imshow(
        cells, cmap=SEEN, norm=PowerNorm(FAINT, 0, max(float(cells.max(initial=0)), 1e-12)), aspect="auto",
        interpolation="nearest", extent=(0, seen.key_len, first + seen.query_len, first),
    )  # fmt: skip
    of = "mean of all heads" if head is None else f"head {head}"
    axes.set(xlabel="key that is read", ylabel="query that reads", title=f"mean weight a block, {of}")
    figure = axes.figure
    assert isinstance(figure, Figure)
    _bar(figure, axes, image)


def _segments(axes: Axes, seen: Observation, batch: int, head: int | None) -> None:
    _asked(seen.segment_mass, "segment_mass", "segments=...", 4)
    masses = seen.per_head().segment_mass
    assert masses is not None
    heads = np.arange(masses.shape[1]) if head is None else np.array([head])
    left = np.zeros(len(heads))
    for number, name in enumerate(seen.segment_names):
        width = masses[batch, heads, number]
        tint = 0.45 + 0.55 / (1 + number // len(COLORS))
        axes.barh(
            heads,
            width,
            left=left,
            color=COLORS[number % len(COLORS)],
            alpha=tint,
            label=name[:24],
            height=0.8,
        )
        left += width
    axes.set(xlabel="share of the weight, mean over queries", ylabel="head", xlim=(0, 1))
    axes.set_yticks(heads)
    axes.invert_yaxis()
    axes.legend(frameon=False, labelcolor=INK, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _received(axes: Axes, seen: Observation, batch: int, head: int | None) -> None:
    received = _asked(seen.received, "received", "received=True", 3)[batch]
    shown = received.mean(axis=0) if head is None else received[head]
    axes.plot(np.arange(seen.key_len), shown, color=COLORS[0], linewidth=1.2)
    of = "mean of all heads" if head is None else f"head {head}"
    axes.set(xlabel="key", ylabel="weight received from all queries", title=of, ylim=(0, None))


def _asked(array: NDArray[Any] | None, name: str, how: str, rank: int) -> NDArray[Any]:
    if array is None:
        raise AttentionError(f"this observation has no {name}: call observe(..., {how}).")
    return with_heads(array, rank)


def _there(name: str, given: int, count: int) -> None:
    number = whole_number(given, name, minimum=0, error=AttentionError)
    if number >= count:
        raise AttentionError(f"{name}={number}: expected 0 to {count - 1}.")


def _bar(figure: Figure, axes: Axes, image: Any) -> None:
    bar = figure.colorbar(image, ax=axes)
    bar.ax.tick_params(colors=INK)
    bar.outline.set_edgecolor(INK)


def dress(axes: Axes) -> None:
    """Ink that both a white and a black page show."""
    axes.title.set_color(INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.tick_params(colors=INK)
    for spine in axes.spines.values():
        spine.set_color(INK)
