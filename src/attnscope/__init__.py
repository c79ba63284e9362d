"""Softmax attention to compute, see, check, size and learn: exact and fast on a CPU, on NumPy arrays."""

from attnscope import kernels as kernels
from attnscope import models as models
from attnscope import reference as reference
from attnscope.attention import attention as attention
from attnscope.attention import merge as merge
from attnscope.attention import partial as partial
from attnscope.errors import AttentionError as AttentionError
from attnscope.errors import AttentionFormatError as AttentionFormatError
from attnscope.errors import AttentionMaskError as AttentionMaskError
from attnscope.errors import AttentionScoringError as AttentionScoringError
from attnscope.errors import AttentionShapeError as AttentionShapeError
from attnscope.errors import UnsupportedProblemError as UnsupportedProblemError
from attnscope.multi_head import MultiHeadAttention as MultiHeadAttention
from attnscope.positions import alibi_slopes as alibi_slopes
from attnscope.positions import rotate as rotate
from attnscope.problem import AttentionProblem as AttentionProblem
from attnscope.problem import AttentionShape as AttentionShape
from attnscope.problem import Causal as Causal
from attnscope.problem import Dense as Dense
from attnscope.problem import Documents as Documents
from attnscope.problem import KeyLengths as KeyLengths
from attnscope.problem import KeyRanges as KeyRanges
from attnscope.problem import Mask as Mask
from attnscope.problem import Prefix as Prefix
from attnscope.problem import Window as Window
from attnscope.result import Partial as Partial
