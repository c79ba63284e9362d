"""attention() on torch's tensors; and torch's own attention for an audit, on NumPy arrays."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from attnscope.audit import Contract, torch_function
from attnscope.interop.torch_attention import attention as attention

HEADS = "enable_gqa"


def _scaled_dot_product_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    causal: bool = False,
    mask: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    scale: float | None = None,
) -> torch.Tensor:
    """Call torch's scaled_dot_product_attention, whose attn_mask is our mask (bool) or bias (float)."""
    given: dict[str, Any] = {"is_causal": causal}
    if mask is not None and bias is not None:
        given["attn_mask"] = bias.masked_fill(~mask, -torch.inf)
    elif mask is not None or bias is not None:
        given["attn_mask"] = mask if bias is None else bias
    if scale is not None:
        given["scale"] = scale
    if query.shape[1] != key.shape[1]:
        given[HEADS] = True
    return torch.nn.functional.scaled_dot_product_attention(query, key, value, **given)


scaled_dot_product_attention = torch_function(_scaled_dot_product_attention)
scaled_dot_product_attention.contract = Contract(  # type: ignore[attr-defined]
    causal=True, mask=True, bias=True, grouped_heads=True, scale=True
)


class MultiHeadAttention:
    """torch.nn.MultiheadAttention with identity projections, so that an audit sees its attention alone.

    A mask of torch's module is True for a hidden key; here, as everywhere in attnscope, True is visible. The
    module's dims are heads * key_dim, so a new module is made for each shape.
    """

    contract = Contract(key_mask=True, mask=True)

    def __call__(
        self,
        query: NDArray[Any],
        key: NDArray[Any],
        value: NDArray[Any],
        *,
        key_mask: NDArray[np.bool_] | None = None,
        mask: NDArray[np.bool_] | None = None,
    ) -> NDArray[Any]:
        batch, heads, query_len, dim = query.shape
        module = self.module(heads, dim)
        rows = [
            torch.from_numpy(np.ascontiguousarray(array.swapaxes(1, 2))).flatten(2)
            for array in (query, key, value)
        ]
        given: dict[str, Any] = {}
        if key_mask is not None:
            given["key_padding_mask"] = ~torch.from_numpy(key_mask)
        if mask is not None:
            every_head = np.broadcast_to(mask, (batch, heads, query_len, key.shape[2]))
            given["attn_mask"] = ~torch.from_numpy(every_head.reshape(batch * heads, query_len, -1).copy())
        with torch.no_grad():
            output, _ = module(*rows, need_weights=False, **given)
        mixed: NDArray[Any] = output.unflatten(2, (heads, dim)).transpose(1, 2).numpy()
        return mixed

    def module(self, heads: int, dim: int) -> torch.nn.MultiheadAttention:
        """Make a module whose four projections are the identity.

        Parameters
        ----------
        heads, dim : int
            Heads, and numbers per head.

        Returns
        -------
        torch.nn.MultiheadAttention
            In evaluation mode.
        """
        with torch.random.fork_rng(devices=[]):  # its weights are drawn, then replaced
            module = torch.nn.MultiheadAttention(heads * dim, heads, bias=False, batch_first=True).eval()
        with torch.no_grad():
            module.in_proj_weight.copy_(torch.eye(heads * dim).repeat(3, 1))
            module.out_proj.weight.copy_(torch.eye(heads * dim))
        return module
