"""The description of one call of attention, without its arrays."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from attnscope.arguments import brief
from attnscope.errors import AttentionFormatError, AttentionMaskError, AttentionScoringError
from attnscope.problem.arrays import FORMAT_LIST, FORMATS, accumulation_dtype
from attnscope.problem.mask import Mask
from attnscope.problem.scoring import ARRAYS, FACTORS, Scoring
from attnscope.problem.shape import AttentionShape, Sizes


@dataclass(frozen=True, repr=False)
class AttentionProblem:
    """Everything that decides how attention is computed: sizes, number format, mask and scoring; no arrays.

    A problem hashes and compares by content, so it can be a key of a cache. It serves wherever there are no
    data: to size memory, to count costs, to enumerate test cases.

    Parameters
    ----------
    shape : AttentionShape
        The sizes.
    number_format : {"float32", "bfloat16", "float16", "float64"}
        The format of query, key and value.
    mask : Mask or None
        Which keys each query sees; None: every key.
    scoring : Scoring
        Scale, soft-cap, and which of bias, ALiBi slopes and sinks are present.

    Raises
    ------
    AttentionFormatError
        If the number format is unknown.
    AttentionMaskError
        If the mask does not fit the sizes.
    AttentionScoringError
        If the accumulation format cannot hold the scale or soft-cap.

    Examples
    --------
    >>> from attnscope.problem import Causal, Scoring
    >>> shape = AttentionShape(1, query_heads=8, kv_heads=2, query_len=4, key_len=4, key_dim=64, value_dim=64)
    >>> AttentionProblem(shape, "float32", Causal(), Scoring(scale=0.125))
    AttentionProblem
      query    1 x 8 heads x 4 x 64
      key      1 x 2 heads x 4 x 64
      value    1 x 2 heads x 4 x 64
      format   float32
      mask     Causal()
      scoring  scale 0.125
    """

    shape: AttentionShape
    number_format: str
    mask: Mask | None
    scoring: Scoring

    def __post_init__(self) -> None:
        if self.number_format not in FORMATS:
            raise AttentionFormatError(f"number_format={brief(self.number_format)}: expected {FORMAT_LIST}.")
        if self.mask is not None:
            if not issubclass(type(self.mask), Mask):
                raise AttentionMaskError(
                    f"mask is {brief(self.mask)}, expected a mask such as Causal(), or None."
                )
            self.mask.check(Sizes.of(self.shape))
        for name in FACTORS:
            factor = getattr(self.scoring, name)
            if factor is not None:
                self._check_factor(name, factor)
        object.__setattr__(self, "_hash", hash((self.shape, self.number_format, self.mask, self.scoring)))

    def _check_factor(self, name: str, factor: float) -> None:
        accumulation = accumulation_dtype(self.number_format)
        limits = np.finfo(accumulation)
        if not float(limits.smallest_normal) <= factor <= float(limits.max):
            raise AttentionScoringError(
                f"{name}={factor!r}: expected a number from {limits.smallest_normal:.2g} to "
                f"{limits.max:.2g}, the "
                f"range of {accumulation}, in which {self.number_format} is computed. {FACTORS[name]}"
            )

    def __hash__(self) -> int:
        hashed: int = self.__dict__["_hash"]
        return hashed

    def __reduce__(self) -> tuple[Any, ...]:
        # without the hash: the hash of a string differs from process to process
        return type(self), (self.shape, self.number_format, self.mask, self.scoring)

    def __repr__(self) -> str:
        shape, scoring = self.shape, self.scoring
        extras = [name for name in ARRAYS if getattr(scoring, name)]
        cap = "" if scoring.softcap is None else f", softcap {scoring.softcap:g}"
        lines = {
            "query": f"{shape.batch} x {_heads(shape.query_heads)} x {shape.query_len} x {shape.key_dim}",
            "key": f"{shape.batch} x {_heads(shape.kv_heads)} x {shape.key_len} x {shape.key_dim}",
            "value": f"{shape.batch} x {_heads(shape.kv_heads)} x {shape.key_len} x {shape.value_dim}",
            "format": self.number_format,
            "mask": "none: every query sees every key" if self.mask is None else str(self.mask),
            "scoring": ", ".join([f"scale {scoring.scale:g}{cap}", *extras]),
        }
        return "AttentionProblem\n" + "\n".join(f"  {name:<8} {text}" for name, text in lines.items())


def _heads(count: int) -> str:
    return "1 head" if count == 1 else f"{count} heads"
