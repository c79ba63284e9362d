"""What one call of attention asks."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from attnscope.arguments import brief
from attnscope.errors import AttentionFormatError, AttentionMaskError, AttentionScoringError
from attnscope.problem.formats import FORMAT_LIST, FORMATS, accumulation_dtype
from attnscope.problem.mask import Mask
from attnscope.problem.scoring import WAYS_OUT, Scoring
from attnscope.problem.shape import AttentionShape
from attnscope.problem.sizes import Sizes


@dataclass(frozen=True, repr=False)
class AttentionProblem:
    """Sizes, number format, mask and scoring: all that decides how attention is computed, and no array.

    It hashes and compares by content, so it can key a cache, and it serves where there is no data:
    sizing, counting of costs, grids of test cases.

    Errors
        AttentionError and its kinds when the parts do not fit each other.
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
        for name, factor in (("scale", self.scoring.scale), ("softcap", self.scoring.softcap)):
            if factor is not None:
                self._check_factor(name, factor)
        object.__setattr__(self, "_hash", hash((self.shape, self.number_format, self.mask, self.scoring)))

    def _check_factor(self, name: str, factor: float) -> None:
        accumulation = accumulation_dtype(self.number_format)
        limits = np.finfo(accumulation)
        if not float(limits.smallest_normal) <= factor <= float(limits.max):
            raise AttentionScoringError(
                f"{name}={factor!r}: expected a number from {limits.smallest_normal:.2g} to {limits.max:.2g}, as "
                f"{accumulation}, in which {self.number_format} is computed, holds no other. {WAYS_OUT[name]}"
            )

    def __hash__(self) -> int:
        hashed: int = self.__dict__["_hash"]
        return hashed

    def __reduce__(self) -> tuple[Any, ...]:
        # not the hash: that of a string is each process's own
        return type(self), (self.shape, self.number_format, self.mask, self.scoring)

    def __repr__(self) -> str:
        shape, scoring = self.shape, self.scoring
        extras = [name for name in ("bias", "alibi_slopes", "sinks") if getattr(scoring, name)]
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
