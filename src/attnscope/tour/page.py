"""The tour on the terminal: one section per question, with an explanation of what is shown."""

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.rule import Rule
from rich.table import Table
from rich.text import Text as Styled

from attnscope.tour.facts import TourFacts
from attnscope.tour.looking import HeadMap, RowEntropy
from attnscope.tour.writing import Writing

WIDEST = 100
SHADES = ((0.9, "██"), (0.5, "▓▓"), (0.1, "▒▒"), (0.01, "░░"), (0.0, "· "))
HIDDEN = "  "
LEGEND = "blank: hidden by the mask   · to 1%   ░ to 10%   ▒ to 50%   ▓ to 90%   █ more"
CAPTIONS = {
    "1 back": "the byte before",
    "induction": "what followed before",
    "background": "everything, equally",
}


def print_page(facts: TourFacts, console: Console) -> None:
    """Print the tour, as wide as the terminal and at most 100 columns.

    Parameters
    ----------
    facts : TourFacts
        The numbers.
    console : rich.console.Console
        Where to print.
    """
    sections = [
        ("What the model generates", print_writing),
        ("What its heads read", print_looking),
        ("Without its induction head", print_ablated),
        ("A planted leak", print_leak),
        ("The kernel and plain NumPy", print_race),
        ("The size of the KV cache", print_cache),
    ]
    print_opening(facts, console)
    for number, (title, print_section) in enumerate(sections, start=1):
        rule = Rule(Styled(f"{number}  {title}", style="bold"), align="left", style="dim")
        console.print()
        console.print(rule, width=min(console.width, WIDEST))
        print_section(facts, console)


def print_opening(facts: TourFacts, console: Console) -> None:
    print_text(console, f"[bold]attnscope tour[/] of {amount_read(facts)}")
    print_text(console, f"[dim]{facts.machine}[/]")
    print_text(
        console,
        """A transformer of two attention layers reads this text byte by byte. It was not trained: its weights
        are written by hand, so its behaviour can be explained. Six heads attend 1 to 6 bytes back. An
        induction head finds earlier occurrences of the last bytes and copies what came next. A background
        head attends to all bytes equally.""",
    )


def amount_read(facts: TourFacts) -> str:
    name = escape(facts.text_name)
    if facts.total_bytes == facts.text_bytes:
        return f"{name}, {facts.text_bytes:,} bytes"
    whole = "" if facts.total_bytes is None else f" of {facts.total_bytes:,}"
    return f"{name}, its first {facts.text_bytes:,}{whole} bytes"


def print_writing(facts: TourFacts, console: Console) -> None:
    writing = facts.writing
    print_text(
        console,
        f"""The text is cut at byte {writing.cut:,}, and the model continues it. All that it knows is the text
        before the cut, and attention finds things in it: in-context learning in its simplest form.""",
    )
    table = plain_table("left", "left")
    table.add_row("before", Styled("…" + writing.prompt, style="dim"))
    add_continuation(table, writing, "the model")
    console.print(table)
    copied = f", copied from byte {writing.source:,}" if writing.right_bytes else ""
    print_text(
        console,
        f"""{correct_bytes(writing)}{copied}. Over the whole text, its best guess is the next byte
        {writing.predicted:.1%} of the time.""",
    )


def correct_bytes(writing: Writing) -> str:
    return (
        f"The first {writing.right_bytes} bytes are correct" if writing.right_bytes else "No byte is correct"
    )


def add_continuation(table: Table, writing: Writing, name: str) -> None:
    table.add_row("the text", Styled(writing.text))
    mark = "│" if writing.right and writing.rest else ""
    table.add_row(name, Styled.assemble((writing.right, "bold green"), (mark, "dim"), (writing.rest, "red")))


def print_looking(facts: TourFacts, console: Console) -> None:
    maps = facts.looking.maps
    last_row = maps[0].first_row + len(maps[0].row_bytes) - 1
    print_text(
        console,
        f"""A row is a byte that reads ({maps[0].first_row:,} to {last_row:,}), a column is a byte that is
        read, and the shade is the weight. The induction head looks up a place that the text itself
        determines.""",
    )
    console.print(maps_table(maps))
    console.print(Styled(LEGEND, style="dim"))
    table = plain_table("left", "right", "right", "left")
    add_headings(table, "row", "entropy", "effective keys", "votes for the next byte")
    for row in facts.looking.rows:
        table.add_row(*entropy_cells(row))
    console.print(table)
    print_text(
        console,
        """Entropy measures how many keys a row reads: e^entropy is the number of equally weighted keys with
        the same entropy. Weights show what a head reads, not what it changes; that takes an experiment.""",
    )


