"""Layers by heads as coloured cells with their numbers, as wide as the terminal allows."""

import math
from collections.abc import Callable

from rich.console import Console
from rich.style import Style
from rich.text import Text

from attnscope.inspection.inspection import Inspection
from attnscope.inspection.measures import Measure

RAMP = ((29, 37, 48), (33, 56, 74), (38, 80, 104), (50, 107, 130), (74, 136, 150), (115, 165, 163), (165, 194, 172),
        (213, 220, 182), (251, 243, 200))  # fmt: skip  # ordered by lightness: it reads the same without hues
LABEL = 5  # columns before the first head
WIDE, NARROW = 4, 2  # columns of a cell that holds a number; that holds a digit
BRIGHT = 140  # of 255: from there on the ink is dark


def head_grid(found: Inspection, measure: Measure, width: int) -> list[Text]:
    """A line of head numbers, and one a layer."""
    columns = max(layer.heads for layer in found.layers)
    cell = next((each for each in (WIDE, NARROW) if LABEL + columns * each <= width), 1)
    values = found.values(measure.key)
    share = share_of_scale(measure, [float(value) for of_layer in values for value in of_layer])
    lines = [heading(columns, cell)]
    for layer, of_layer in zip(found.layers, values, strict=True):
        line = Text(f"{layer.number:>{LABEL - 1}} ", style="dim")
        for value in of_layer:
            place = share(float(value))
            line.append(number_in(float(value), place, measure, cell), Style.parse(style_of(place)))
        lines.append(line)
    return lines


def heading(columns: int, cell: int) -> Text:
    every = max(1, math.ceil(3 / cell))  # so that numbers do not touch
    labels = [f"{column if column % every == 0 else '':>{cell * every if column % every == 0 else 0}}"
              for column in range(columns)]  # fmt: skip
    return Text(" " * LABEL + "".join(labels), style="dim")


def number_in(value: float, place: float, measure: Measure, cell: int) -> str:
    """The value where there is room, else the tenth of the scale that it is in."""
    if cell == WIDE:
        return f"{short(value, measure):>{WIDE}}"
    return f"{min(9, int(10 * place)):>{cell}}"


def short(value: float, measure: Measure) -> str:
    """At most three characters for a share, and what is needed for the rest.

    >>> from attnscope.inspection.measures import BY_KEY
    >>> short(0.283, BY_KEY["induction"]), short(0.999, BY_KEY["induction"]), short(12.4, BY_KEY["mean_distance"])
    ('.28', '1', '12')
    """
    if measure.scale == "share":
        text = f"{value:.2f}"
        return {"0.00": "0", "1.00": "1"}.get(text, text[1:])
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}"


def share_of_scale(measure: Measure, values: list[float]) -> Callable[[float], float]:
    """Where a value stands from the low to the high end of a measure's scale, 0 to 1."""
    if measure.scale == "share":
        return lambda value: min(max(value, 0.0), 1.0)

    def bend(value: float) -> float:
        return math.log(max(value, 1e-3)) if measure.scale == "log" else value

    least, most = bend(min(values)), bend(max(values))
    return lambda value: (bend(value) - least) / (most - least) if most > least else 0.0


def style_of(place: float) -> str:
    at = min(max(place, 0.0), 1.0) * (len(RAMP) - 1)
    step = min(int(at), len(RAMP) - 2)
    mixed = [
        round(low + (high - low) * (at - step)) for low, high in zip(RAMP[step], RAMP[step + 1], strict=True)
    ]
    red, green, blue = mixed
    ink = "black" if 0.3 * red + 0.59 * green + 0.11 * blue > BRIGHT else "bright_white"
    return f"{ink} on #{red:02x}{green:02x}{blue:02x}"


def print_grid(found: Inspection, measure: Measure, console: Console, width: int) -> None:
    for line in head_grid(found, measure, width):
        console.print(line, no_wrap=True, crop=False, overflow="ignore")
