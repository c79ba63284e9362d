"""A picture of a cache over the context, engine by engine; needs matplotlib (the extra `plot`)."""

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from attnscope.sizing.plan import CachePlan, EngineCache
from attnscope.sizing.units import largest_unit

POINTS = 96
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
SIMILAR = 0.02  # engines that differ by less than this share of the largest have one line
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00")  # by Okabe and Ito, for color-blind readers
INK = "#777777"  # readable on white and on black


def draw_caches(caches: tuple[EngineCache, ...], path: Path) -> None:
    """Draw the cache's bytes from 0 to twice the context, on a transparent background.

    Engines that differ by less than 2 % share a line.

    Parameters
    ----------
    caches : tuple of EngineCache
        As `compare_engines` returns them; at least one has a plan.
    path : Path
        A PNG, SVG or PDF file.

    Raises
    ------
    OSError, ValueError
        If matplotlib cannot write such a file.
    """
    plans = [each.plan for each in caches if each.plan is not None]
    unit, unit_bytes = largest_unit(max(plan.cache_bytes for plan in plans))
    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    first = plans[0]
    contexts = sorted({max(1, 2 * first.context * i // POINTS) for i in range(1, POINTS + 1)})
    for i, (held, engines) in enumerate(curves(plans, contexts)):
        scaled = [each / unit_bytes for each in held]
        axes.plot(
            contexts, scaled, label=", ".join(engines), linestyle=LINES[i], color=COLORS[i], linewidth=2.5
        )
    axes.axvline(first.context, color=INK, linewidth=0.8)
    axes.set_title(
        f"{first.model.model_type}: cache of {first.batch:,} sequences, {first.kv_dtype}", color=INK
    )
    axes.set_xlabel(f"tokens per sequence; the vertical line is at {first.context:,}", color=INK)
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0, right=contexts[-1])
    axes.set_ylabel(unit, color=INK)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tokens, _: f"{tokens:,.0f}"))
    axes.tick_params(colors=INK)
    axes.grid(color=INK, alpha=0.25)
    for spine in axes.spines.values():
        spine.set_color(INK)
    axes.legend(frameon=False, labelcolor=INK)
    figure.savefig(path, transparent=True)


def curves(plans: list[CachePlan], contexts: list[int]) -> list[tuple[list[int], list[str]]]:
    """Cache bytes at each context, and the engines that share them."""
    found: list[tuple[list[int], list[str]]] = []
    for plan in plans:
        held = [sum(row.cache_bytes for row in plan.rows_at(context)) for context in contexts]
        for known, engines in found:
            if all(abs(a - b) <= SIMILAR * max(known) for a, b in zip(known, held, strict=True)):
                engines.append(plan.engine)
                break
        else:
            found.append((held, [plan.engine]))
    return found
