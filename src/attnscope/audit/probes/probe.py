"""What every probe is given and returns, and the cases in which something is hidden."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from attnscope.audit.case import Case
from attnscope.audit.contract import Contract
from attnscope.audit.grid import Grid
from attnscope.audit.interpretation import Bools
from attnscope.audit.options import HIDING
from attnscope.audit.suspect import Suspect
from attnscope.probing import Finding, KnownMistake

LENGTHS = ((5, 9), (7, 7), (1, 11), (3, 67), (5, 133))


@dataclass(eq=False)
class Setting:
    """The function under audit, the grid of cases, and what is known so far.

    Parameters
    ----------
    suspect : Suspect
        The function under audit.
    grid : Grid
        Draws cases.
    not_covered : list of str
        Sentences for the report.
    known : list of KnownMistake
        The mistakes that were found.
    advance : callable
        Called with the share of a probe that is done.
    """

    suspect: Suspect
    grid: Grid
    not_covered: list[str] = field(default_factory=list)
    known: list[KnownMistake] = field(default_factory=list)
    advance: Callable[[float], None] = lambda share: None

    @property
    def contract(self) -> Contract:
        """What is claimed."""
        return self.suspect.contract


@dataclass(frozen=True)
class Probe:
    """One kind of question.

    Parameters
    ----------
    name : str
        For the progress.
    checks : callable
        contract -> the promises that it can find broken.
    applies : callable
        contract -> whether any of them is made.
    run : callable
        setting -> findings.
    """

    name: str
    checks: Callable[[Contract], tuple[str, ...]]
    applies: Callable[[Contract], bool]
    run: Callable[[Setting], list[Finding]]


def hides(contract: Contract) -> bool:
    """Whether a contract has an option that hides keys."""
    return any(getattr(contract, name) for name in HIDING)


def hiding_cases(setting: Setting) -> list[Case]:
    """Every option that hides, at lengths where bugs sit."""
    hiding = [name for name in HIDING if getattr(setting.contract, name)]
    chosen: list[tuple[str, ...]] = [(name,) for name in hiding]
    if "causal" in hiding:
        chosen += [("causal", name) for name in hiding if name != "causal"]
    return [setting.grid.case(options, lengths, batch=2) for options in chosen for lengths in LENGTHS]


def hidden_keys(visible: Bools) -> list[int]:
    """Up to four keys that some row does not see: the last, the first, and two between."""
    some = np.flatnonzero((~visible).any(axis=(0, 1, 2)))
    last = len(some) - 1
    return (
        [int(some[index]) for index in sorted({0, last // 3, 2 * last // 3, last}, reverse=True)]
        if len(some)
        else []
    )
