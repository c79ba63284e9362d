"""How far off an honest computation in a shorter format is: the peer that tells rounding from mistakes.

Every step is rounded to the format, as careful code in that format does; sums are taken in float64. It is no oracle:
the bound says what is possible, this says what is usual.
"""

from typing import Any

import numpy as np

from attnscope.audit.reading import Floats, Reading
from attnscope.problem import FORMATS
from attnscope.reference.definition import biased, mix, quietly, soft_capped, softmax


@quietly
def honest(reading: Reading, number_format: str) -> tuple[Floats, Floats]:
    """(output, logsumexp) of a call, with each step rounded."""
    dtype: Any = FORMATS[number_format]

    def rounded(array: Any) -> Any:
        return array.astype(dtype).astype(np.float64)

    inputs = reading.inputs
    raw = rounded(inputs.scale * (rounded(inputs.query) @ rounded(inputs.key).swapaxes(-1, -2)))
    scores = rounded(biased(rounded(soft_capped(raw, inputs.softcap)), inputs))
    weights, logs = softmax(np.where(inputs.visible, scores, -np.inf), inputs.visible, inputs.sinks)
    return rounded(mix(rounded(weights), inputs.visible, rounded(inputs.value))), rounded(logs)
