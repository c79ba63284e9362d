"""What is rounding, and what is a mistake: measured on the model itself.

The same row asked in batches of several sizes, and with other tokens behind it, gives logits that differ by rounding
only: the sums are the same, in another order. The largest such difference, relative to the largest logit, is the
model's *noise*. Only some orders are tried, so 16 times the noise counts as rounding, and never less than what sums
taken in one order cost, 32 u of the largest logit (u is half the distance from 1 to the next number of the format).
Where the shapes differ (padded and alone, cached and uncached), positions may be turned by other angles: an angle of t
positions is rounded by t u, so T tokens may cost another 8 T u; a sum of another length 128 u.

A question of the same shape with a hidden token changed needs none of this in most models: it gives the same bits.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnscope.audit.models.question import Where

Floats = NDArray[np.float64]
NARROW = 2.0**-12  # a unit above it is a 16-bit format's: sums in it are taken in float32
TELLING = 32  # so many numbers that all happen to be short are no chance


@dataclass(frozen=True)
class Move:
    """Where two answers differ: the first slot of the first row, and by how much."""

    row: int
    slot: int
    size: float
    bound: float


@dataclass(frozen=True)
class Rounding:
    """The unit u of the logits' numbers, and the noise that was measured, relative to the largest logit."""

    unit: float
    noise: float = 0.0

    def relative(self, tokens: int, *, same_shape: bool) -> float:
        """What two honest computations may differ by, relative to the largest logit."""
        if self.unit > NARROW:
            return max(8 * self.noise, (4 if same_shape else 8) * self.unit)
        allowed = 32.0 if same_shape else 128.0 + 8.0 * tokens
        return max(16 * self.noise, allowed * self.unit)

    def move(self, first: Floats, second: Floats, where: Where, *, same_shape: bool) -> Move | None:
        """The first slot, of those looked at, where the difference is no rounding."""
        sizes = distances(first, second)
        bound = self.relative(first.shape[1], same_shape=same_shape) * largest(first, where)
        beyond = (sizes > bound) & where
        if not beyond.any():
            return None
        row, slot = (int(each) for each in np.argwhere(beyond)[0])
        return Move(row, slot, float(sizes[row, slot]), bound)

    def agree(self, first: Floats, second: Floats, where: Where) -> bool:
        """Whether two answers of whatever shapes of batch are one, up to rounding."""
        return self.move(first, second, where, same_shape=False) is None


def distances(first: Floats, second: Floats) -> Floats:
    """The largest difference of each slot's logits; infinite where only one of them is a number."""
    with np.errstate(invalid="ignore"):
        differences = np.abs(first - second)
    alike = (first == second) | (np.isnan(first) & np.isnan(second))
    differences = np.where(alike, 0.0, np.where(np.isnan(differences), np.inf, differences))
    reduced: Floats = differences.max(axis=-1, initial=0.0)
    return reduced


def largest(logits: Floats, where: Where) -> float:
    """The largest logit that is a number."""
    seen = np.abs(logits[where])
    return float(np.max(seen, initial=0.0, where=np.isfinite(seen)))


def unit_of(logits: Floats, written_as: np.dtype) -> float:
    """The unit of the narrowest format that these numbers are exact in: a wide array may hold a narrow model's."""
    units = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 2.0**-24, "float64": 2.0**-53}
    finite = logits[np.isfinite(logits)]
    if written_as.name in ("float16", "bfloat16"):
        return units[written_as.name]
    as_float32 = finite.astype(np.float32)
    if written_as == np.float64 and not np.array_equal(as_float32.astype(np.float64), finite):
        return units["float64"]
    low_bits = as_float32.view(np.uint32) & 0xFFFF
    narrow = len(np.unique(finite)) > TELLING and not low_bits.any()
    return units["bfloat16" if narrow else "float32"]
