"""What every probe is given, and gives."""

from collections.abc import Callable
from dataclasses import dataclass, field

from attnscope.audit.contract import Contract
from attnscope.audit.grid import Grid
from attnscope.audit.mistakes import Mistake
from attnscope.audit.suspect import Suspect
from attnscope.probing import Finding


@dataclass(eq=False)
class Setting:
    """The suspect, the grid of cases, and what was already learnt.

    not_covered    sentences that the report will say
    known          the mistakes that are found already
    advance        told the share of a probe that is done
    """

    suspect: Suspect
    grid: Grid
    not_covered: list[str] = field(default_factory=list)
    known: list[Mistake] = field(default_factory=list)
    advance: Callable[[float], None] = lambda share: None

    @property
    def contract(self) -> Contract:
        """What is claimed."""
        return self.suspect.contract


@dataclass(frozen=True)
class Probe:
    """A kind of question.

    checks     the promises that it can find broken
    applies    whether a contract promises any of it
    run        ask, and say what was found
    """

    name: str
    checks: Callable[[Contract], tuple[str, ...]]
    applies: Callable[[Contract], bool]
    run: Callable[[Setting], list[Finding]]
