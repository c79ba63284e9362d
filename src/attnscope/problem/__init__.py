"""The description of a call of attention: sizes, mask, scoring and number format, without arrays."""

from attnscope.problem.arrays import FORMAT_NAMES as FORMAT_NAMES
from attnscope.problem.arrays import FORMATS as FORMATS
from attnscope.problem.arrays import accumulation_dtype as accumulation_dtype
from attnscope.problem.arrays import check_vectors as check_vectors
from attnscope.problem.arrays import overlap as overlap
from attnscope.problem.arrays import plain as plain
from attnscope.problem.arrays import read_vectors as read_vectors
from attnscope.problem.dense import Dense as Dense
from attnscope.problem.describe import describe as describe
from attnscope.problem.describe import describe_pages as describe_pages
from attnscope.problem.dlpack import Array as Array
from attnscope.problem.dlpack import SupportsDLPack as SupportsDLPack
from attnscope.problem.documents import Documents as Documents
from attnscope.problem.forward import Forward as Forward
from attnscope.problem.forward import read_forward as read_forward
from attnscope.problem.key_ranges import KeyLengths as KeyLengths
from attnscope.problem.key_ranges import KeyRanges as KeyRanges
from attnscope.problem.key_ranges import Prefix as Prefix
from attnscope.problem.lowering import KeyBitmap as KeyBitmap
from attnscope.problem.lowering import KeySpans as KeySpans
from attnscope.problem.lowering import lower as lower
from attnscope.problem.lowering import lower_pages as lower_pages
from attnscope.problem.mask import Mask as Mask
from attnscope.problem.operands import Operands as Operands
from attnscope.problem.operands import check_out as check_out
from attnscope.problem.pages import PAGE_FORMATS as PAGE_FORMATS
from attnscope.problem.pages import Pages as Pages
from attnscope.problem.pages import check_table as check_table
from attnscope.problem.pages import check_writable as check_writable
from attnscope.problem.pages import named_pages as named_pages
from attnscope.problem.pages import read_pages as read_pages
from attnscope.problem.position_masks import Causal as Causal
from attnscope.problem.position_masks import Window as Window
from attnscope.problem.problem import AttentionProblem as AttentionProblem
from attnscope.problem.questions import Questions as Questions
from attnscope.problem.questions import Segments as Segments
from attnscope.problem.questions import read_questions as read_questions
from attnscope.problem.rule import Reason as Reason
from attnscope.problem.scoring import AttentionOptions as AttentionOptions
from attnscope.problem.scoring import Scoring as Scoring
from attnscope.problem.scoring import ScoringOptions as ScoringOptions
from attnscope.problem.shape import AttentionShape as AttentionShape

# What users may rely on; the other rooms use the rest, too.
__all__ = [
    "AttentionOptions",
    "AttentionProblem",
    "AttentionShape",
    "Causal",
    "Dense",
    "Documents",
    "KeyLengths",
    "KeyRanges",
    "Mask",
    "Prefix",
    "Reason",
    "Scoring",
    "ScoringOptions",
    "Window",
]
