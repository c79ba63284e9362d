"""A picture of an attribution. Needs matplotlib, which comes with the extra `plot`."""

from collections.abc import Sequence

from matplotlib.figure import Figure

RAISES, LOWERS, INK = "#0072b2", "#d55e00", "#777777"  # the ink is readable on white and on black
LONGEST_NAME = 40


def bars(names: Sequence[str], values: Sequence[float], label: str) -> Figure:
    """A bar per source, from top to bottom."""
    figure = Figure(figsize=(7, 0.9 + 0.3 * len(names)), dpi=120, layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    axes.barh(range(len(values)), values, color=[RAISES if value >= 0 else LOWERS for value in values])
    shown = [name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME] + "…" for name in names]
    axes.set_yticks(range(len(names)), shown)
    axes.invert_yaxis()
    axes.set_xlabel(label, color=INK)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.tick_params(colors=INK)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    return figure
