"""A claim: what it measures, its rows of the table, and the floors that its numbers must reach."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Results = list[dict[str, Any]]
Row = tuple[str, ...]
HEADER: Row = ("work", "library", "call", "measured", "speed", "of the limit", "/ ours")


@dataclass(frozen=True)
class Floor:
    """A number that a measurement must reach, or must not exceed; `measured` is None if there is none."""

    name: str
    measured: float | None
    kind: Literal["at least", "at most"]
    bound: float

    @property
    def holds(self) -> bool:
        """Whether the measured number reaches the bound; a missing one does not."""
        if self.measured is None:
            return False
        return self.measured >= self.bound if self.kind == "at least" else self.measured <= self.bound


@dataclass(frozen=True)
class Claim:
    """`results` are what JSON holds: `rows` and `floors` read them, measured now or stored."""

    name: str
    measure: Callable[[], Results]
    rows: Callable[[Results], list[Row]]
    floors: Callable[[Results], list[Floor]]
    header: Row = HEADER


def at_least(name: str, measured: float | None, bound: float) -> Floor:
    """A floor that the number must reach."""
    return Floor(name, measured, "at least", bound)


def at_most(name: str, measured: float | None, bound: float) -> Floor:
    """A ceiling that the number must not exceed."""
    return Floor(name, measured, "at most", bound)


def one(results: Results, **wanted: Any) -> dict[str, Any]:
    """The only result with these entries; an empty one if the library did not run."""
    found = [each for each in results if all(each.get(name) == value for name, value in wanted.items())]
    return found[0] if found else {}


def least(numbers: Iterable[float | None]) -> float | None:
    """The smallest number that was measured."""
    return min((each for each in numbers if each is not None), default=None)


def largest(numbers: Sequence[float | None]) -> float | None:
    """The largest number that was measured."""
    return max((each for each in numbers if each is not None), default=None)


def duration(seconds: float) -> str:
    """Three digits, in the unit that keeps them readable: 12.3 ms."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:#.3g}".rstrip(".") + f" {unit}"
    return f"{seconds * 1e9:#.3g}".rstrip(".") + " ns"
