"""The probes of functions, in the order in which an audit runs them."""

from attnscope.audit.probes.cache import CACHE
from attnscope.audit.probes.exactness import EXACTNESS, MASKED_ROWS
from attnscope.audit.probes.gradients import GRADIENTS
from attnscope.audit.probes.hidden_slots import EXTREMES, POISON
from attnscope.audit.probes.probe import Probe
from attnscope.audit.probes.repetition import INVARIANCE, REPETITION
from attnscope.audit.probes.side_effects import SIDE_EFFECTS

# Repetition comes first, since state that a function keeps shows best on a fresh one; side effects come last.
PROBES: tuple[Probe, ...] = (
    REPETITION,
    EXACTNESS,
    MASKED_ROWS,
    EXTREMES,
    POISON,
    INVARIANCE,
    CACHE,
    GRADIENTS,
    SIDE_EFFECTS,
)
