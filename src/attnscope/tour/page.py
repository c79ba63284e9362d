"""The tour on the terminal: one section a question, with a sentence on what one sees and why it matters."""

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
LEGEND = "blank: hidden (the future)   · to 1%   ░ to 10%   ▒ to 50%   ▓ to 90%   █ more"
CAPTIONS = {
    "1 back": "the byte before",
    "induction": "what followed last time",
    "background": "all, a little",
}


def print_page(facts: TourFacts, console: Console) -> None:
    sections = [
        ("What the model writes", print_writing),
        ("Where its heads look", print_looking),
        ("Without its induction head", print_ablated),
        ("A planted leak", print_leak),
        ("The kernel beside plain NumPy", print_race),
        ("What the KV cache takes", print_cache),
    ]
    print_opening(facts, console)
    for number, (title, print_section) in enumerate(sections, start=1):
        rule = Rule(Styled(f"{number}  {title}", style="bold"), align="left", style="dim")
        console.print()
        console.print(rule, width=min(console.width, WIDEST))
        print_section(facts, console)


def print_opening(facts: TourFacts, console: Console) -> None:
    say(console, f"[bold]attnscope tour[/] of {amount_read(facts)}")
    say(console, f"[dim]{facts.machine}[/]")
    say(
        console,
        "A two-layer transformer over bytes reads this text. Nothing was trained: its weights are written by",
        "hand, so one can see why it does what it does. Six heads look 1 to 6 bytes back; an induction head",
        "finds where the last bytes occurred before, and copies what came next; a background head looks",
        "everywhere alike.",
    )


def amount_read(facts: TourFacts) -> str:
    name = escape(facts.text_name)
    if facts.total_bytes == facts.text_bytes:
        return f"{name}, {facts.text_bytes:,} bytes"
    whole = "" if facts.total_bytes is None else f" of {facts.total_bytes:,}"
    return f"{name}, its first {facts.text_bytes:,}{whole} bytes"


def print_writing(facts: TourFacts, console: Console) -> None:
    writing = facts.writing
    say(
        console,
        f"The text is cut at byte {writing.cut:,} and the model writes on, byte by byte. All it knows is the",
        "text before the cut, and attention to look things up in it: in-context learning, at its simplest.",
    )
    table = plain_table("left", "left")
    table.add_row("before", Styled("…" + writing.prompt, style="dim"))
    add_continuation(table, writing, "the model")
    console.print(table)
    origin = (
        f"copied from byte {writing.source:,} on" if writing.right_bytes else "none of it occurred before"
    )
    say(
        console,
        f"Right in a row: {writing.right_bytes} bytes, {origin}. Over the whole text its best guess is",
        f"the next byte {writing.predicted:.1%} of the time.",
    )


def add_continuation(table: Table, writing: Writing, who: str) -> None:
    table.add_row("the text", Styled(writing.text))
    mark = "│" if writing.right and writing.rest else ""
    table.add_row(who, Styled.assemble((writing.right, "bold green"), (mark, "dim"), (writing.rest, "red")))


