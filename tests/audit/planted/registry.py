"""Where planted mistakes are kept, each with the check that must find it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from attnscope.audit import Contract


@dataclass(frozen=True)
class Planted:
    """A mistake, what it breaks, and how bad that is."""

    make: Callable[[], Callable[..., Any]]
    check: str
    severity: str
    contract: Contract


PLANTED: dict[str, Planted] = {}


def planting(contract: Contract) -> Callable[..., Callable[[type], type]]:
    """Make the decorator of one section, whose mistakes are audited under one contract."""

    def planted(check: str, severity: str = "wrong", **claims: Any) -> Callable[[type], type]:
        def register(mutant: type) -> type:
            PLANTED[mutant.__name__] = Planted(mutant, check, severity, replace(contract, **claims))
            return mutant

        return register

    return planted
