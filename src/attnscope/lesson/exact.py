"""The right results of an attention, by the reference, and the largest error of correct float32 code."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.lesson.question import Expected
from attnscope.probing import Arithmetic, InputErrors, bound_of
from attnscope.reference import masked_scores, mix, quietly, read, softmax

Floats = NDArray[np.float64]
FLOAT32 = Arithmetic("float32")
UNIT = FLOAT32.unit


@dataclass(frozen=True, eq=False)
class Rounded:
    """An array, and how far each of its entries may be from exact."""

    value: Floats
    error: Floats


@dataclass(frozen=True, eq=False)
class Exact:
    """An attention's results with their bounds, in the shapes of its arguments."""

    output: Expected
    weights: Expected
    logsumexp: Expected


def given(array: Any) -> Rounded:
    """An input, which an answer may round to float32 once."""
    value = np.asarray(array, dtype=np.float64)
    return Rounded(value, UNIT * np.abs(value))


@quietly
def exact(query: Any, key: Any, value: Any, visible: Any = None, bias: Any = None) -> Exact:
    """Attention over any leading axes. An argument that is `Rounded` carries its errors into the bounds."""
    rounded = [each if isinstance(each, Rounded) else given(each) for each in (query, key, value)]
    rows = rounded[0].value.shape[:-1]
    of_weights = (*rows, rounded[1].value.shape[-2])
    mask, added = (
        None if each is None else four_axes(np.broadcast_to(each, of_weights)) for each in (visible, bias)
    )
    _, _, inputs = read(*(four_axes(each.value) for each in rounded), mask=mask, bias=added)
    scores = masked_scores(inputs)
    weights, logsumexp = softmax(scores, inputs.visible, None)
    output = mix(weights, inputs.visible, inputs.value)
    carried = InputErrors(*(four_axes(each.error) for each in rounded))
    bound = bound_of(inputs, scores, (weights, output, logsumexp), FLOAT32, carried)
    of_output = (*rows, output.shape[-1])
    return Exact(
        Expected(output.reshape(of_output), bound.output.reshape(of_output)),
        Expected(weights.reshape(of_weights), bound.weights.reshape(of_weights)),
        Expected(logsumexp.reshape(rows), bound.logsumexp.reshape(rows)),
    )


def four_axes(array: NDArray[Any]) -> NDArray[Any]:
    """All leading axes as one batch, one head."""
    return array.reshape(-1, 1, *array.shape[-2:])
