"""The probes: each asks a function one kind of question."""

from attnscope.audit.probes.cache import CACHE as CACHE
from attnscope.audit.probes.exactness import EXACTNESS as EXACTNESS
from attnscope.audit.probes.exactness import MASKED_ROWS as MASKED_ROWS
from attnscope.audit.probes.gradients import GRADIENTS as GRADIENTS
from attnscope.audit.probes.hidden_slots import EXTREMES as EXTREMES
from attnscope.audit.probes.hidden_slots import POISON as POISON
from attnscope.audit.probes.probe import Probe as Probe
from attnscope.audit.probes.probe import Setting as Setting
from attnscope.audit.probes.repetition import INVARIANCE as INVARIANCE
from attnscope.audit.probes.repetition import REPETITION as REPETITION
from attnscope.audit.probes.side_effects import SIDE_EFFECTS as SIDE_EFFECTS
