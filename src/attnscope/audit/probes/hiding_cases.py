"""Cases in which something is hidden: each option alone and beside causal, within and past a block."""

import numpy as np
from numpy.typing import NDArray

from attnscope.audit.case import HIDING, Case
from attnscope.audit.contract import Contract
from attnscope.audit.probes.probe import Setting

LENGTHS = ((5, 9), (7, 7), (1, 11), (3, 67), (5, 133))


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


def hidden_keys(visible: NDArray[np.bool_]) -> list[int]:
    """Up to four keys that some row does not see: the last, the first, and two between."""
    some = np.flatnonzero((~visible).any(axis=(0, 1, 2)))
    last = len(some) - 1
    return (
        [int(some[index]) for index in sorted({0, last // 3, 2 * last // 3, last}, reverse=True)]
        if len(some)
        else []
    )
