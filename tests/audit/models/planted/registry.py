"""Where mutants are kept, with the check that must find each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.audit.models.host import Host


@dataclass(frozen=True)
class Planted:
    """A mistake, the promise that it breaks, its severity, and words of the cause that must be named."""

    make: type[Host]
    check: str
    severity: str
    cause: str | None


PLANTED: dict[str, Planted] = {}


def planted(
    check: str, severity: str = "wrong", cause: str | None = None
) -> Callable[[type[Any]], type[Any]]:
    """Register a mutant under its class's name."""

    def register(mutant: type[Any]) -> type[Any]:
        PLANTED[mutant.__name__] = Planted(mutant, check, severity, cause)
        return mutant

    return register


EVERYTHING = np.ones((1, 1, 1), bool)
