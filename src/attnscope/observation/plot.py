"""Pictures of observations, for light and dark pages. Needs matplotlib, which comes with the extra `plot`."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from attnscope.arguments import brief, whole_number
from attnscope.errors import AttentionError
from attnscope.observation.heads import HeadSummary, summarize, with_heads
from attnscope.result import Statistics

INK = "#777777"  # readable on white and on black
# Okabe and Ito's colors, which people with color blindness can distinguish
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9")
SEEN = LinearSegmentedColormap.from_list("seen", ["#10243e", "#1f5f8b", "#2a9d8f", "#e9c46a", "#fff3d6"])
FAINT = 0.4  # colors show this power of a weight, as weights fall off steeply
MOST_LINES = 6  # of more heads, the median and the range are drawn
MEASURES = {
    "entropy": "entropy (nats)",
    "normalized_entropy": "entropy / ln(visible keys)",
    "effective_keys": "effective keys, exp(entropy)",
    "max_weight": "largest weight",
    "first_mass": "mass on the first {count} keys",
    "mean_distance": "mean distance (tokens)",
}


class Subject(NamedTuple):
    """What a picture shows: statistics, with the axes that the query has; a batch row; one head or all."""

    seen: Statistics
    key_len: int
    segment_names: tuple[str, ...]
    batch: int
    head: int | None

    @property
    def name(self) -> str:
        return "mean of all heads" if self.head is None else f"head {self.head}"


def draw(
    seen: Statistics,
    kind: str,
    *,
    key_len: int,
    segment_names: tuple[str, ...] = (),
    batch: int = 0,
    head: int | None = None,
) -> Figure:
    """Draw one of the pictures of Observation.plot()."""
    kinds = {"entropy": _entropy, "map": _map, "segments": _segments, "received": _received}
    if kind not in kinds:
        raise AttentionError(f"kind={brief(kind)}: expected one of {', '.join(kinds)}.")
    batches, heads = with_heads(seen.entropy, 3).shape[:2]
    _check_index("batch", batch, batches)
    if head is not None:
        _check_index("head", head, heads)
    figure = Figure(figsize=(8, 6.4 if kind == "map" else 4), dpi=120, layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    kinds[kind](axes, Subject(seen, key_len, segment_names, batch, head))
    dress(axes)
    return figure


def draw_heads(summaries: Sequence[HeadSummary], measure: str = "entropy", *, batch: int = 0) -> Figure:
    """Draw layers by heads; the color of a cell is a head's mean of the measure."""
    if measure not in MEASURES:
        raise AttentionError(f"measure={brief(measure)}: expected one of {', '.join(MEASURES)}.")
    if not summaries:
        raise AttentionError(
            "summaries is empty, expected a HeadSummary of each layer. Pass [observation.per_head()]."
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


def _entropy(axes: Axes, subject: Subject) -> None:
    seen, batch, head = subject.seen, subject.batch, subject.head
    entropy = with_heads(seen.entropy, 3)[batch]
    position = np.arange(seen.query_len) + subject.key_len - seen.query_len
    most = np.log(np.maximum(with_heads(seen.visible_keys, 3)[batch].max(axis=0, initial=1), 1))
    axes.plot(position, most, color=INK, linewidth=1, linestyle=":", label="ln(visible keys): uniform")
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


def _map(axes: Axes, subject: Subject) -> None:
    pooled = _observed(subject.seen.block_map, "block_map", "block_map_size=64", 4)[subject.batch]
    cells = pooled.mean(axis=0) if subject.head is None else pooled[subject.head]
    first = subject.key_len - subject.seen.query_len
    image = axes.imshow(
        cells,
        cmap=SEEN,
        norm=PowerNorm(FAINT, 0, max(float(cells.max(initial=0)), 1e-12)),
        aspect="auto",
        interpolation="nearest",
        extent=(0, subject.key_len, first + subject.seen.query_len, first),
    )
    axes.set(xlabel="key", ylabel="query", title=f"mean weight per block, {subject.name}")
    figure = axes.figure
    assert isinstance(figure, Figure)
    _bar(figure, axes, image)


def _segments(axes: Axes, subject: Subject) -> None:
    _observed(subject.seen.segment_mass, "segment_mass", "segments=...", 4)
    masses = summarize(subject.seen, subject.segment_names, first_keys=0).segment_mass
    assert masses is not None
    heads = np.arange(masses.shape[1]) if subject.head is None else np.array([subject.head])
    left = np.zeros(len(heads))
    for number, name in enumerate(subject.segment_names):
        width = masses[subject.batch, heads, number]
        color, tint = COLORS[number % len(COLORS)], 0.45 + 0.55 / (1 + number // len(COLORS))
        axes.barh(heads, width, left=left, color=color, alpha=tint, label=name[:24], height=0.8)
        left += width
    axes.set(xlabel="share of the weight, mean over queries", ylabel="head", xlim=(0, 1))
    axes.set_yticks(heads)
    axes.invert_yaxis()
    axes.legend(frameon=False, labelcolor=INK, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _received(axes: Axes, subject: Subject) -> None:
    received = _observed(subject.seen.received, "received", "received=True", 3)[subject.batch]
    shown = received.mean(axis=0) if subject.head is None else received[subject.head]
    axes.plot(np.arange(subject.key_len), shown, color=COLORS[0], linewidth=1.2)
    axes.set(xlabel="key", ylabel="weight received from all queries", title=subject.name, ylim=(0, None))


def _observed(array: NDArray[Any] | None, name: str, how: str, rank: int) -> NDArray[Any]:
    if array is None:
        raise AttentionError(f"this observation has no {name}. Call observe(..., {how}).")
    return with_heads(array, rank)


def _check_index(name: str, given: int, count: int) -> None:
    number = whole_number(given, name, minimum=0, error=AttentionError)
    if number >= count:
        raise AttentionError(f"{name}={number}: expected 0 to {count - 1}.")


def _bar(figure: Figure, axes: Axes, image: Any) -> None:
    bar = figure.colorbar(image, ax=axes)
    bar.ax.tick_params(colors=INK)
    bar.outline.set_edgecolor(INK)


def dress(axes: Axes) -> None:
    """Color the text and the frame so that both a white and a black page show them."""
    axes.title.set_color(INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.tick_params(colors=INK)
    for spine in axes.spines.values():
        spine.set_color(INK)
