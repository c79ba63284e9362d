"""How far an honest float32 answer may be from the exact one: errors carried along, so that nobody types a tolerance.

Every array is carried with a bound on its error; u = 2^-24 is float32's rounding unit. An answer in float64 is nearer
still. Inputs may be rounded once, to float32.

    a @ b       |a| @ error(b) + error(a) @ |b| + error(a) @ error(b) + (n + 2) u |a| @ |b|      sums of n terms
    score[j]    d[j] = the error of the product, scaled, + 8 u mass[j] + u (2 |score[j] - top| + 4 |score[j]| + 8)
    softmax     with D the largest d[j] of the row, each weight is off by a factor between e^-2D and e^2D: that is
                exact, however large D; sums, products and rescales add (3 n + 32) u
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
UNIT = 2.0**-24
SMALLEST = 2.0**-126  # weights below float32's normal numbers may be lost


@dataclass(frozen=True, eq=False)
class Rounded:
    """An array, and how far each entry may be from exact."""

    value: Floats
    error: Floats

    @property
    def size(self) -> Floats:
        """The largest absolute value that each entry may have."""
        return np.abs(self.value) + self.error

    def reshaped(self, *shape: int) -> "Rounded":
        """The same entries in another shape."""
        return Rounded(self.value.reshape(shape), self.error.reshape(shape))

    def swapped(self, one: int, other: int) -> "Rounded":
        """Two axes exchanged."""
        return Rounded(self.value.swapaxes(one, other), self.error.swapaxes(one, other))

    def repeated(self, times: int, axis: int) -> "Rounded":
        """Each entry of an axis so many times."""
        return Rounded(np.repeat(self.value, times, axis), np.repeat(self.error, times, axis))


@dataclass(frozen=True, eq=False)
class Attended:
    """Bounds on the errors of an attention's results."""

    output: Floats
    weights: Floats
    logsumexp: Floats


def given(array: Any) -> Rounded:
    """An input, as an answer may round it once."""
    value = np.asarray(array, dtype=np.float64)
    return Rounded(value, UNIT * np.abs(value))


def product(a: Rounded, b: Rounded) -> Rounded:
    """The matrix product of two."""
    rounding = (a.value.shape[-1] + 2) * UNIT * (np.abs(a.value) @ np.abs(b.value))
    carried = np.abs(a.value) @ b.error + a.error @ b.size
    return Rounded(a.value @ b.value, carried + rounding)


def attended(query: Rounded, key: Rounded, value: Rounded, visible: Any = True) -> Attended:
    """What the softmax and the mix make of errors; all with the same leading axes."""
    scale = query.value.shape[-1] ** -0.5
    raw = product(query, key.swapped(-1, -2))
    shown = np.broadcast_to(visible, raw.value.shape)
    score = np.where(shown, scale * raw.value, -np.inf)
    top = np.max(score, axis=-1, keepdims=True, initial=-np.inf)
    top = np.where(np.isneginf(top), 0.0, top)
    mass = scale * (np.abs(query.value) @ np.abs(key.value).swapaxes(-1, -2))
    below = np.where(shown, top - score, 0.0)
    wrong_by = scale * raw.error + 8 * UNIT * mass + UNIT * (2 * below + 4 * np.abs(scale * raw.value) + 8)
    largest = np.max(np.where(shown, wrong_by, 0.0), axis=-1, keepdims=True, initial=0.0)
    parts = np.where(shown, np.exp(score - top), 0.0)
    total = parts.sum(axis=-1, keepdims=True)
    weights = parts / np.where(total > 0, total, 1.0)
    sums = UNIT * (3 * score.shape[-1] + 32)
    weight_errors = weights * (np.expm1(2 * largest) + sums) + SMALLEST
    output = weight_errors @ value.size + weights @ value.error
    output = output + UNIT * np.abs(weights @ value.value)
    logs = top + np.log(np.where(total > 0, total, 1.0))
    log_error = largest + sums + 4 * UNIT * (np.abs(logs) + np.abs(top))
    return Attended(output, weight_errors, log_error[..., 0])
