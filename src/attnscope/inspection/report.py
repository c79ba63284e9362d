"""The report on the terminal: one section per question."""

from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from attnscope.inspection.head_grid import head_grid, short
from attnscope.inspection.inspection import HeadValue, Inspection
from attnscope.inspection.layer_summary import Array
from attnscope.inspection.measures import BY_KEY, KINDS, NOT_AN_INFLUENCE, SINK, Measure, reads_from
from attnscope.inspection.segments import TEMPLATE
from attnscope.inspection.text import shown_name, shown_piece

if TYPE_CHECKING:
    from collections.abc import Callable

WIDEST = 100
RANKED = 3  # heads, or tokens, of a list
WORTH_NAMING = 0.2  # the share of a head's weight from which it counts as a head of a kind
CONTEXT = 5  # tokens shown before and after a token
SEGMENT_WIDTH = 12
BAR = 10  # columns
MOST_COLUMNS = 6  # segments side by side


def print_report(
    found: Inspection, console: Console, measure: str = "normalized_entropy", reads: str | None = None
) -> None:
    """Print an inspection, as wide as the terminal and at most 100 columns.

    Parameters
    ----------
    found : Inspection
        The inspection.
    console : rich.console.Console
        Where to print.
    measure : str
        The key of the measure that the grid shows.
    reads : str, optional
        A segment: the grid then shows the weight that the last segment gives to it.
    """
    chosen = BY_KEY[measure]
    if reads is not None and found.segments is not None:
        chosen = reads_from(reads, found.segments.names[-1])
    print_opening(found, console)
    sections: list[tuple[str, Callable[[], None]]] = [
        (f"Heads by {shown_name(chosen.label)}", lambda: print_heads(found, chosen, console)),
        ("Most peaked and most uniform heads", lambda: print_ends(found, console)),
        ("Kinds of heads", lambda: print_kinds(found, console)),
        ("Tokens that receive the most weight", lambda: print_sinks(found, console)),
    ]
    if found.segments is not None:
        sections.append(("What each segment reads", lambda: print_segments(found, console)))
    for title, print_section in sections:
        console.print()
        console.print(Rule(Text(title, style="bold"), align="left", style="dim"), width=width_of(console))
        print_section()
    console.print()
    print_text(console, NOT_AN_INFLUENCE)


def print_opening(found: Inspection, console: Console) -> None:
    layers, tokens = len(found.layers), len(found.tokens.ids)
    title = Text("attnscope inspect", style="bold")
    title.append(
        f": {shown_name(found.text_name)}, {tokens:,} tokens, read by {shown_name(found.model_name)} with "
        f"{layers} layer{'s' * (layers != 1)}, {found.heads} heads",
        style="none",
    )
    console.print(title, width=width_of(console))
    for name, fact in found.facts.items():
        print_text(console, f"{shown_name(name)}: {shown_name(fact)}", style="dim")
    masks = dict.fromkeys(layer.mask for layer in found.layers)
    print_text(console, f"mask: {'; '.join(masks)}", style="dim")


def print_heads(found: Inspection, measure: Measure, console: Console) -> None:
    print_text(
        console, f"{shown_name(measure.meaning)}: mean over the tokens. Rows are layers, columns are heads."
    )
    for line in head_grid(found, measure, width_of(console)):
        console.print(line, no_wrap=True, crop=False, overflow="ignore")
    values = [each.value for each in found.ranked(measure.key)]
    least, most = (0.0, 1.0) if measure.scale == "share" else (values[0], values[-1])
    ends = f"{short(least, measure)} {measure.low}, {short(most, measure)} {measure.high}"
    print_text(console, f"{ends}{f', in {measure.unit}' * bool(measure.unit)}", style="dim")


