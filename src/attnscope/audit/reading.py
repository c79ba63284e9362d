"""How a call is understood: everything that its answer follows from. A mistake is another reading of the same call."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from attnscope.audit.case import Call
from attnscope.audit.contract import Contract
from attnscope.audit.visibility import joined, masks_of
from attnscope.problem import Mask
from attnscope.reference import Inputs, masked_scores, mix, quietly, read, softmax

Floats = NDArray[np.float64]
Answering = Callable[[Inputs], tuple[Floats, Floats]]


def by_definition(inputs: Inputs) -> tuple[Floats, Floats]:
    """(output, logsumexp), as the reference defines them."""
    row_weights, logsumexp = softmax(masked_scores(inputs), inputs.visible, inputs.sinks)
    return mix(row_weights, inputs.visible, inputs.value), logsumexp


@dataclass(frozen=True, eq=False)
class Reading:
    """A call in float64, one kv head for each query head, and the way from there to its answer."""

    call: Call
    contract: Contract
    masks: dict[str, Mask]
    inputs: Inputs
    answering: Answering = by_definition

    @classmethod
    def of(cls, call: Call, contract: Contract) -> Self:
        """Read a call as its contract says."""
        masks = masks_of(call, contract)
        scoring: dict[str, Any] = {
            name: call.options[name] for name in ("scale", "softcap", "bias", "sinks") if name in call.options
        }
        _, _, inputs = read(*call.arrays, mask=joined(masks), **scoring)
        return cls(call, contract, masks, inputs)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Batch, query_heads, query_len, key_len."""
        batch, heads, query_len, key_len = self.inputs.visible.shape
        return batch, heads, query_len, key_len

    @property
    def kv_heads(self) -> int:
        """How many key heads the call has."""
        heads: int = self.call.key.shape[1]
        return heads

    @property
    def group(self) -> int:
        """How many query heads share a key head."""
        return self.shape[1] // self.kv_heads

    @property
    def first_position(self) -> int:
        """Where the first query stands."""
        offset = self.contract.offset
        return self.shape[3] - self.shape[2] if offset is None else offset

    def but(self, **changes: Any) -> "Reading":
        """The same with other inputs."""
        return replace(self, inputs=replace(self.inputs, **changes))

    def answered(self, answering: Answering) -> "Reading":
        """The same inputs, another way from there."""
        return replace(self, answering=answering)

    @quietly
    def answer(self) -> tuple[Floats, Floats]:
        """(output, logsumexp)."""
        return self.answering(self.inputs)
