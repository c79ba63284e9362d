"""The report of an attribution on the terminal: a table of sources, and the sentences of the answer."""

from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from attnscope.inspection.attribution.result import MEANINGS, Attribution, SourceEffect
from attnscope.inspection.report import print_text, width_of
from attnscope.inspection.text import shown_name

BAR = 12  # columns
MOST_SENTENCES = 4  # of the answer side by side
MOST_SOURCES = 40
UNITS = (
    "A drop is by how many nats the log probability of the answer falls without the source. "
    "Positive: the source raised it."
)


def print_attribution(found: Attribution, console: Console) -> None:
    """Print an attribution, as wide as the terminal and at most 100 columns.

    Parameters
    ----------
    found : Attribution
        The attribution.
    console : rich.console.Console
        Where to print.
    """
    title = Text("attnscope attribute", style="bold")
    title.append(f": {shown_name(found.model_name)}, {len(found.sources)} sources", style="none")
    console.print(title, width=width_of(console))
    for name, fact in found.facts.items():
        print_text(console, f"{shown_name(name)}: {shown_name(fact)}", style="dim")
    print_text(console, f"method: {found.method}, {MEANINGS[found.method]}", style="dim")
    print_text(console, f"cost: {found.rows:,} rows, {found.seconds:.1f} s", style="dim")
    section(console, "Answer")
    drawn = found.sums(found.log_probs)
    for number, (sentence, log_prob) in enumerate(zip(found.answer.sentences, drawn, strict=True), start=1):
        print_text(console, f"{number}. {shown_name(sentence.strip())}  ({log_prob:z.2f} nats)")
    section(console, "Sources")
    console.print(table_of(found), width=width_of(console))
    if found.roles:
        section(console, "All sources of a role together")
        console.print(roles_of(found), width=width_of(console))
    left_out = len(found.sources) - MOST_SOURCES
    if left_out > 0:
        print_text(console, f"{left_out} sources with smaller effects are left out; --json has all.")
    if found.method != "attention":
        print_text(console, UNITS)


def section(console: Console, title: str) -> None:
    """A rule with a title."""
    console.print()
    console.print(Rule(Text(title, style="bold"), align="left", style="dim"), width=width_of(console))


def table_of(found: Attribution) -> Table:
    """The sources in the order of the text; of many, those with the largest effects."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("source", overflow="fold", ratio=1)
    measured = found.method != "attention"
    if measured:
        table.add_column("drop", justify="right")
        table.add_column("", width=BAR)
    columns = {name: values for name, values in columns_of(found).items() if any(values)}
    for name in columns:
        table.add_column(name, justify="right")
    shown = sorted(found.sources, key=lambda each: -abs(found.ranking(each)))[:MOST_SOURCES]
    most = max((abs(each.drop) for each in shown), default=0.0) if measured else 0.0
    for number, each in enumerate(found.sources):
        if each not in shown:
            continue
        drop = [Text(f"{each.drop:z.2f}"), bar_of(each.drop, most)] if measured else []
        table.add_row(name_of(each), *drop, *(Text(values[number]) for values in columns.values()))
    return table


def columns_of(found: Attribution) -> dict[str, list[str]]:
    """What the table has beside the drops, per source; a column without any entry is left out."""
    sentences = len(found.answer.sentences)
    columns = {"error": ["" if each.error is None else f"± {each.error:.2f}" for each in found.sources]}
    if found.method != "attention" and 1 < sentences <= MOST_SENTENCES:
        for number in range(sentences):
            parts = [found.sums(each.drops)[number] for each in found.sources]
            columns[f"of {number + 1}."] = [f"{part:z.2f}" for part in parts]
    others, weights = (
        [getattr(each, name) for each in found.sources] for name in ("through_others", "attention")
    )
    columns["through other tokens"] = ["" if each is None else f"{each:z.2f}" for each in others]
    columns["attention"] = ["" if each is None else f"{each:.1%}" for each in weights]
    return columns


def roles_of(found: Attribution) -> Table:
    """What the answer and each of its sentences lose without the sources of a role."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("role", overflow="fold", ratio=1)
    table.add_column("drop", justify="right")
    table.add_column("", width=BAR)
    sentences = len(found.answer.sentences)
    split = 1 < sentences <= MOST_SENTENCES
    for number in range(1, sentences + 1) if split else ():
        table.add_column(f"of {number}.", justify="right")
    most = max(abs(float(drops.sum())) for drops in found.roles.values())
    for role, drops in found.roles.items():
        drop = float(drops.sum())
        parts = [f"{part:z.2f}" for part in found.sums(drops)] if split else []
        table.add_row(Text(shown_name(role)), Text(f"{drop:z.2f}"), bar_of(drop, most), *parts)
    return table


def name_of(effect: SourceEffect) -> Text:
    """The name; of a part, its number and its first words."""
    if effect.source.whole is None:
        return Text(shown_name(effect.name), style="bold")
    words = shown_name(" ".join(effect.text.split()))
    return Text(f"  {effect.name.removeprefix(effect.source.whole + ', ')}: {words[:60]}", style="none")


def bar_of(drop: float, most: float) -> Text:
    """A bar as long as the share of the largest drop; red if the source lowered the probability."""
    length = round(BAR * abs(drop) / most) if most > 0 else 0
    return Text("█" * length, style="cyan" if drop > 0 else "red")