def print_ends(found: Inspection, console: Console) -> None:
    ranked = found.ranked("normalized_entropy")
    some = min(RANKED, len(ranked) // 2)
    table = plain_table("left", "left", *["right"] * 5)
    add_titles(table, "", "", "normalized", "nats", "eff. keys", "distance", "sink" * found.has_sinks)
    for label, heads in (("peaked", ranked[:some]), ("uniform", ranked[: -some - 1 : -1])):
        for number, head in enumerate(heads):
            means = means_of(found, head)
            table.add_row(
                label if number == 0 else "",
                Text(named(head), style="bold"),
                f"{means['normalized_entropy']:.2f}",
                f"{means['entropy']:.2f}",
                f"{means['effective_keys']:,.1f}",
                f"{means['mean_distance']:,.0f}",
                f"{means[SINK]:.0%}" * found.has_sinks,
            )
    console.print(table)
    print_text(
        console, "Entropy normalized and in nats, effective keys e^entropy, distance in tokens.", style="dim"
    )


def print_kinds(found: Inspection, console: Console) -> None:
    table = plain_table("left", "left", "left")
    for kind in KINDS:
        heads = [head for head in found.ranked(kind)[::-1][:RANKED] if head.value >= WORTH_NAMING]
        parts = [Text.assemble((named(each), "bold"), f" {each.value:.2f}") for each in heads]
        none = Text(f"no head above {WORTH_NAMING}", style="dim")
        table.add_row(BY_KEY[kind].label, Text(", ").join(parts) if heads else none)
    console.print(table)
    unseen = max(float(layer.means["unseen"].max()) for layer in found.layers)
    print_text(
        console,
        f"Mean weight on the {found.layers[0].top_keys.shape[-1]} strongest keys of each token. "
        f"The true value can be larger, by at most {unseen:.2f} for the most uniform head.",
        style="dim",
    )


def print_sinks(found: Inspection, console: Console) -> None:
    shares = found.received()
    table = plain_table("right", "left", "right", "left")
    for token in np.argsort(-shares, kind="stable")[:RANKED].tolist():
        share = float(shares[token])
        place = Text(f"token {token:,}", style="dim")
        table.add_row(place, in_context(found, token), f"{share:.1%}", bar(share))
    console.print(table)
    note = f"Share of the weight of all heads and tokens; the mean is {1 / len(shares):.2%} per token."
    if found.has_sinks:
        taken = np.concatenate(found.values(SINK)).mean()
        note += f" Learned sinks take {taken:.0%} of all weight; every other number is over the keys alone."
    print_text(console, note, style="dim")


def print_segments(found: Inspection, console: Console) -> None:
    segments = found.segments
    assert segments is not None
    mean, evenly = found.by_segment(), found.evenly()
    reader = len(segments.names) - 1
    print_text(
        console,
        f'The weight that the {segments.sizes[reader]:,} tokens of "{shown_name(segments.names[reader])}" '
        f"give to each segment: mean of all heads{', beside uniform weights' * (evenly is not None)}, "
        "and the head with the most.",
    )
    table = plain_table("left", "right", "right", "left", "right", "left")
    add_titles(table, "", "tokens", "weight", "", "uniform" if evenly is not None else "", "most")
    for segment, name in enumerate(segments.names):
        head = strongest_reader(found, reader, segment)
        table.add_row(
            Text(shown_name(name), style="dim" if name == TEMPLATE else "bold"),
            f"{segments.sizes[segment]:,}",
            f"{mean[reader, segment]:.1%}",
            bar(float(mean[reader, segment])),
            "" if evenly is None else f"{evenly[reader, segment]:.1%}",
            f"{named(head)} {head.value:.2f}",
        )
    console.print(table)
    if len(segments.names) <= MOST_COLUMNS + 1:
        print_all_readers([shown_name(name) for name in segments.names], mean, console)


def print_all_readers(names: list[str], mean: Array, console: Console) -> None:
    print_text(console, "All segments: a row reads, a column is read.")
    table = plain_table("left", *["right"] * len(names))
    add_titles(table, "", *(name[:SEGMENT_WIDTH] for name in names))
    for name, row in zip(names, mean, strict=True):
        table.add_row(Text(name[:SEGMENT_WIDTH], style="bold"), *(f"{share:.0%}" for share in row))
    console.print(table)


def strongest_reader(found: Inspection, reader: int, segment: int) -> HeadValue:
    """The head in which the tokens of one segment give the most weight to another."""
    heads = [
        HeadValue(layer.number, head, layer.head_names[head], float(layer.by_segment[head, reader, segment]))
        for layer in found.layers
        if layer.by_segment is not None
        for head in range(layer.heads)
    ]
    return max(heads, key=lambda each: each.value)


def in_context(found: Inspection, token: int) -> Text:
    """A token between its neighbours."""
    pieces = [
        shown_piece(piece) for piece in found.tokens.pieces[max(token - CONTEXT, 0) : token + 1 + CONTEXT]
    ]
    place = min(token, CONTEXT)
    before, after = "".join(pieces[:place]), "".join(pieces[place + 1 :])
    return Text.assemble((before, "dim"), (pieces[place], "bold"), (after, "dim"))


def means_of(found: Inspection, head: HeadValue) -> dict[str, float]:
    """All measures of a head."""
    layer = next(layer for layer in found.layers if layer.number == head.layer)
    return {name: float(values[head.head]) for name, values in layer.means.items()}


def named(head: HeadValue) -> str:
    """A head by its number, or by its name if it has one.

    >>> named(HeadValue(3, 1, "1", 0.5)), named(HeadValue(1, 0, "induction", 0.9))
    ('layer 3, head 1', 'layer 1, induction')
    """
    return f"layer {head.layer}, {f'head {head.head}' if head.name == str(head.head) else head.name}"


def bar(share: float) -> Text:
    return Text("█" * round(BAR * min(share, 1.0)) or "▏", style="cyan")


def plain_table(*justify: str) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=True)
    for side in justify:
        table.add_column(justify="right" if side == "right" else "left")
    return table


def add_titles(table: Table, *titles: str) -> None:
    table.add_row(*(Text(title, style="dim") for title in titles))


def print_text(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style=style), width=width_of(console))


def width_of(console: Console) -> int:
    return min(console.width, WIDEST)
