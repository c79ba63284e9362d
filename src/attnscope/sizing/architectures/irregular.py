"""Rules that only one or two architectures have."""

from collections.abc import Mapping
from dataclasses import replace

from attnscope.arguments import brief, one_line
from attnscope.errors import ConfigError
from attnscope.sizing.architectures.attention import Builder, Heads, full, latent, sliding
from attnscope.sizing.fields import Fields
from attnscope.sizing.model import Layer


def bigcode_kv_heads(fields: Fields) -> int | None:
    """GPT-BigCode: one key head for all, unless multi_query is off."""
    multi_query = fields.flag("multi_query", otherwise=True)
    fields.ignore("num_key_value_heads")
    return 1 if multi_query else None


def mpt_kv_heads(fields: Fields) -> int | None:
    """MPT: kv_n_heads, within attn_config, if attention is grouped."""
    attention = fields.mapping("attn_config")
    if attention is None:
        return None
    kind = attention.value("attn_type")
    if kind not in (None, "multihead_attention", "multiquery_attention", "grouped_query_attention"):
        raise ConfigError(
            f"{attention.prefix}attn_type={brief(kind)}: expected multihead_attention, multiquery_attention "
            "or grouped_query_attention."
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
        raise ConfigError(
            f"{fields.prefix}attn_config is missing: it contains kv_n_heads. Give it: "
            f"assume={{'attn_config': {{'kv_n_heads': ...}}}}."
        )
    return attention.integer("kv_n_heads")


def falcon_kv_heads(fields: Fields) -> int | None:
    """Falcon: num_kv_heads in the new architecture, 1 with multi_query, else as many as query heads."""
    if fields.flag("new_decoder_architecture"):
        fields.ignore("multi_query")
        return fields.optional_integer("num_kv_heads") or fields.integer("num_attention_heads")
    fields.ignore("num_kv_heads")
    if fields.flag("multi_query", otherwise="multi_query" not in fields.given):  # null is false
        return 1
    return fields.integer("num_attention_heads")


def _falcon(fields: Fields, heads: Heads) -> Layer:
    """Transformers repeats the key heads of the new architecture before caching; other engines do not."""
    layer = full(fields, heads)
    if not fields.flag("new_decoder_architecture"):
        return layer
    return replace(
        layer, rows=tuple(replace(rows, heads_in_transformers=heads.query_heads) for rows in layer.rows)
    )


def _mpt(fields: Fields, heads: Heads) -> Layer:
    """Transformers' MPT ignores kv_n_heads and caches every head; other engines keep the groups."""
    layer = full(fields, heads)
    return replace(
        layer, rows=tuple(replace(rows, heads_in_transformers=heads.query_heads) for rows in layer.rows)
    )


MPT_KINDS: Mapping[str, Builder] = {"full": _mpt}
FALCON_KINDS: Mapping[str, Builder] = {"full": _falcon}


def _gemma4_full(fields: Fields, heads: Heads) -> Layer:
    """Gemma 4's full layers have their own head size and, if keys are values, their own number of heads."""
    overrides = fields.value("per_layer_config")
    equal = fields.flag("attention_k_eq_v")
    dim = fields.optional_integer("global_head_dim")
    number = fields.optional_integer("num_global_key_value_heads")
    if isinstance(overrides, Mapping) and overrides:
        kinds = {repr(sorted(each.items())): each for each in overrides.values() if isinstance(each, Mapping)}
        if len(kinds) != 1:
            raise ConfigError(
                f"{fields.prefix}per_layer_config holds {len(kinds)} kinds of layers: expected one."
            )
        (each,) = kinds.values()
        unknown = sorted(set(map(str, each)) - {"head_dim", "num_key_value_heads"})
        if unknown:
            raise ConfigError(
                f"{fields.prefix}per_layer_config.{one_line(unknown[0])} is not known to be set by layer."
            )
        inner = Fields(each, prefix=f"{fields.prefix}per_layer_config.", model_type=fields.model_type)
        dim, number = inner.optional_integer("head_dim"), inner.optional_integer("num_key_value_heads")
        equal = True
    if dim is None:
        dim = 512
        fields.fill("global_head_dim", dim, f"the default of {fields.model_type}")
    heads = replace(heads, key_dim=dim, value_dim=dim, kv_heads=(number if equal else None) or heads.kv_heads)
    return full(fields, heads)


GEMMA4_KINDS: Mapping[str, Builder] = {"full": _gemma4_full, "sliding": sliding}


def share_last_layers(fields: Fields, layers: list[Layer]) -> list[Layer]:
    """Gemma 3n and 4: the last num_kv_shared_layers layers read an earlier layer's keys."""
    shared = fields.optional_integer("num_kv_shared_layers", minimum=0) or 0
    if shared >= len(layers):
        raise ConfigError(
            f"{fields.prefix}num_kv_shared_layers={shared}: expected less than the {len(layers)} layers."
        )
    own = len(layers) - shared
    return layers[:own] + [
        replace(layer, kind=f"{layer.kind}, shared", shared=True) for layer in layers[own:]
    ]


def refuse_unused_windows(fields: Fields, layers: list[Layer]) -> list[Layer]:
    """Qwen2-MoE: without use_sliding_window there is no window, so no layer can slide."""
    if any(layer.window for layer in layers) and not fields.flag("use_sliding_window"):
        raise ConfigError(
            f"{fields.prefix}layer_types has sliding layers, and use_sliding_window is not true. "
            "Decide which: assume={'use_sliding_window': True}."
        )
    return layers


def drop_shared_indexers(fields: Fields, layers: list[Layer]) -> list[Layer]:
    """GLM's and Hunyuan's sparse attention: a layer whose indexer is "shared" caches no keys for it."""
    words = fields.strings("indexer_types")
    if words is None:
        return layers
    if len(words) != len(layers) or set(words) - {"full", "shared"}:
        raise ConfigError(
            f"{fields.prefix}indexer_types: expected full or shared for each of {len(layers)} layers."
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


def latent_of_minicpm3(fields: Fields, heads: Heads) -> Layer:
    """MiniCPM3: without v_head_dim a value has hidden_size / num_attention_heads numbers."""
    if fields.value("v_head_dim") is None:
        dim = heads.hidden_size // heads.query_heads
        fields.fill("v_head_dim", dim, "hidden_size / num_attention_heads")
        return latent(fields, heads, value_dim=dim)
    return latent(fields, heads)


def mimo_layers(fields: Fields, layers: int) -> list[str]:
    """MiMo V2: the first layer and every sixth one see all tokens."""
    return ["full" if i == 0 or i % 6 == 5 else "sliding" for i in range(layers)]


def _mimo(kind: str) -> Builder:
    """MiMo V2: values are smaller than keys, and sliding layers have their own kv heads and window."""

    def build(fields: Fields, heads: Heads) -> Layer:
        heads = replace(heads, value_dim=fields.integer("v_head_dim"))
        own_heads = fields.optional_integer("swa_num_key_value_heads")
        neighbours = fields.optional_integer("sliding_window_size")  # without the query's own token
        fields.ignore("swa_head_dim", "swa_v_head_dim", "swa_num_attention_heads")
        if kind != "sliding":
            return full(fields, heads)
        if own_heads is None:
            own_heads = 2 * heads.kv_heads
            fields.fill("swa_num_key_value_heads", own_heads, "twice num_key_value_heads")
        layer = sliding(fields, replace(heads, kv_heads=own_heads))
        return layer if neighbours is None else replace(layer, window=neighbours + 1)

    return build


MIMO_KINDS: Mapping[str, Builder] = {"full": _mimo("full"), "sliding": _mimo("sliding")}
