"""The result of a roofline: its passes, what limits each, and the table that it prints as."""

from dataclasses import dataclass

from attnscope.sizing.costs import Part
from attnscope.sizing.hardware import Hardware
from attnscope.sizing.units import in_flops, in_seconds, in_units


@dataclass(frozen=True)
class Phase:
    """One pass through a model, a prefill or a decode step, on given hardware.

    seconds = max(flops / flops_per_second, moved_bytes / bytes_per_second)

    Parameters
    ----------
    name : str
        prefill or decode step.
    parts : tuple of Part
        What the pass computes and moves.
    hardware : Hardware
        The limits.

    Examples
    --------
    >>> phase = Phase("step", (Part("MLP", 4e12, 1e9, ""),), Hardware("mine", 1e12, 1e9))
    >>> phase.seconds, phase.intensity, phase.bound
    (4.0, 4000.0, 'compute')
    """

    name: str
    parts: tuple[Part, ...]
    hardware: Hardware

    @property
    def flops(self) -> float:
        """Operations; a multiply-add is 2."""
        return sum(part.flops for part in self.parts)

    @property
    def moved_bytes(self) -> float:
        """Bytes that are read or written at least."""
        return sum(part.moved_bytes for part in self.parts)

    @property
    def intensity(self) -> float:
        """FLOP per byte."""
        return self.flops / self.moved_bytes

    @property
    def seconds(self) -> float:
        """The longer of arithmetic and memory traffic, which overlap."""
        return seconds_of(self.flops, self.moved_bytes, self.hardware)

    @property
    def bound(self) -> str:
        """What limits the pass: "compute" or "memory"."""
        return bound_of(self.flops, self.moved_bytes, self.hardware)


def seconds_of(flops: float, moved_bytes: float, hardware: Hardware) -> float:
    """The longer of arithmetic and memory traffic."""
    return max(flops / hardware.flops_per_second, moved_bytes / hardware.bytes_per_second)


def bound_of(flops: float, moved_bytes: float, hardware: Hardware) -> str:
    """Which of both is longer; on a tie memory."""
    arithmetic = flops / hardware.flops_per_second
    return "compute" if arithmetic > moved_bytes / hardware.bytes_per_second else "memory"


@dataclass(frozen=True)
class Roofline:
    """A lower bound on the time of a prompt and the tokens after it; it prints as a table.

    Parameters
    ----------
    model_type : str
        The architecture.
    prompt, new_tokens, batch : int
        Tokens per sequence, and sequences.
    kv_dtype, weight_dtype : str
        Number formats.
    hardware : Hardware
        The limits.
    prefill : Phase
        All prompts in one pass; it also predicts the first new token.
    decode : Phase
        The last step, which has the longest cache: prompt + new_tokens.
    decode_seconds : float
        All new_tokens steps, each at its own context; one step reads one new token per sequence.
    ridge_batch : int or None
        The smallest batch whose step, at the last step's context, is compute-bound; None if the batch does
        not change the limit.
    weights_ridge_batch : int or None
        The same for the weights alone, without attention and cache, at any context.
    ridge_context : int or None
        The smallest context whose step, at this batch, has another limit than a context of 1; None if the
        context does not change it.
    notes : tuple of str
        What the reader must know.

    References
    ----------
    Williams, Waterman & Patterson 2009, "Roofline", doi:10.1145/1498765.1498785.

    Examples
    --------
    >>> import attnscope as at
    >>> shape = at.AttentionShape(1, 32, 8, 1, 100, 128, 128)
    >>> line = at.roofline(shape, prompt=99, new_tokens=1, hardware="h100")
    >>> line.bound, line.decode.moved_bytes  # 100 rows read and 1 written, of 8 * (128 + 128) * 2 bytes
    ('memory', 413696.0)
    """

    model_type: str
    prompt: int
    new_tokens: int
    batch: int
    kv_dtype: str
    weight_dtype: str
    hardware: Hardware
    prefill: Phase
    decode: Phase
    decode_seconds: float
    ridge_batch: int | None
    weights_ridge_batch: int | None
    ridge_context: int | None
    notes: tuple[str, ...] = ()

    @property
    def total_seconds(self) -> float:
        """The prefill and all steps."""
        return self.prefill.seconds + self.decode_seconds

    @property
    def tokens_per_second(self) -> float:
        """New tokens of the whole batch per second of decoding."""
        return self.batch * self.new_tokens / self.decode_seconds

    @property
    def bound(self) -> str:
        """What limits the decode step: "compute" or "memory"."""
        return self.decode.bound

    def explain(self) -> str:
        """Return the formulas with their numbers, part by part.

        Returns
        -------
        str
            One line per part, the time that follows, and the source of the hardware's limits.
        """
        hardware, lines = self.hardware, []
        for phase in (self.prefill, self.decode):
            lines += [
                f"{phase.name}, {part.name}: {part.formula}" for part in phase.parts if part.moved_bytes
            ]
            lines.append(
                f"{phase.name}: max({phase.flops:,.0f} FLOP / {hardware.flops_per_second:,.0f} FLOP/s, "
                f"{phase.moved_bytes:,.0f} bytes / {hardware.bytes_per_second:,.0f} bytes/s) = "
                f"{in_seconds(phase.seconds)}, {phase.bound}-bound"
            )
        lines.append(
            f"intensity: prefill {self.prefill.intensity:,.1f} FLOP/byte, decode step "
            f"{self.decode.intensity:,.1f} FLOP/byte; ridge {hardware.ridge:,.1f} FLOP/byte"
        )
        lines.append(f"{hardware.name}: {hardware.source}")
        return "\n".join([*lines, *_conclusions(self), *self.notes])

    def __repr__(self) -> str:
        return "\n".join([*_titles(self), *_table(self), *_conclusions(self), *self.notes])

    __str__ = __repr__


