"""What attention means: readable NumPy in float64, against which everything fast is judged."""

from attnscope.reference.definition import attention as attention
from attnscope.reference.definition import scores as scores
from attnscope.reference.definition import weights as weights
from attnscope.reference.gradients import Gradients as Gradients
from attnscope.reference.gradients import gradients as gradients
from attnscope.reference.online import blockwise as blockwise
from attnscope.reference.partials import merge_partials as merge_partials
from attnscope.reference.partials import partial_attention as partial_attention
from attnscope.reference.statistics import statistics as statistics
