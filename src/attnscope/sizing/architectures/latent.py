"""Latent attention (MLA): one compressed row a token for all heads, and the keys of a sparse indexer."""

from dataclasses import replace

from attnscope.sizing.architectures.attention import Heads
from attnscope.sizing.fields import Fields
from attnscope.sizing.model import Layer, Rows


def latent(fields: Fields, heads: Heads) -> Layer:
    """kv_lora_rank + qk_rope_head_dim numbers a token, for all heads together and not twice.

    Source
        "DeepSeek-V2", arXiv:2405.04434, section 2.1; cached so by Transformers 5.23, vLLM and llama.cpp.
    """
    rank = fields.whole("kv_lora_rank")
    rotary = fields.whole("qk_rope_head_dim")
    plain = fields.whole("qk_nope_head_dim")
    value = fields.whole("v_head_dim")
    query_rank = fields.maybe_whole("q_lora_rank")
    fields.leave("qk_head_dim", "head_dim", "num_key_value_heads")
    queries = heads.query_heads * (plain + rotary)
    weights = heads.hidden_size * (query_rank or queries) + (query_rank * queries if query_rank else 0)
    weights += heads.hidden_size * (rank + rotary) + rank * heads.query_heads * (plain + value)
    return Layer(
        "latent",
        (Rows("latent", 1, rank), Rows("rotary key", 1, rotary)),
        query_heads=heads.query_heads,
        key_dim=plain + rotary,
        value_dim=value,
        attention_weights=weights + heads.query_heads * value * heads.hidden_size,
    )


def indexed(fields: Fields, heads: Heads) -> Layer:
    """Latent attention whose indexer keeps a key of its own: index_head_dim numbers more.

    Source
        "DeepSeek-V3.2", arXiv:2512.02556, section 2.1.
    """
    layer = latent(fields, heads)
    dim = fields.whole("index_head_dim")
    index_heads = fields.whole("index_n_heads")
    queries = (fields.maybe_whole("q_lora_rank") or heads.hidden_size) * index_heads * dim
    return replace(
        layer,
        kind="indexed latent",
        rows=(*layer.rows, Rows("indexer key", 1, dim)),
        attention_weights=layer.attention_weights + queries + heads.hidden_size * (dim + index_heads),
        index_heads=index_heads,
        index_tokens=fields.maybe_whole("index_topk"),
    )
