"""One text through a model: whole, in chunks, and token by token beside a cache."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def cache_of(kind: str, model: Any, tokens: int) -> Any:
    """An empty cache of Transformers' own."""
    from transformers import DynamicCache, StaticCache

    if kind == "dynamic":
        return DynamicCache(config=model.config)
    return StaticCache(config=model.config, max_cache_len=tokens + 9)


def logits_beside_a_cache(
    model: Any,
    implementation: str,
    kind: str,
    chunks: Sequence[int],
    input_ids: Any,
    attention_mask: Any = None,
    **options: Any,
) -> NDArray[np.float64]:
    """What the model answers, given the text in chunks of so many tokens."""
    import torch

    before = model.config._attn_implementation
    model.set_attn_implementation(implementation)
    cache, answered, start = cache_of(kind, model, input_ids.shape[1]), [], 0
    with torch.inference_mode():
        for tokens in chunks:
            end = start + tokens
            inputs = {} if attention_mask is None else {"attention_mask": attention_mask[:, :end]}
            chunk = input_ids[:, start:end]
            answered.append(
                model(input_ids=chunk, past_key_values=cache, use_cache=True, **inputs, **options)[0]
            )
            start = end
    model.set_attn_implementation(before)
    joined: NDArray[np.float64] = torch.cat(answered, dim=1).double().numpy()
    return joined
