"""Plans of the compiled kernel: a problem's sizes, formats, scoring and mask, prepared for many calls."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.kernels.core import Plan
from attnscope.problem import FORMATS, AttentionShape, KeyBitmap, KeySpans, Scoring

DTYPES = {name: FORMATS[name] for name in ("float32", "bfloat16", "float16")}


def as_bits(array: NDArray[Any]) -> NDArray[Any]:
    """The array itself, or a bfloat16 array's bits: the buffer protocol has no bfloat16."""
    return array.view(np.uint16) if array.dtype == FORMATS["bfloat16"] else array


def make_plan(
    level: str,
    shape: AttentionShape,
    visible: KeySpans | KeyBitmap | None,
    scoring: Scoring,
    *,
    number_format: str,
    key_value_format: str,
    output_format: str,
) -> Plan:
    """The plan of a described problem; it keeps a reference to the words of a bitmap."""
    return Plan(
        level=level,
        **vars(shape),
        format=number_format,
        key_value_format=key_value_format,
        output_format=output_format,
        scale=scoring.scale,
        softcap=scoring.softcap,
        first_key=visible.first_key if isinstance(visible, KeySpans) else None,
        end_key=visible.end_key if isinstance(visible, KeySpans) else None,
        words=visible.words if isinstance(visible, KeyBitmap) else None,
    )


def mask_bytes(visible: KeySpans | KeyBitmap | None) -> int:
    """The bytes of a mask that its plan keeps."""
    if isinstance(visible, KeySpans):
        return visible.first_key.nbytes + visible.end_key.nbytes
    return 0 if visible is None else visible.words.nbytes
