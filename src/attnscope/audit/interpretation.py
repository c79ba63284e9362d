"""How a call is interpreted: everything that its answer follows from. A known mistake is another interpretation."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from attnscope.audit.case import Call, Case
from attnscope.audit.contract import Contract
from attnscope.audit.options import BY_NAME, SCORING, masks_of
from attnscope.problem import Mask
from attnscope.reference import Inputs, masked_scores, mix, quietly, read, softmax

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Answering = Callable[[Inputs], tuple[Floats, Floats]]


class Row(NamedTuple):
    """A row of the output."""

    batch: int
    head: int
    query: int

    def words(self, case: Case) -> str:
        """The row in words, naming head and batch item if there are several."""
        said = [f"query {self.query}"]
        said += [f"head {self.head}"] if case.sizes.query_heads > 1 else []
        said += [f"batch item {self.batch}"] if case.sizes.batch > 1 else []
        return " of ".join(said)


def by_definition(inputs: Inputs) -> tuple[Floats, Floats]:
    """(output, logsumexp) as the reference defines them."""
    row_weights, logsumexp = softmax(masked_scores(inputs), inputs.visible, inputs.sinks)
    return mix(row_weights, inputs.visible, inputs.value), logsumexp


def scoring_of(call: Call) -> dict[str, Any]:
    """The options of a call that the reference takes as they are."""
    return {name: call.options[name] for name in SCORING if name in call.options}


@dataclass(frozen=True, eq=False)
class Interpretation:
    """A call in float64, with one kv head per query head, and the way from there to its answer.

    Parameters
    ----------
    call, contract : Call, Contract
        What is interpreted, and what is claimed of it.
    masks : dict
        The mask that each option stands for.
    inputs : Inputs
        What the reference computes with.
    answering : callable
        inputs -> (output, logsumexp).
    """

    call: Call
    contract: Contract
    masks: dict[str, Mask]
    inputs: Inputs
    answering: Answering = by_definition

    @classmethod
    def of(cls, call: Call, contract: Contract) -> Self:
        """Interpret a call as its contract states."""
        always = {"causal": True} if contract.causal == "always" else {}
        masks = masks_of(always | call.options, contract.offset)
        _, _, inputs = read(*call.arrays, mask=joined(masks), **scoring_of(call))
        return cls(call, contract, masks, inputs)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Batch, query_heads, query_len, key_len."""
        batch, heads, query_len, key_len = self.inputs.visible.shape
        return batch, heads, query_len, key_len

    @property
    def kv_heads(self) -> int:
        """The number of key heads of the call."""
        heads: int = self.call.key.shape[1]
        return heads

    @property
    def group(self) -> int:
        """How many query heads share a key head."""
        return self.shape[1] // self.kv_heads

    @property
    def first_position(self) -> int:
        """The position of the first query."""
        offset = self.contract.offset
        return self.shape[3] - self.shape[2] if offset is None else offset

    @property
    def positions(self) -> NDArray[np.int64]:
        """Positions of the queries, (query_len, 1)."""
        return self.first_position + np.arange(self.shape[2])[:, None]

    @property
    def keys(self) -> NDArray[np.int64]:
        """Positions of the keys, (key_len,)."""
        return np.arange(self.shape[3])

    def but(self, **changes: Any) -> "Interpretation":
        """The same with other inputs."""
        return replace(self, inputs=replace(self.inputs, **changes))

    def answered(self, answering: Answering) -> "Interpretation":
        """The same inputs, another way from there."""
        return replace(self, answering=answering)

    @quietly
    def answer(self) -> tuple[Floats, Floats]:
        """(output, logsumexp)."""
        return self.answering(self.inputs)

    def shown_by(self, *options: str) -> Bools:
        """What these options show together, (batch, query_heads, query_len, key_len)."""
        batch, heads, query_len, key_len = self.shape
        shape = (batch, heads, query_len, key_len) if batch * heads > 1 else (1, 1, query_len, key_len)
        visible = np.ones(self.shape, np.bool_)
        for name in options:
            shown = self.masks[name].visible(query_len, key_len, batch=batch, heads=heads)
            visible &= shown.reshape(shape)
        return visible

    def without(self, option: str) -> Bools:
        """What all other options show."""
        return self.shown_by(*(name for name in self.masks if name != option))

    def seeing(self, option: str, instead: Bools | None) -> "Interpretation | None":
        """The call with other visible slots for one of its options; None: the option hides nothing."""
        if option not in self.masks:
            return None
        visible = self.without(option)
        return self.but(visible=visible if instead is None else visible & instead)

    def why_hidden(self, row: Row, key: int) -> dict[str, str]:
        """The options that hide a key from a row, with reasons: "causal hides (key 7 comes after query 3)"."""
        _, _, query_len, key_len = self.shape
        found: dict[str, str] = {}
        for name, mask in self.masks.items():
            text = mask.explain(
                query=row.query, key=key, query_len=query_len, key_len=key_len, batch=row.batch, head=row.head
            )
            verdict, _, reason = text.partition(": ")
            if verdict == "hidden":
                why = "" if name in ("key_mask", "mask") else reason.partition(", ")[2]
                found[name] = BY_NAME[name].hides + (f" ({why})" if why else "")
        return found


def joined(masks: dict[str, Mask]) -> Mask | None:
    """What all masks show."""
    whole: Mask | None = None
    for mask in masks.values():
        whole = mask if whole is None else whole & mask
    return whole
