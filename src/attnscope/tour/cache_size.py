"""The size of the KV cache of a text: the keys and values that are kept for the next tokens."""

from dataclasses import dataclass

from attnscope.models import Transformer

BFLOAT16_BYTES = 2


@dataclass(frozen=True)
class CacheSize:
    """The cache of so many tokens in one model; the formula computes bytes_per_token."""

    model: str
    formula: str
    bytes_per_token: int
    tokens: int
    total_bytes: int


def cache_sizes(model: Transformer, tokens: int) -> list[CacheSize]:
    """The cache of the tour's model for a text, and that of a well-known model for as many tokens.

    bytes per token = layers * kv_heads * (key_dim + value_dim) * bytes_per_element

    References
    ----------
    Llama 3 8B, 32 layers with 8 kv heads of 128: "The Llama 3 Herd of Models", arXiv:2407.21783, table 3.
    """
    return [hand_written_model(model, tokens), llama_3_8b(tokens)]


def hand_written_model(model: Transformer, tokens: int) -> CacheSize:
    parts, numbers = [], 0
    for layer in model.layers:
        heads, key_dim, value_dim = len(layer.names), layer.w_k.shape[-1], layer.w_v.shape[-1]
        parts.append(f"{heads} x ({key_dim} + {value_dim})")
        numbers += heads * (key_dim + value_dim)
    element_bytes = model.embedding.itemsize
    formula = f"({' + '.join(parts)}) x {element_bytes} bytes"
    return CacheSize("this model", formula, numbers * element_bytes, tokens, numbers * element_bytes * tokens)


def llama_3_8b(tokens: int, *, layers: int = 32, kv_heads: int = 8, head_dim: int = 128) -> CacheSize:
    """In bfloat16.

    >>> llama_3_8b(tokens=8192).total_bytes / 2**30
    1.0
    """
    bytes_per_token = layers * kv_heads * (head_dim + head_dim) * BFLOAT16_BYTES
    formula = f"{layers} layers x {kv_heads} heads x ({head_dim} + {head_dim}) x {BFLOAT16_BYTES} bytes"
    return CacheSize("Llama 3 8B", formula, bytes_per_token, tokens, bytes_per_token * tokens)
