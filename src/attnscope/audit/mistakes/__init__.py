"""Known mistakes: small wrong interpretations that are tried on a call that failed."""

from attnscope.audit.mistakes.arrays_of_masks import MASK_ARRAYS as MASK_ARRAYS
from attnscope.audit.mistakes.mixing import FILLS as FILLS
from attnscope.audit.mistakes.mixing import MIXING as MIXING
from attnscope.audit.mistakes.positions import CAUSAL as CAUSAL
from attnscope.audit.mistakes.positions import NEAR as NEAR
from attnscope.audit.mistakes.scoring import SCORING as SCORING
