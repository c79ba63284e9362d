"""The probes: each asks a function one kind of question."""

from attnscope.audit.probes.cache import CACHE
from attnscope.audit.probes.exactness import EXACTNESS, MASKED_ROWS
from attnscope.audit.probes.gradients import GRADIENTS
from attnscope.audit.probes.hidden_slots import EXTREMES, POISON
from attnscope.audit.probes.probe import Probe as Probe
from attnscope.audit.probes.probe import Setting as Setting
from attnscope.audit.probes.repetition import INVARIANCE, REPETITION
from attnscope.audit.probes.side_effects import SIDE_EFFECTS

# State that a function keeps shows best on a fresh one, so repetition comes first; side effects are summed up last.
PROBES = (
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
