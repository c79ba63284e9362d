"""Layers whose keys and values are cached head by head: full, sliding, chunked."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from attnscope.errors import ConfigError
from attnscope.sizing.fields import Fields
from attnscope.sizing.model import Layer, Rows

MOST_LAYERS = 4096
LAYERS = ("num_hidden_layers", "n_layer", "n_layers")
HIDDEN = ("hidden_size", "n_embd", "n_embed", "d_model", "dim")
QUERY_HEADS = ("num_attention_heads", "n_head", "n_heads")
KV_HEADS = ("num_key_value_heads", "num_kv_heads", "n_head_kv")


@dataclass(frozen=True)
class Names:
    """What an architecture calls its sizes; the first name is the one in errors."""

    layers: tuple[str, ...] = LAYERS
    hidden: tuple[str, ...] = HIDDEN
    query_heads: tuple[str, ...] = QUERY_HEADS
    kv_heads: tuple[str, ...] = KV_HEADS
    head_dim: tuple[str, ...] = ("head_dim",)


@dataclass(frozen=True)
class Heads:
    """The heads of a layer, as its config gives them."""

    hidden_size: int
    query_heads: int
    kv_heads: int
    key_dim: int
    value_dim: int


def read_heads(fields: Fields, names: Names, kv_heads: int | None = None) -> Heads:
    """hidden_size, heads and head_dim; without num_key_value_heads every query head has its own keys.

    Errors
        ConfigError.
    """
    hidden = fields.whole(*names.hidden)
    query_heads = fields.whole(*names.query_heads)
    if kv_heads is None:
        kv_heads = fields.whole(
            *names.kv_heads, otherwise=query_heads, why=f"as many as {names.query_heads[0]}"
        )
    if query_heads % kv_heads:
        raise ConfigError(
            f"{fields.where}{names.query_heads[0]}={query_heads} cannot share {names.kv_heads[0]}={kv_heads}: "
            "each kv head serves the same number of query heads. Correct the file."
        )
    head_dim = fields.maybe_whole(*names.head_dim)
    if head_dim is None:
        head_dim = hidden // query_heads
        if head_dim < 1:
            raise ConfigError(
                f"{fields.where}{names.hidden[0]}={hidden} is less than {names.query_heads[0]}={query_heads}: "
                f"no head has a number left. Correct the file, or give head_dim: assume={{'head_dim': ...}}."
            )
        fields.fill(names.head_dim[0], head_dim, f"{names.hidden[0]} / {names.query_heads[0]}")
    return Heads(hidden, query_heads, kv_heads, head_dim, head_dim)


def rows_of(heads: Heads) -> tuple[Rows, Rows]:
    """A key and a value a head."""
    return Rows("key", heads.kv_heads, heads.key_dim), Rows("value", heads.kv_heads, heads.value_dim)


def projections(heads: Heads) -> int:
    """Parameters of the query, key, value and output matrices."""
    query = heads.query_heads * heads.key_dim
    key_value = heads.kv_heads * (heads.key_dim + heads.value_dim)
    return heads.hidden_size * (query + key_value + heads.query_heads * heads.value_dim)


def full(fields: Fields, heads: Heads) -> Layer:
    """A layer that sees all tokens and keeps a key and a value of each."""
    return Layer(
        "full",
        rows_of(heads),
        query_heads=heads.query_heads,
        key_dim=heads.key_dim,
        value_dim=heads.value_dim,
        attention_weights=projections(heads),
    )


def sliding(fields: Fields, heads: Heads) -> Layer:
    """A layer that sees the last sliding_window tokens, the query's own among them."""
    return replace(full(fields, heads), kind="sliding", window=fields.whole("sliding_window"))


def chunked(fields: Fields, heads: Heads) -> Layer:
    """A layer that sees the chunk of attention_chunk_size tokens which holds the query."""
    return replace(full(fields, heads), kind="chunked", window=fields.whole("attention_chunk_size"))


def none(fields: Fields, heads: Heads) -> Layer:
    """A layer without attention."""
    return Layer("no attention")


Builder = Callable[[Fields, Heads], Layer]
KINDS: dict[str, Builder] = {"full": full, "sliding": sliding, "chunked": chunked, "none": none}