def _titles(line: Roofline) -> list[str]:
    hardware = line.hardware
    return [
        f"{line.model_type}: weights {line.weight_dtype}, cache {line.kv_dtype}, batch {line.batch:,}, "
        f"{line.prompt:,} + {line.new_tokens:,} tokens",
        f"{hardware.name}: {hardware.flops_per_second / 1e12:,.4g} TFLOP/s, "
        f"{hardware.bytes_per_second / 1e9:,.4g} GB/s, ridge {hardware.ridge:,.1f} FLOP/byte",
    ]


def _table(line: Roofline) -> list[str]:
    rows: list[tuple[str, ...]] = [("pass", "part", "operations", "bytes", "FLOP/byte", "at least", "bound")]
    for phase in (line.prefill, line.decode):
        parts = [part for part in phase.parts if part.flops or part.moved_bytes]
        rows += [_row("", part.name, part.flops, part.moved_bytes, line.hardware) for part in parts]
        rows.append(_row(phase.name, "sum", phase.flops, phase.moved_bytes, line.hardware))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if 2 <= i <= 5 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _row(phase: str, part: str, flops: float, moved_bytes: float, hardware: Hardware) -> tuple[str, ...]:
    return (
        phase,
        part,
        in_flops(flops) if flops else "-",
        in_units(round(moved_bytes)),
        f"{flops / moved_bytes:,.1f}" if moved_bytes else "-",
        in_seconds(seconds_of(flops, moved_bytes, hardware)),
        bound_of(flops, moved_bytes, hardware),
    )


def _conclusions(line: Roofline) -> list[str]:
    context = line.prompt + line.new_tokens
    each = line.tokens_per_second / line.batch
    lines = [
        f"prefill {in_seconds(line.prefill.seconds)}, then {line.new_tokens:,} steps in "
        f"{in_seconds(line.decode_seconds)}: at most {line.tokens_per_second:,.0f} tokens/s, {each:,.1f} per "
        "sequence"
    ]
    if line.ridge_batch is None:
        lines.append(f"batch: at {context:,} tokens a step is {line.bound}-bound at any batch")
    else:
        lines.append(
            f"batch: at {context:,} tokens a step is memory-bound below {line.ridge_batch:,} sequences"
        )
    if line.weights_ridge_batch is not None:
        lines.append(
            f"weights alone: memory-bound below {line.weights_ridge_batch:,} sequences, at any context"
        )
    if line.ridge_context is None:
        lines.append(f"context: at batch {line.batch:,} a step is {line.bound}-bound at any context")
    else:
        lines.append(f"context: at batch {line.batch:,} the limit changes at {line.ridge_context:,} tokens")
    return lines
