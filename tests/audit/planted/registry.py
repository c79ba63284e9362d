"""Where planted mistakes are kept, each with the check that must find it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from attnscope.audit import Contract


@dataclass(frozen=True)
class Planted:
    """A mistake, the promise that it breaks, its severity, and words, one of which a finding must contain."""

    make: Callable[[], Callable[..., Any]]
    check: str
    severity: str
    contract: Contract
    causes: tuple[str, ...] = ()


PLANTED: dict[str, Planted] = {}


def planting(contract: Contract) -> Callable[..., Callable[[type], type]]:
    """Make the decorator of one section, whose mistakes are audited under one contract."""

    def planted(
        check: str, severity: str = "wrong", causes: tuple[str, ...] = (), **claims: Any
    ) -> Callable[[type], type]:
        def register(mutant: type) -> type:
            own = replace(contract, **claims)
            PLANTED[mutant.__name__] = Planted(mutant, check, severity, own, causes)
            return mutant

        return register

    return planted
