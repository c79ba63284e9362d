"""Layers by heads as coloured cells with their numbers, as wide as the terminal allows."""

import math
from collections.abc import Callable

from rich.style import Style
from rich.text import Text

from attnscope.inspection.inspection import Inspection
from attnscope.inspection.measures import Measure

# Ordered by lightness, so that it reads the same in grey.
RAMP = (
    (29, 37, 48),
    (33, 56, 74),
    (38, 80, 104),
    (50, 107, 130),
    (74, 136, 150),
    (115, 165, 163),
    (165, 194, 172),
    (213, 220, 182),
    (251, 243, 200),
)
LABEL = 5  # columns before the first head
WIDE, NARROW = 4, 2  # columns of a cell with a number; with a digit
BRIGHT = 140  # of 255: from here on the text is black


def head_grid(found: Inspection, measure: Measure, width: int) -> list[Text]:
    """A line of head numbers, then one line per layer."""
    columns = max(layer.heads for layer in found.layers)
    cell = next((each for each in (WIDE, NARROW) if LABEL + columns * each <= width), 1)
    values = found.values(measure.key)
    share = share_of_scale(measure, [float(value) for of_layer in values for value in of_layer])
    lines = [heading(columns, cell)]
    for layer, of_layer in zip(found.layers, values, strict=True):
        line = Text(f"{layer.number:>{LABEL - 1}} ", style="dim")
        for value in of_layer:
            place = share(float(value))
            line.append(cell_text(float(value), place, measure, cell), Style.parse(style_of(place)))
        lines.append(line)
    return lines


def heading(columns: int, cell: int) -> Text:
    """The head numbers: every one, or as many as fit without touching."""
    every = max(1, math.ceil(3 / cell))
    labels = [f"{column:>{cell}}".ljust(cell * every) for column in range(0, columns, every)]
    return Text(" " * LABEL + "".join(labels).rstrip(), style="dim")


def cell_text(value: float, place: float, measure: Measure, cell: int) -> str:
    """The value if there is room for it, else the tenth of the scale that it is in."""
    if cell == WIDE:
        return f"{short(value, measure):>{WIDE}}"
    return f"{min(9, int(10 * place)):>{cell}}"


def short(value: float, measure: Measure) -> str:
    """A share in at most three characters, another value with at most one decimal.

    >>> from attnscope.inspection.measures import BY_KEY
    >>> short(0.283, BY_KEY["induction"]), short(0.999, BY_KEY["induction"])
    ('.28', '1')
    >>> short(12.4, BY_KEY["mean_distance"])
    '12'
    """
    if measure.scale == "share":
        text = f"{value:.2f}"
        return {"0.00": "0", "1.00": "1"}.get(text, text[1:])
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}"


def share_of_scale(measure: Measure, values: list[float]) -> Callable[[float], float]:
    """A function from a value to its place on the scale of a measure, 0 to 1."""
    if measure.scale == "share":
        return lambda value: min(max(value, 0.0), 1.0)

    def bend(value: float) -> float:
        return math.log(max(value, 1e-3)) if measure.scale == "log" else value

    least, most = bend(min(values)), bend(max(values))
    return lambda value: (bend(value) - least) / (most - least) if most > least else 0.0


def style_of(place: float) -> str:
    """The colours of a place on the scale, as Rich writes them."""
    at = min(max(place, 0.0), 1.0) * (len(RAMP) - 1)
    step = min(int(at), len(RAMP) - 2)
    pairs = zip(RAMP[step], RAMP[step + 1], strict=True)
    red, green, blue = (round(low + (high - low) * (at - step)) for low, high in pairs)
    ink = "black" if 0.3 * red + 0.59 * green + 0.11 * blue > BRIGHT else "bright_white"
    return f"{ink} on #{red:02x}{green:02x}{blue:02x}"
