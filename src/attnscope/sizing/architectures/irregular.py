"""What single architectures do in a way of their own."""

from collections.abc import Mapping
from dataclasses import replace

from attnscope.errors import ConfigError
from attnscope.sizing.architectures.attention import KINDS as PLAIN_KINDS
from attnscope.sizing.architectures.attention import Builder, Heads, full, sliding
from attnscope.sizing.fields import Fields
from attnscope.sizing.model import Layer


def bigcode_kv_heads(fields: Fields) -> int | None:
    """GPT-BigCode: one key head for all, unless multi_query is off."""
    multi_query = fields.flag("multi_query", otherwise=True)
    fields.ignore("num_key_value_heads")
    return 1 if multi_query else None


def mpt_kv_heads(fields: Fields) -> int | None:
    """MPT: kv_n_heads, within attn_config, where attention is grouped."""
    attention = fields.mapping("attn_config")
    if attention is None:
        return None
    kind = attention.value("attn_type")
    if kind not in (None, "multihead_attention", "multiquery_attention", "grouped_query_attention"):
        raise ConfigError(
            f"{attention.where}attn_type={kind!r}: expected multihead_attention, multiquery_attention or "
            "grouped_query_attention."
        )
    if kind == "multiquery_attention":
        return 1
    heads = attention.optional_integer("kv_n_heads")
    attention.refuse_unread(("attn_.*",))
    return heads


def dbrx_kv_heads(fields: Fields) -> int | None:
    """DBRX: kv_n_heads, within attn_config."""
    attention = fields.mapping("attn_config")
    fields.ignore("num_key_value_heads")
    if attention is None:
        raise ConfigError(f"{fields.where}attn_config is missing: it holds kv_n_heads. Give it: assume=...")
    return attention.integer("kv_n_heads")


def falcon_kv_heads(fields: Fields) -> int | None:
    """Falcon: num_kv_heads in the new decoder architecture, one with multi_query, else as many as query heads."""
    if fields.flag("new_decoder_architecture"):
        fields.ignore("multi_query")
        return fields.optional_integer("num_kv_heads") or fields.integer("num_attention_heads")
    fields.ignore("num_kv_heads")
    if fields.flag("multi_query", otherwise="multi_query" not in fields.given):  # null is false
        return 1
    return fields.integer("num_attention_heads")


def _falcon(fields: Fields, heads: Heads) -> Layer:
    """Transformers repeats each key head of the new architecture before it caches it; other engines do not."""
    layer = full(fields, heads)
    if not fields.flag("new_decoder_architecture"):
        return layer
    return replace(
        layer, rows=tuple(replace(rows, heads_in_transformers=heads.query_heads) for rows in layer.rows)
    )


def _mpt(fields: Fields, heads: Heads) -> Layer:
    """Transformers' MPT knows no kv_n_heads and caches every head; other engines keep the groups."""
    layer = full(fields, heads)
    return replace(
        layer, rows=tuple(replace(rows, heads_in_transformers=heads.query_heads) for rows in layer.rows)
    )


MPT_KINDS: Mapping[str, Builder] = {"full": _mpt}
FALCON_KINDS: Mapping[str, Builder] = {"full": _falcon}


def _gemma4_full(fields: Fields, heads: Heads) -> Layer:
    """Gemma 4's layers that see all have heads of their own size and, where keys are values, of their own number."""
    overrides = fields.value("per_layer_config")
    equal = fields.flag("attention_k_eq_v")
    dim = fields.optional_integer("global_head_dim")
    number = fields.optional_integer("num_global_key_value_heads")
    if isinstance(overrides, Mapping) and overrides:
        kinds = {repr(sorted(each.items())): each for each in overrides.values() if isinstance(each, Mapping)}
        if len(kinds) != 1:
            raise ConfigError(
                f"{fields.where}per_layer_config holds {len(kinds)} kinds of layers: expected one."
            )
        (each,) = kinds.values()
        unknown = sorted(set(map(str, each)) - {"head_dim", "num_key_value_heads"})
        if unknown:
            raise ConfigError(
                f"{fields.where}per_layer_config.{unknown[0]}: not known to be set layer by layer."
            )
        inner = Fields(each, where=f"{fields.where}per_layer_config.", model_type=fields.model_type)
        dim, number = inner.optional_integer("head_dim"), inner.optional_integer("num_key_value_heads")
        equal = True
    if dim is None:
        dim = 512
        fields.fill("global_head_dim", dim, f"the default of {fields.model_type}")
    heads = replace(heads, key_dim=dim, value_dim=dim, kv_heads=(number if equal else None) or heads.kv_heads)
    return full(fields, heads)


GEMMA4_KINDS: Mapping[str, Builder] = {"full": _gemma4_full, "sliding": sliding}


def share_last_layers(fields: Fields, layers: list[Layer]) -> list[Layer]:
    """Gemma 3n and 4: the last num_kv_shared_layers read the keys of an earlier layer of their kind."""
    shared = fields.optional_integer("num_kv_shared_layers", minimum=0) or 0
    if shared >= len(layers):
        raise ConfigError(
            f"{fields.where}num_kv_shared_layers={shared}: expected less than the {len(layers)} layers."
        )
    own = len(layers) - shared
    return layers[:own] + [
        replace(layer, kind=f"{layer.kind}, shared", shared=True) for layer in layers[own:]
    ]


def refuse_unused_windows(fields: Fields, layers: list[Layer]) -> list[Layer]:
    """Qwen2-MoE: without use_sliding_window there is no window, so that no layer can slide."""
    if any(layer.window for layer in layers) and not fields.flag("use_sliding_window"):
        raise ConfigError(
            f"{fields.where}layer_types has sliding layers, and use_sliding_window is not true. "
            "Say which it is: assume={'use_sliding_window': True}."
        )
    return layers


def drop_shared_indexers(fields: Fields, layers: list[Layer]) -> list[Layer]:
    """GLM's and Hunyuan's sparse attention: a layer whose indexer is "shared" keeps no keys for it."""
    words = fields.strings("indexer_types")
    if words is None:
        return layers
    if len(words) != len(layers) or set(words) - {"full", "shared"}:
        raise ConfigError(
            f"{fields.where}indexer_types: expected full or shared for each of {len(layers)} layers."
        )
    return [
        replace(
            layer,
            kind="latent, indexer shared",
            rows=tuple(rows for rows in layer.rows if rows.name != "indexer key"),
            index_heads=0,
        )
        if word == "shared"
        else layer
        for word, layer in zip(words, layers, strict=True)
    ]


def _mimo(kind: str) -> Builder:
    def build(fields: Fields, heads: Heads) -> Layer:
        """MiMo V2: values are smaller than keys, and sliding layers have kv heads of their own."""
        value_dim = fields.integer("v_head_dim")
        kv_heads = heads.kv_heads
        own = fields.optional_integer("swa_num_key_value_heads")
        if kind == "sliding":
            if own is None:
                own = 2 * heads.kv_heads
                fields.fill("swa_num_key_value_heads", own, "twice num_key_value_heads")
            kv_heads = own
        fields.ignore("swa_head_dim", "swa_v_head_dim", "swa_num_attention_heads")
        return PLAIN_KINDS[kind](fields, replace(heads, value_dim=value_dim, kv_heads=kv_heads))

    return build


MIMO_KINDS: Mapping[str, Builder] = {"full": _mimo("full"), "sliding": _mimo("sliding")}