def print_looking(facts: TourFacts, console: Console) -> None:
    maps = facts.looking.maps
    last_row = maps[0].first_row + len(maps[0].row_bytes) - 1
    say(
        console,
        f"Why it could. Rows are the bytes {maps[0].first_row:,} to {last_row:,} that read, columns the",
        "bytes that are read, the shade how much: a lookup whose address is computed from the text itself.",
    )
    console.print(maps_table(maps))
    say(console, f"[dim]{LEGEND}[/]")
    table = plain_table("left", "right", "right", "left")
    add_headings(table, "a row", "entropy", "effective keys", "its votes")
    for row in facts.looking.rows:
        table.add_row(*entropy_cells(row))
    console.print(table)
    say(
        console,
        "Entropy says how spread a row is; e^entropy counts the keys it reads, as if all weighed alike. A",
        "weight says where a head looks, not yet what that is good for: that takes an experiment.",
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
    say(
        console,
        "The same cut, with that one head silenced: what is lost is what it did. What is left is the",
        "background head's guess, the most frequent byte.",
    )
    table = plain_table("left", "left")
    add_continuation(table, ablated, "ablated")
    console.print(table)
    say(
        console,
        f"Right in a row: {ablated.right_bytes} bytes. Over the whole text: {ablated.predicted:.1%}, down",
        f"from {facts.writing.predicted:.1%}.",
    )


def print_leak(facts: TourFacts, console: Console) -> None:
    leak = facts.leak
    say(
        console,
        f"With mask={leak.mask} each byte sees one byte of its future. Its guesses are then right",
        f"[bold]{leak.predicted_leaking:.1%}[/] of the time, not {leak.predicted_honestly:.1%}: in training",
        "a leak looks like success, and only writing on, where no future exists yet, is as poor as before. A",
        f"perturbation finds it: byte {leak.changed_byte:,} is changed from {escape(leak.before)} to",
        f"{escape(leak.after)}, and no row before it may notice, not by one bit.",
    )
    table = plain_table("left", "left")
    table.add_row("Causal()", f"rows that moved: [bold green]{leak.rows_moved_honestly}[/]")
    which = (
        "" if leak.last_row_moved is None else f" (row {leak.last_row_moved:,}, by {leak.largest_change:.1f})"
    )
    table.add_row(leak.mask, f"rows that moved: [bold red]{leak.rows_moved_leaking}[/]{which}: the leak")
    console.print(table)


def print_race(facts: TourFacts, console: Console) -> None:
    race = facts.race
    if race is None:
        say(
            console,
            "This CPU has none of the kernel's levels, so there is nothing to time: the reference runs.",
        )
        return
    say(
        console,
        f"Causal attention over {race.tokens:,} tokens, {race.heads} heads of {race.head_dim}, float32,",
        "timed now. NumPy writes the tokens x tokens weights down; the kernel never does, so long texts fit.",
    )
    table = plain_table("left", "right", "left")
    table.add_row("plain NumPy", f"{race.numpy_seconds * 1e3:,.0f} ms", memory(race.numpy_bytes))
    ours = f"[bold]{race.attnscope_seconds * 1e3:,.0f} ms[/]"
    table.add_row("attnscope", ours, memory(race.attnscope_bytes))
    console.print(table)
    say(
        console,
        f"{race.numpy_seconds / race.attnscope_seconds:,.1f} times as fast, with the same result: no entry",
        f"differs by more than {race.largest_difference:.0e}.",
    )
    if race.openblas_settings:
        names = ", ".join(f"{name}={setting}" for name, setting in race.openblas_settings.items())
        say(console, f"[dim]Set here, and able to slow NumPy down: {escape(names)}.[/]")


def memory(peak_bytes: int | None) -> str:
    if peak_bytes is None:
        return "memory: this system does not tell"
    return f"{size(peak_bytes)} beside input and output"


def print_cache(facts: TourFacts, console: Console) -> None:
    tokens = facts.cache_sizes[0].tokens
    say(
        console,
        "To write the next token, a model reads the keys and values of all tokens before it. Kept, so as not",
        f"to compute them again, {tokens:,} tokens (here: bytes) take:",
    )
    table = plain_table("left", "right", "right")
    add_headings(table, "", "bytes a token: heads x (key + value dims) x size", "in all")
    for cache in facts.cache_sizes:
        per_token = f"{cache.formula} = {cache.bytes_per_token:,}"
        table.add_row(cache.model, per_token, f"[bold]{size(cache.total_bytes)}[/]")
    console.print(table)
    say(console, "Each text that is served at the same time needs its own: this bounds how many can be.")


def say(console: Console, *lines: str) -> None:
    """Print one paragraph, however its source is cut into lines."""
    console.print(" ".join(lines), width=min(console.width, WIDEST), highlight=False, emoji=False)


def plain_table(*justify: str) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=True)
    for side in justify:
        table.add_column(justify="right" if side == "right" else "left")
    return table


def add_headings(table: Table, *headings: str) -> None:
    table.add_row(*(Styled(heading, style="dim") for heading in headings))


def size(amount: int) -> str:
    """In the largest unit that leaves a number of at least 1.

    >>> size(2**30), size(1536), size(0)
    ('1.00 GiB', '1.50 KiB', '0 bytes')
    """
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if amount >= factor:
            digits = 2 - min(2, len(str(amount // factor)) - 1)
            return f"{amount / factor:.{digits}f} {unit}"
    return f"{amount} bytes"
