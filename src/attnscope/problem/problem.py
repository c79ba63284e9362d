"""What one call of attention asks."""

from dataclasses import dataclass

from attnscope.problem.mask import Mask
from attnscope.problem.scoring import Scoring
from attnscope.problem.shape import AttentionShape


@dataclass(frozen=True, repr=False)
class AttentionProblem:
    """Sizes, number format, mask and scoring: all that decides how attention is computed, and no array.

    It hashes and compares by content, so it can key a cache, and it serves where there is no data:
    sizing, counting of costs, grids of test cases.
    """

    shape: AttentionShape
    number_format: str
    mask: Mask | None
    scoring: Scoring

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.shape, self.number_format, self.mask, self.scoring)))

    def __hash__(self) -> int:
        hashed: int = self.__dict__["_hash"]
        return hashed

    def __repr__(self) -> str:
        shape, scoring = self.shape, self.scoring
        extras = [name for name in ("bias", "slopes", "sinks") if getattr(scoring, name)]
        cap = "" if scoring.softcap is None else f", softcap {scoring.softcap:g}"
        lines = {
            "query": f"{shape.batch} x {shape.query_heads} heads x {shape.query_len} x {shape.key_dim}",
            "key": f"{shape.batch} x {shape.kv_heads} heads x {shape.key_len} x {shape.key_dim}",
            "value": f"{shape.batch} x {shape.kv_heads} heads x {shape.key_len} x {shape.value_dim}",
            "format": self.number_format,
            "mask": "none: every query sees every key" if self.mask is None else str(self.mask),
            "scoring": ", ".join([f"scale {scoring.scale:g}{cap}", *extras]),
        }
        return "AttentionProblem\n" + "\n".join(f"  {name:<8} {text}" for name, text in lines.items())
