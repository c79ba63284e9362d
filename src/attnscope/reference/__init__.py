"""The meaning of attention: readable NumPy in float64, against which everything fast is tested."""

from attnscope.reference.definition import attention as attention
from attnscope.reference.definition import biased as biased
from attnscope.reference.definition import capped_scores as capped_scores
from attnscope.reference.definition import dot_products as dot_products
from attnscope.reference.definition import masked as masked
from attnscope.reference.definition import masked_scores as masked_scores
from attnscope.reference.definition import mix as mix
from attnscope.reference.definition import quietly as quietly
from attnscope.reference.definition import scores as scores
from attnscope.reference.definition import soft_capped as soft_capped
from attnscope.reference.definition import softmax as softmax
from attnscope.reference.definition import weights as weights
from attnscope.reference.gradients import grad_of_sinks as grad_of_sinks
from attnscope.reference.gradients import gradients as gradients
from attnscope.reference.gradients import of_shared_heads as of_shared_heads
from attnscope.reference.gradients import summed_to as summed_to
from attnscope.reference.influence import Influence as Influence
from attnscope.reference.influence import influence as influence
from attnscope.reference.inputs import Inputs as Inputs
from attnscope.reference.inputs import read as read
from attnscope.reference.online import blockwise as blockwise
from attnscope.reference.partials import merge_partials as merge_partials
from attnscope.reference.partials import partial_attention as partial_attention
from attnscope.reference.statistics import statistics as statistics

# What users may rely on; other rooms use the single steps, too.
__all__ = [
    "attention",
    "blockwise",
    "gradients",
    "merge_partials",
    "partial_attention",
    "scores",
    "statistics",
    "weights",
]
