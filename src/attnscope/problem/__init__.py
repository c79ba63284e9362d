"""What is asked: sizes, mask, scoring and number format, without a single array inside."""

from attnscope.problem.dense import Dense as Dense
from attnscope.problem.describe import describe as describe
from attnscope.problem.documents import Documents as Documents
from attnscope.problem.formats import FORMATS as FORMATS
from attnscope.problem.key_ranges import KeyLengths as KeyLengths
from attnscope.problem.key_ranges import KeyRanges as KeyRanges
from attnscope.problem.key_ranges import Prefix as Prefix
from attnscope.problem.lowering import KeyBitmap as KeyBitmap
from attnscope.problem.lowering import KeySpans as KeySpans
from attnscope.problem.lowering import lower as lower
from attnscope.problem.lowering import lower_ragged as lower_ragged
from attnscope.problem.mask import Mask as Mask
from attnscope.problem.operands import Operands as Operands
from attnscope.problem.out import check_out as check_out
from attnscope.problem.position_masks import Causal as Causal
from attnscope.problem.position_masks import Window as Window
from attnscope.problem.problem import AttentionProblem as AttentionProblem
from attnscope.problem.questions import Questions as Questions
from attnscope.problem.questions import Segments as Segments
from attnscope.problem.questions import read_questions as read_questions
from attnscope.problem.scoring import Scoring as Scoring
from attnscope.problem.shape import AttentionShape as AttentionShape
