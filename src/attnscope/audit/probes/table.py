"""Which probes a contract calls for, and in which order."""

from attnscope.audit.contract import Contract
from attnscope.audit.probes.cache import CACHE
from attnscope.audit.probes.empty_rows import EMPTY_ROWS
from attnscope.audit.probes.exactness import EXACTNESS
from attnscope.audit.probes.extremes import EXTREMES
from attnscope.audit.probes.gradients import GRADIENTS
from attnscope.audit.probes.invariance import INVARIANCE
from attnscope.audit.probes.poison import POISON
from attnscope.audit.probes.probe import Probe
from attnscope.audit.probes.repetition import REPETITION
from attnscope.audit.probes.side_effects import SIDE_EFFECTS

# State that a function keeps shows best on a fresh one, so repetition comes first; side effects are summed up last.
PROBES = (REPETITION, EXACTNESS, EMPTY_ROWS, EXTREMES, POISON, INVARIANCE, CACHE, GRADIENTS, SIDE_EFFECTS)


def probes_for(contract: Contract) -> tuple[Probe, ...]:
    """The probes that a contract promises something to."""
    return tuple(probe for probe in PROBES if probe.applies(contract))
