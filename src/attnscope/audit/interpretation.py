"""The interpretation of a call: all that determines its answer. A known mistake is another interpretation."""

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
        """The row in words, with head and batch item if there are several."""
        words = [f"query {self.query}"]
        words += [f"head {self.head}"] if case.sizes.query_heads > 1 else []
        words += [f"batch item {self.batch}"] if case.sizes.batch > 1 else []
        return " of ".join(words)


def by_definition(inputs: Inputs) -> tuple[Floats, Floats]:
    """(output, logsumexp) as the reference defines them."""
    row_weights, logsumexp = softmax(masked_scores(inputs), inputs.visible, inputs.sinks)
    return mix(row_weights, inputs.visible, inputs.value), logsumexp


def scoring_of(call: Call) -> dict[str, Any]:
    """The scoring options of a call."""
    return {name: call.options[name] for name in SCORING if name in call.options}


@dataclass(frozen=True, eq=False)
class Interpretation:
    """A call in float64 with one kv head per query head, and the computation of its answer.

    Parameters
    ----------
    call, contract : Call, Contract
        The call, and the contract that states its meaning.
    masks : dict
        The mask that each option stands for.
    inputs : Inputs
        The inputs of the reference.
    answering : callable
        inputs -> (output, logsumexp).
    local : bool
        Whether `answering` treats each batch item and head on its own.
    """

    call: Call
    contract: Contract
    masks: dict[str, Mask]
    inputs: Inputs
    answering: Answering = by_definition
    local: bool = True

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
        """The number of kv heads of the call."""
        heads: int = self.call.key.shape[1]
        return heads

    @property
    def group(self) -> int:
        """The number of query heads per kv head."""
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
        """The same interpretation with some inputs changed."""
        return replace(self, inputs=replace(self.inputs, **changes))

    def answered(self, answering: Answering, *, local: bool = True) -> "Interpretation":
        """The same inputs with another computation."""
        return replace(self, answering=answering, local=local)

    @quietly
    def answer(self) -> tuple[Floats, Floats]:
        """(output, logsumexp)."""
        return self.answering(self.inputs)

    def of_head(self, one: tuple[int, int]) -> Inputs:
        """The inputs of one batch item and query head."""
        batch, head = one
        arrays = {
            name: getattr(self.inputs, name)[batch : batch + 1, head : head + 1]
            for name in ("query", "key", "value", "visible", "bias")
            if getattr(self.inputs, name) is not None
        }
        sinks = self.inputs.sinks
        return replace(self.inputs, **arrays, sinks=None if sinks is None else sinks[head : head + 1])

    def shown_by(self, *options: str) -> Bools:
        """The slots that all these options show, (batch, query_heads, query_len, key_len); read-only."""
        known: dict[tuple[str, ...], Bools] = self.__dict__.setdefault("_shown", {})
        if options not in known:
            known[options] = self._shown_by(options)
        return known[options]

    def _shown_by(self, options: tuple[str, ...]) -> Bools:
        batch, heads, query_len, key_len = self.shape
        shape = (batch, heads, query_len, key_len) if batch * heads > 1 else (1, 1, query_len, key_len)
        visible = np.ones(self.shape, np.bool_)
        for name in options:
            shown = self.masks[name].visible(query_len, key_len, batch=batch, heads=heads)
            visible &= shown.reshape(shape)
        return visible

    def without(self, option: str) -> Bools:
        """The slots that all other options show."""
        return self.shown_by(*(name for name in self.masks if name != option))

    def seeing(self, option: str, instead: Bools | None) -> "Interpretation | None":
        """The call with other visible slots for one option; `instead=None`: the option hides nothing."""
        if option not in self.masks:
            return None
        visible = self.without(option)
        return self.but(visible=visible if instead is None else visible & instead)

    def why_hidden(self, row: Row, key: int) -> dict[str, str]:
        """The options that hide a key from a row: "causal hides (key 7 comes after query 3)"."""
        _, _, query_len, key_len = self.shape
        found: dict[str, str] = {}
        for name, mask in self.masks.items():
            visible, reasons = mask.why(
                query=row.query, key=key, query_len=query_len, key_len=key_len, batch=row.batch, head=row.head
            )
            if not visible:
                texts = [] if name in ("key_mask", "mask") else [reason.text for reason in reasons]
                found[name] = BY_NAME[name].hides + "".join(f" ({text})" for text in texts)
        return found


def joined(masks: dict[str, Mask]) -> Mask | None:
    """The mask that shows what all masks show; None if there are none."""
    whole: Mask | None = None
    for mask in masks.values():
        whole = mask if whole is None else whole & mask
    return whole
