"""A plan in words: the table that it prints as, and its explanation."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attnscope.sizing.plan import CachePlan

UNITS = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def in_units(number_of_bytes: int) -> str:
    """Bytes in the largest binary unit of which there is one.

    >>> in_units(131072), in_units(2**30 * 5 // 2), in_units(1000)
    ('128.00 KiB', '2.50 GiB', '1,000 bytes')
    """
    for unit, name in UNITS:
        if number_of_bytes >= unit:
            return f"{number_of_bytes / unit:,.2f} {name}"
    return f"{number_of_bytes:,} bytes"


def table(plan: "CachePlan") -> str:
    """A row for each kind of layer, the sum, and what the reader must know."""
    sequences = f"{plan.batch:,} sequence{'s' if plan.batch > 1 else ''}"
    head = f"{plan.model.model_type}: {sequences} of {plan.context:,} tokens, {plan.kv_dtype}, engine {plan.engine}"
    rows = [("layers", "kind", "tokens", "a token", "states", "cache")]
    rows += [
        (
            str(row.layers),
            row.kind,
            f"{row.tokens:,}" if row.tokens else "-",
            f"{row.bytes_per_token:,}" if row.bytes_per_token else "-",
            in_units(row.state_bytes) if row.state_bytes else "-",
            in_units(row.cache_bytes),
        )
        for row in plan.layers
    ]
    rows.append(("", "sum", "", f"{plan.bytes_per_token:,}", "", in_units(plan.cache_bytes)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 1 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join([head, *(line.rstrip() for line in lines), *_capacity(plan), *plan.notes])


def explanation(plan: "CachePlan") -> str:
    """The formula of each kind of layer with its numbers, their sum, and what an engine rounds."""
    lines = [f"{row.kind}: {row.formula}" for row in plan.layers]
    total = f"{plan.cache_bytes:,} bytes = {in_units(plan.cache_bytes)} ({plan.cache_bytes / 1e9:,.2f} GB)"
    lines.append(f"cache: {' + '.join(f'{row.cache_bytes:,}' for row in plan.layers)} = {total}")
    lines.append(f"each further token of a sequence: {plan.bytes_per_token:,} bytes")
    lines.append(f"engine {plan.engine}: {plan.rounding}")
    return "\n".join([*lines, *_capacity(plan), *plan.notes])


def _capacity(plan: "CachePlan") -> list[str]:
    lines = []
    if plan.weight_bytes is not None:
        lines.append(f"weights: {in_units(plan.weight_bytes)}, {plan.weights.said}")
    elif plan.weights.said:
        lines.append(f"weights: not known, {plan.weights.said}")
    if plan.memory is not None:
        fits = "not known" if plan.max_sequences is None else f"{plan.max_sequences:,}"
        longest = "not known" if plan.max_context is None else f"{plan.max_context:,}"
        lines.append(
            f"in {in_units(plan.memory)}: {fits} sequences of {plan.context:,} tokens, or {plan.batch:,} of {longest}"
        )
    return lines
