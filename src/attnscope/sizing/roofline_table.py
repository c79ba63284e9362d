"""A roofline in words: the table that it prints as, and its explanation."""

from typing import TYPE_CHECKING

from attnscope.sizing.phase import bound_of
from attnscope.sizing.table import in_units

if TYPE_CHECKING:
    from attnscope.sizing.phase import Phase
    from attnscope.sizing.roofline import Roofline

SCALES = ((1e18, "EFLOP"), (1e15, "PFLOP"), (1e12, "TFLOP"), (1e9, "GFLOP"), (1e6, "MFLOP"), (1e3, "kFLOP"))


def in_flops(flops: float) -> str:
    """Operations in the largest unit of which there is one.

    >>> in_flops(2.5e12), in_flops(12.0)
    ('2.50 TFLOP', '12 FLOP')
    """
    for scale, name in SCALES:
        if flops >= scale:
            return f"{flops / scale:,.2f} {name}"
    return f"{flops:,.0f} FLOP"


def in_seconds(seconds: float) -> str:
    """In the unit that keeps it readable.

    >>> in_seconds(0.0123), in_seconds(4.2e-5), in_seconds(2.5)
    ('12.3 ms', '42.0 us', '2.50 s')
    """
    if seconds >= 1:
        return f"{seconds:,.2f} s"
    return f"{seconds * 1e3:.1f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} us"


def table(line: "Roofline") -> str:
    """The parts of both passes, their sums, and what follows."""
    hardware = line.hardware
    head = (
        f"{line.model_type}, weights {line.weight_dtype}, cache {line.kv_dtype}, batch {line.batch:,}, "
        f"{line.prompt:,} + {line.new_tokens:,} tokens on {hardware.name}: {hardware.flops_per_second / 1e12:,.4g} TFLOP/s, "
        f"{hardware.bytes_per_second / 1e9:,.4g} GB/s, ridge {hardware.ridge:,.1f} FLOP a byte"
    )
    rows: list[tuple[str, ...]] = [
        ("pass", "part", "arithmetic", "bytes", "FLOP/byte", "at least", "bound by")
    ]
    for phase in (line.prefill, line.decode):
        rows += _rows(phase)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.rjust(width) if 2 <= i <= 5 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([head, *lines, *_conclusions(line), *line.notes])


def explanation(line: "Roofline") -> str:
    """Each part's formula with its numbers, the seconds that follow, and where the limits come from."""
    hardware = line.hardware
    lines = []
    for phase in (line.prefill, line.decode):
        lines += [f"{phase.name}, {part.name}: {part.formula}" for part in phase.parts if part.moved_bytes]
        lines.append(
            f"{phase.name}: max({phase.flops:,.0f} FLOP / {hardware.flops_per_second:,.0f} a second, "
            f"{phase.moved_bytes:,.0f} bytes / {hardware.bytes_per_second:,.0f} a second) = {in_seconds(phase.seconds)}, "
            f"bound by {phase.bound}"
        )
    lines.append(
        f"intensity: prefill {phase_intensity(line.prefill)}, decode step {phase_intensity(line.decode)}; "
        f"ridge {hardware.ridge:,.1f} FLOP a byte"
    )
    lines.append(f"{hardware.name}: {hardware.source}")
    return "\n".join([*lines, *_conclusions(line), *line.notes])


def phase_intensity(phase: "Phase") -> str:
    """FLOP a byte, with the unit."""
    return f"{phase.intensity:,.1f} FLOP a byte"


def _rows(phase: "Phase") -> list[tuple[str, ...]]:
    hardware = phase.hardware
    rows = []
    for part in phase.parts:
        if not part.flops and not part.moved_bytes:
            continue
        seconds = max(part.flops / hardware.flops_per_second, part.moved_bytes / hardware.bytes_per_second)
        bound = bound_of(part.flops, part.moved_bytes, hardware)
        rows.append(_row("", part.name, part.flops, part.moved_bytes, seconds, bound))
    return [*rows, _row(phase.name, "sum", phase.flops, phase.moved_bytes, phase.seconds, phase.bound)]


def _row(
    phase: str, part: str, flops: float, moved_bytes: float, seconds: float, bound: str
) -> tuple[str, ...]:
    intensity = f"{flops / moved_bytes:,.1f}" if moved_bytes else "-"
    moved = in_units(round(moved_bytes))
    return phase, part, in_flops(flops) if flops else "-", moved, intensity, in_seconds(seconds), bound


def _conclusions(line: "Roofline") -> list[str]:
    context = line.prompt + line.new_tokens
    each = line.tokens_per_second / line.batch
    lines = [
        f"prefill {in_seconds(line.prefill.seconds)}, then {line.new_tokens:,} steps {in_seconds(line.decode_seconds)}: "
        f"at most {line.tokens_per_second:,.0f} tokens a second, {each:,.1f} a sequence"
    ]
    if line.ridge_batch is None:
        lines.append(
            f"batch: at {context:,} tokens a step is bound by {line.decode.bound}, whatever the batch"
        )
    else:
        lines.append(
            f"batch: at {context:,} tokens a step is bound by reading below {line.ridge_batch:,} sequences"
        )
    if line.weights_ridge_batch is not None:
        lines.append(
            f"weights alone: bound by reading below {line.weights_ridge_batch:,} sequences, at any context"
        )
    if line.ridge_context is None:
        lines.append(
            f"context: at batch {line.batch:,} a step is bound by {line.decode.bound}, whatever the context"
        )
    else:
        lines.append(
            f"context: at batch {line.batch:,} the binding limit changes at {line.ridge_context:,} tokens"
        )
    return lines
