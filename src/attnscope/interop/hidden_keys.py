"""Keys hidden from the last rows of one full pass: the definition that a shared prefix is compared with."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from attnscope.attention import attention
from attnscope.errors import UnsupportedProblemError
from attnscope.interop.shared_prefix import attended_by, logits_of_last
from attnscope.interop.transformers_attention import Call, Observer
from attnscope.problem import Dense


@dataclass(eq=False, kw_only=True)
class KeysHidden(Observer):
    """From row `first_row` on, no row sees the hidden keys, except each its own: in every layer."""

    first_row: int
    hidden: NDArray[np.bool_]

    def attend(self, module: torch.nn.Module, call: Call) -> NDArray[Any]:
        rows, keys = call.query.shape[2], call.key.shape[2]
        if rows != keys:
            raise UnsupportedProblemError(
                f"{type(module).__name__} attends {rows} queries to {keys} keys in one pass, "
                "expected the keys of the same text."
            )
        shown = np.ones((rows, keys), np.bool_)
        shown[self.first_row :, self.hidden] = False
        np.fill_diagonal(shown, val=True)
        options = dict(call.options)
        mask = options.pop("mask", None)
        both = Dense(shown) if mask is None else mask & Dense(shown)
        return attention(call.query, call.key, call.value, mask=both, **options)


@torch.inference_mode()  # type: ignore[untyped-decorator]
def logits_of_pass(
    model: Any,
    ids: NDArray[np.int64],
    last: int,
    *,
    first_row: int = 0,
    hidden: NDArray[np.bool_] | None = None,
) -> Any:
    """Run a model once on a whole text, and return the logits of its last rows.

    Parameters
    ----------
    model : PreTrainedModel
        A causal model.
    ids : ndarray of int64, (tokens,)
        The text.
    last : int
        The number of rows.
    first_row : int
        The first row that does not see the hidden keys.
    hidden : ndarray of bool, (tokens,), optional
        The hidden keys. None: the model runs with its own attention.

    Returns
    -------
    Tensor, (last, vocabulary)
        The logits.
    """
    given = {"input_ids": torch.from_numpy(ids[None]), "use_cache": False, **logits_of_last(model, last)}
    if hidden is None:
        return model(**given).logits[0, -last:]
    with attended_by(model, KeysHidden(first_row=first_row, hidden=hidden)):
        return model(**given).logits[0, -last:]
