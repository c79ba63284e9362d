"""Attention layers: keys and values per head (full, sliding, chunked), or one row for all heads (latent)."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from attnscope.errors import ConfigError
from attnscope.sizing.fields import Fields
from attnscope.sizing.model import Layer, Rows

MOST_LAYERS = 4096
KV_HEADS = ("num_key_value_heads",)


@dataclass(frozen=True)
class Names:
    """The names of an architecture's sizes; errors use the first name.

    Without a name for kv_heads, every query head has its own. Without a name for head_dim, or if the file has
    none, it is factor * hidden / query_heads.
    """

    layers: tuple[str, ...] = ("num_hidden_layers",)
    hidden: tuple[str, ...] = ("hidden_size",)
    query_heads: tuple[str, ...] = ("num_attention_heads",)
    kv_heads: tuple[str, ...] = KV_HEADS
    head_dim: tuple[str, ...] = ("head_dim",)
    factor: int = 1


@dataclass(frozen=True)
class Heads:
    """The heads of a layer, as the config defines them."""

    hidden_size: int
    query_heads: int
    kv_heads: int
    key_dim: int
    value_dim: int


def check_layers(fields: Fields, name: str, number: int) -> None:
    """Raise ConfigError if there are more layers than any model has."""
    if number > MOST_LAYERS:
        raise ConfigError(f"{fields.prefix}{name}={number}: expected at most {MOST_LAYERS} layers.")


def check_divided(fields: Fields, names: Names, hidden: int, query_heads: int) -> None:
    """Raise ConfigError if the heads do not divide the width, as the architecture's class does."""
    if hidden % query_heads:
        raise ConfigError(
            f"{fields.prefix}{fields.present(names.hidden)}={hidden} is not a multiple of "
            f"{fields.present(names.query_heads)}={query_heads}: {fields.model_type} cannot be built so. "
            "Correct the file."
        )


def read_heads(fields: Fields, names: Names, kv_heads: int | None = None) -> Heads:
    """hidden_size, heads and head_dim; without num_key_value_heads, every query head has its own keys."""
    hidden = fields.integer(*names.hidden)
    query_heads = fields.integer(*names.query_heads)
    if kv_heads is None:
        kv_heads = _read_kv_heads(fields, names, query_heads)
    if query_heads % kv_heads:
        raise ConfigError(
            f"{fields.prefix}{names.query_heads[0]}={query_heads} cannot share "
            f"{_first(names.kv_heads, KV_HEADS)}={kv_heads}: each kv head must serve the same number of "
            "query heads. Correct the file."
        )
    head_dim = _read_head_dim(fields, names, hidden, query_heads)
    return Heads(hidden, query_heads, kv_heads, head_dim, head_dim)


def _read_kv_heads(fields: Fields, names: Names, query_heads: int) -> int:
    if names.kv_heads:
        return fields.integer(
            *names.kv_heads, otherwise=query_heads, why=f"as many as {names.query_heads[0]}"
        )
    _check_derived(fields, KV_HEADS, query_heads, names.query_heads[0])
    return query_heads


def _read_head_dim(fields: Fields, names: Names, hidden: int, query_heads: int) -> int:
    derived = names.factor * hidden // query_heads
    head_dim = fields.optional_integer(*names.head_dim) if names.head_dim else None
    if head_dim is not None:
        return head_dim
    if derived < 1:
        raise ConfigError(
            f"{fields.prefix}{names.hidden[0]}={hidden} is less than {names.query_heads[0]}={query_heads}: "
            f"no head has a number left. Correct the file, or give head_dim: assume={{'head_dim': ...}}."
        )
    why = f"{f'{names.factor} * ' if names.factor > 1 else ''}{names.hidden[0]} / {names.query_heads[0]}"
    if names.head_dim:
        fields.fill(names.head_dim[0], derived, why)
    else:
        _check_derived(fields, ("head_dim",), derived, why)
    return derived


