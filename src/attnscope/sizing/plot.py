"""A picture of a cache over the context, engine by engine. Needs matplotlib, which comes with the extra `plot`."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from attnscope.sizing.comparison import EngineCache
from attnscope.sizing.table import in_units

mpl.use("Agg")
POINTS = 96
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))  # engines often coincide: a pattern each, drawn over each other
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00")  # Okabe and Ito's, told apart by most eyes
INK = "#777777"  # on white and on black alike


def draw_caches(caches: tuple[EngineCache, ...], path: Path) -> None:
    """Cache bytes from no token to twice the context, on a transparent ground.

    Errors
        OSError and ValueError, where matplotlib cannot write such a file.
    """
    plans = [each.plan for each in caches if each.plan is not None]
    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    first = plans[0]
    contexts = sorted({max(1, 2 * first.context * i // POINTS) for i in range(1, POINTS + 1)})
    for i, plan in enumerate(plans):
        held = [sum(row.cache_bytes for row in plan.rows_at(context)) for context in contexts]
        width = 5.0 - 0.8 * i
        axes.plot(contexts, held, label=plan.engine, linestyle=LINES[i], color=COLORS[i], linewidth=width, alpha=0.9)
    axes.axvline(first.context, color=INK, linewidth=0.8)
    axes.set_title(f"{first.model.model_type}: cache of {first.batch:,} sequences, {first.kv_dtype}", color=INK)
    axes.set_xlabel("tokens of each sequence", color=INK)
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0, right=contexts[-1])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda held, _: in_units(round(held))))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tokens, _: f"{tokens:,.0f}"))
    axes.tick_params(colors=INK)
    axes.grid(color=INK, alpha=0.25)
    for spine in axes.spines.values():
        spine.set_color(INK)
    axes.legend(frameon=False, labelcolor=INK)
    figure.savefig(path, transparent=True)
