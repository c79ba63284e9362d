"""One pass through a model, a prefill or a decode step, beside what the hardware can do."""

from dataclasses import dataclass

from attnscope.sizing.costs import Part
from attnscope.sizing.hardware import Hardware


@dataclass(frozen=True)
class Phase:
    """The parts of a pass, what they add up to, and what limits them.

    seconds = max(flops / flops_per_second, moved_bytes / bytes_per_second)

    >>> phase = Phase("step", (Part("MLP", 4e12, 1e9, ""),), Hardware("mine", 1e12, 1e9))
    >>> phase.seconds, phase.intensity, phase.bound
    (4.0, 4000.0, 'arithmetic')
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
        """Bytes that are read or written at the least."""
        return sum(part.moved_bytes for part in self.parts)

    @property
    def intensity(self) -> float:
        """FLOP a byte."""
        return self.flops / self.moved_bytes

    @property
    def seconds(self) -> float:
        """Arithmetic and reading side by side: the longer of both."""
        return max(
            self.flops / self.hardware.flops_per_second, self.moved_bytes / self.hardware.bytes_per_second
        )

    @property
    def bound(self) -> str:
        """What limits it: "arithmetic" or "reading"."""
        return bound_of(self.flops, self.moved_bytes, self.hardware)


def bound_of(flops: float, moved_bytes: float, hardware: Hardware) -> str:
    """What takes longer."""
    arithmetic = flops / hardware.flops_per_second
    return "arithmetic" if arithmetic > moved_bytes / hardware.bytes_per_second else "reading"