def _check_derived(fields: Fields, names: tuple[str, ...], derived: int, why: str) -> None:
    """Refuse a field that the architecture does not have, unless its value is the derived one."""
    given = fields.optional_integer(*names)
    if given not in (None, derived):
        name = next(name for name in names if fields.given.get(name) is not None)
        raise ConfigError(
            f"{fields.prefix}{name}={given}: {fields.model_type} has no such field, it is always {why} = "
            f"{derived}. If it does not matter: assume={{{name!r}: None}}."
        )


def _first(names: tuple[str, ...], otherwise: tuple[str, ...]) -> str:
    return (names or otherwise)[0]


def rows_of(heads: Heads) -> tuple[Rows, Rows]:
    """One key and one value per head."""
    return Rows("key", heads.kv_heads, heads.key_dim), Rows("value", heads.kv_heads, heads.value_dim)


def projections(heads: Heads) -> int:
    """Parameters of the query, key, value and output matrices."""
    query = heads.query_heads * heads.key_dim
    key_value = heads.kv_heads * (heads.key_dim + heads.value_dim)
    return heads.hidden_size * (query + key_value + heads.query_heads * heads.value_dim)


def full(fields: Fields, heads: Heads) -> Layer:
    """A layer that sees all tokens and caches a key and a value of each."""
    return Layer(
        "full",
        rows_of(heads),
        query_heads=heads.query_heads,
        key_dim=heads.key_dim,
        value_dim=heads.value_dim,
        attention_weights=projections(heads),
    )


def sliding(fields: Fields, heads: Heads) -> Layer:
    """A layer that sees the last sliding_window tokens, including the query's own."""
    if fields.value("use_bidirectional_attention") in (True, "all"):
        raise ConfigError(
            f"{fields.prefix}use_bidirectional_attention: such a model embeds text, and its windows differ. "
            "If it generates: assume={'use_bidirectional_attention': None}."
        )
    return replace(full(fields, heads), kind="sliding", window=fields.integer("sliding_window"))


def chunked(fields: Fields, heads: Heads) -> Layer:
    """A layer that sees the chunk of attention_chunk_size tokens that contains the query."""
    return replace(full(fields, heads), kind="chunked", window=fields.integer("attention_chunk_size"))


def latent(fields: Fields, heads: Heads, value_dim: int | None = None) -> Layer:
    """Latent attention: kv_lora_rank + qk_rope_head_dim numbers per token, for all heads, keys and values.

    "DeepSeek-V2", arXiv:2405.04434, section 2.1; Transformers 5.23, vLLM and llama.cpp cache it so.
    """
    rank = fields.integer("kv_lora_rank")
    rotary = fields.integer("qk_rope_head_dim")
    plain = fields.integer("qk_nope_head_dim")
    value = value_dim or fields.integer("v_head_dim")
    query_rank = fields.optional_integer("q_lora_rank")
    fields.ignore("qk_head_dim", "head_dim", "num_key_value_heads")
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
    """Latent attention with an indexer that caches its own key: index_head_dim numbers more.

    "DeepSeek-V3.2", arXiv:2512.02556, section 2.1.
    """
    layer = latent(fields, heads)
    dim = fields.integer("index_head_dim")
    index_heads = fields.integer("index_n_heads")
    queries = (fields.optional_integer("q_lora_rank") or heads.hidden_size) * index_heads * dim
    return replace(
        layer,
        kind="indexed latent",
        rows=(*layer.rows, Rows("indexer key", 1, dim)),
        attention_weights=layer.attention_weights + queries + heads.hidden_size * (dim + index_heads),
        index_heads=index_heads,
        index_tokens=fields.optional_integer("index_topk"),
    )


def none(fields: Fields, heads: Heads) -> Layer:
    """A layer without attention."""
    return Layer("no attention")


Builder = Callable[[Fields, Heads], Layer]
KINDS: dict[str, Builder] = {"full": full, "sliding": sliding, "chunked": chunked, "none": none}
