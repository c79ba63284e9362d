"""How a score is made from a dot product."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scoring:
    """score = softcap * tanh(scale * (query . key) / softcap) + bias - slope * distance.

    scale is never None: 1/sqrt(key_dim) unless it was given. softcap None: no cap. The flags say which arrays
    come with the problem: a dense bias, one ALiBi slope a query head, one sink's logit a query head.
    """

    scale: float
    softcap: float | None = None
    bias: bool = False
    slopes: bool = False
    sinks: bool = False