def maps_table(maps: list[HeadMap]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_row("", *(f"[bold]layer {m.layer}, {m.name}[/]\n{CAPTIONS.get(m.name, '')}" for m in maps))
    ranges = (f"bytes {m.first_key:,} to {m.first_key + len(m.key_bytes) - 1:,}" for m in maps)
    table.add_row("", *(Styled(numbers, style="dim") for numbers in ranges))
    table.add_row("", *(Styled("".join(map(two_columns, m.key_bytes)), style="bold") for m in maps))
    for row, label in enumerate(maps[0].row_bytes):
        cells = (Styled("".join(map(shade, m.weights[row]))) for m in maps)
        table.add_row(Styled(label, style="bold"), *cells)
    return table


def two_columns(label: str) -> str:
    return label + " " * (2 - cell_len(label))


def shade(weight: float | None) -> str:
    return HIDDEN if weight is None else next(sign for least, sign in SHADES if weight >= least)


def entropy_cells(row: RowEntropy) -> tuple[str | Styled, ...]:
    votes = ", ".join(f"{byte} {share:.0%}" for byte, share in row.votes.items())
    return (
        f"[bold]{row.kind}[/], {row.head}",
        f"{row.entropy_nats:.2f} nats",
        f"{row.effective_keys:,.1f} of {row.visible_keys:,}",
        Styled(f'after "{row.after}": {votes}'),
    )


def print_ablated(facts: TourFacts, console: Console) -> None:
    ablated = facts.ablated
    print_text(
        console,
        """The same cut, with the output of that head left out. What is lost is its effect. What remains is
        the guess of the background head: the most frequent byte.""",
    )
    table = plain_table("left", "left")
    add_continuation(table, ablated, "ablated")
    console.print(table)
    print_text(
        console,
        f"""{correct_bytes(ablated)}. Over the whole text: {ablated.predicted:.1%}, down from
        {facts.writing.predicted:.1%}.""",
    )


def print_leak(facts: TourFacts, console: Console) -> None:
    leak = facts.leak
    print_text(
        console,
        f"""With mask={leak.mask}, each byte sees one later byte. The best guess is then correct
        [bold]{leak.predicted_leaking:.1%}[/] of the time instead of {leak.predicted_causal:.1%}. In training,
        such a leak looks like success; in generation, there is no later byte to see. A perturbation finds it:
        byte {leak.changed_byte:,} is changed from {escape(leak.before)} to {escape(leak.after)}, and no
        earlier row may change by a single bit.""",
    )
    table = plain_table("left", "left")
    table.add_row("Causal()", f"changed rows: [bold green]{leak.rows_moved_causal}[/]")
    row = leak.last_row_moved
    which = "" if row is None else f" (row {row:,}, by {leak.largest_change:.1f}): a leak"
    table.add_row(leak.mask, f"changed rows: [bold red]{leak.rows_moved_leaking}[/]{which}")
    console.print(table)


def print_race(facts: TourFacts, console: Console) -> None:
    race = facts.race
    if race is None:
        print_text(
            console,
            "No kernel level runs on this CPU, so there is nothing to time: attention uses the reference.",
        )
        return
    print_text(
        console,
        f"""Causal attention over {race.tokens:,} tokens, {race.heads} heads of {race.head_dim} dims, float32,
        timed now. NumPy stores a tokens x tokens matrix of weights; the kernel does not.""",
    )
    table = plain_table("left", "right", "left")
    table.add_row("plain NumPy", f"{race.numpy_seconds * 1e3:,.0f} ms", memory(race.numpy_bytes))
    ours = f"[bold]{race.attnscope_seconds * 1e3:,.0f} ms[/]"
    table.add_row("attnscope", ours, memory(race.attnscope_bytes))
    console.print(table)
    print_text(
        console,
        f"""{race.numpy_seconds / race.attnscope_seconds:,.1f} times as fast. The outputs differ by at most
        {race.largest_difference:.0e}.""",
    )
    if race.openblas_settings:
        names = ", ".join(f"{name}={setting}" for name, setting in race.openblas_settings.items())
        print_text(console, f"[dim]These settings can slow NumPy down: {escape(names)}.[/]")


def memory(peak_bytes: int | None) -> str:
    if peak_bytes is None:
        return "memory: not reported by this system"
    return f"{size(peak_bytes)} beyond inputs and output"


def print_cache(facts: TourFacts, console: Console) -> None:
    tokens = facts.cache_sizes[0].tokens
    print_text(
        console,
        f"""To generate a token, a model reads the keys and values of all earlier tokens. The KV cache keeps
        them, so that they are not computed again. For {tokens:,} tokens (here: bytes) it takes:""",
    )
    table = plain_table("left", "right", "right")
    add_headings(table, "", "bytes per token: heads x (key + value dims) x size", "total")
    for cache in facts.cache_sizes:
        per_token = f"{cache.formula} = {cache.bytes_per_token:,}"
        table.add_row(cache.model, per_token, f"[bold]{size(cache.total_bytes)}[/]")
    console.print(table)
    print_text(
        console, "Each sequence needs a cache of its own, which limits how many are served at the same time."
    )


def print_text(console: Console, paragraph: str) -> None:
    """Print one paragraph, with any line breaks and indents of its source joined."""
    console.print(" ".join(paragraph.split()), width=min(console.width, WIDEST), highlight=False, emoji=False)


def plain_table(*justify: str) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=True)
    for side in justify:
        table.add_column(justify="right" if side == "right" else "left")
    return table


def add_headings(table: Table, *headings: str) -> None:
    table.add_row(*(Styled(heading, style="dim") for heading in headings))


def size(amount: int) -> str:
    """A number of bytes in the largest unit in which it is at least 1.

    >>> size(2**30), size(1536), size(0)
    ('1.00 GiB', '1.50 KiB', '0 bytes')
    """
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if amount >= factor:
            digits = 2 - min(2, len(str(amount // factor)) - 1)
            return f"{amount / factor:.{digits}f} {unit}"
    return f"{amount} bytes"
