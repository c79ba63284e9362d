"""The meaning of attention: readable NumPy in float64, against which everything fast is tested."""

from attnscope.reference.definition import attention as attention
from attnscope.reference.definition import scores as scores
from attnscope.reference.definition import weights as weights
from attnscope.reference.gradients import Gradients as Gradients
from attnscope.reference.gradients import gradients as gradients
from attnscope.reference.influence import Influence as Influence
from attnscope.reference.influence import influence as influence
from attnscope.reference.online import blockwise as blockwise
from attnscope.reference.partial import merge_partials as merge_partials
from attnscope.reference.partial import partial_attention as partial_attention
from attnscope.reference.statistics import statistics as statistics
