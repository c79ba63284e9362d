"""Attention functions that claim to be causal, for the exercise in which leaks are found. Plain NumPy; some leak.

What a query does not see is not touched, so that a NaN or inf there reaches nobody: to plant one is a fair way to look.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Through = Literal["key and value", "key", "value"]
Pairs = frozenset[tuple[int, int]]


class Suspect:
    """attention_fn(query, key, value) on [tokens, dim]; where it leaks is its secret."""

    __slots__ = ("__plan",)

    def __init__(self, plan: "Plan") -> None:
        self.__plan = plan

    def __call__(self, query: Any, key: Any, value: Any) -> NDArray[np.float64]:
        query, key, value = (np.asarray(array, dtype=np.float64) for array in (query, key, value))
        return np.stack([self.__plan.row(i, query, key, value) for i in range(len(query))])

    def __repr__(self) -> str:
        return f"<{self.__plan.name}>"


@dataclass(frozen=True)
class Plan:
    """What a suspect does beside causal attention.

    leaks      (query, key), the key after the query
    through    whether the key takes part in the softmax, its value in the mix, or both
    noisy      whether last bits follow what comes later, and nothing else does
    """

    name: str
    leaks: Pairs = frozenset()
    through: Through = "key and value"
    noisy: bool = False

    def row(
        self, i: int, query: NDArray[np.float64], key: NDArray[np.float64], value: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The output of one query."""
        leaked = sorted(j for q, j in self.leaks if q == i and j < len(key))
        own = list(range(i + 1))
        scored = own + (leaked if self.through != "value" else [])
        scores = key[scored] @ query[i] / np.sqrt(query.shape[-1])
        parts = np.exp(scores - scores.max())
        weights = parts / parts.sum()
        mixed = len(own) if self.through == "key" else len(scored)
        output: NDArray[np.float64] = weights[:mixed] @ value[scored[:mixed]]
        if self.noisy:  # multiplied and divided by a number that later keys decide: the last bits follow it
            later = np.nan_to_num(997.3 * key[i + 1 :].sum(), nan=0.0, posinf=0.0, neginf=0.0)
            factor = 3.0 + int(abs(later)) % 7
            output = (factor * output) / factor
        return output + 0.5 * value[leaked].sum(axis=0) if self.through == "value" else output


def suspects(tokens: int) -> dict[str, Plan]:
    """All suspects by their names, for so many tokens."""
    pairs = [(i, j) for i in range(tokens) for j in range(i + 1, tokens)]
    next_key = frozenset((i, i + 1) for i in range(tokens - 1))
    last = tokens - 1
    plans = [
        Plan("causal attention"),
        Plan("causal attention whose last bits vary", noisy=True),
        Plan("attention that sees the next key", next_key),
        Plan("attention that sees everything", frozenset(pairs)),
        Plan("attention whose softmax counts the next key", next_key, "key"),
        Plan("attention that mixes in the next value", next_key, "value"),
        Plan("attention whose first query sees the last key", frozenset({(0, last)} if last else ())),
        Plan("attention in which the query before the last sees the last key", frozenset({(last - 1, last)} if last else ())),
        Plan("attention in blocks of two", frozenset(pair for pair in pairs if pair[0] // 2 == pair[1] // 2)),
        Plan("attention that sees the key after the next", frozenset(pair for pair in pairs if pair[1] == pair[0] + 2)),
    ]  # fmt: skip
    return {plan.name: plan for plan in plans}
