"""How the configs of one architecture are read: names, the kind of each layer, and what each kind caches."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from attnscope.arguments import brief
from attnscope.errors import ConfigError
from attnscope.sizing.architectures.attention import KINDS, Builder, Names
from attnscope.sizing.architectures.mlp import Mlp
from attnscope.sizing.fields import Fields
from attnscope.sizing.model import Layer

Pattern = Callable[[Fields, int], list[str]]  # the fields and the number of layers -> each layer's kind

# the words of layer_types in configs, older ones included -> a kind
LAYER_TYPES = {
    "full_attention": "full",
    "attention": "full",
    "sliding_attention": "sliding",
    "chunked_attention": "chunked",
    "indexed_attention": "indexed",
    "deepseek_sparse_attention": "indexed",
    "linear_attention": "linear",
    "mamba": "linear",
    "conv": "convolution",
    "hybrid": "hybrid",
    "moe": "none",
    "mlp": "none",
}


def all_of(kind: str) -> Pattern:
    """Every layer has the same kind."""
    return lambda fields, layers: [kind] * layers


def windowed(fields: Fields, layers: int) -> list[str]:
    """Every layer slides if sliding_window is set."""
    return ["full" if fields.optional_integer("sliding_window") is None else "sliding"] * layers


def windowed_if_used(fields: Fields, layers: int) -> list[str]:
    """Every layer slides if sliding_window is set and use_sliding_window turns it on."""
    fields.ignore("sliding_window", "max_window_layers")
    return windowed(fields, layers) if fields.flag("use_sliding_window") else ["full"] * layers


def every(nth: int, often: str, seldom: str, *names: str, first: int | None = None) -> Pattern:
    """Every nth layer is `seldom`: the last of each n, or the one at index `first`.

    n is the value of the field `names`, or the architecture's own.
    """

    def pattern(fields: Fields, layers: int) -> list[str]:
        n = (fields.optional_integer(*names) if names else None) or nth
        remainder = n - 1 if first is None else first
        return [seldom if i % n == remainder else often for i in range(layers)]

    return pattern


def windowed_from_max_window_layers(fields: Fields, layers: int) -> list[str]:
    """The layers from max_window_layers on slide, if use_sliding_window is true."""
    used = fields.flag("use_sliding_window")
    fields.ignore("max_window_layers", "sliding_window")
    if not used or fields.optional_integer("sliding_window") is None:
        return ["full"] * layers
    first = fields.integer("max_window_layers", minimum=0)
    return ["sliding" if i >= first else "full" for i in range(layers)]


def windowed_if_listed(fields: Fields, layers: int) -> list[str]:
    """Only layer_types defines which layers slide; without it use_sliding_window must be off."""
    fields.ignore("max_window_layers")
    if fields.flag("use_sliding_window") and fields.given.get("layer_types") is None:
        raise ConfigError(
            f"{fields.prefix}use_sliding_window=True without layer_types does not define which layers slide. "
            "Give them: assume={'layer_types': [...]}."
        )
    fields.ignore("sliding_window")
    return ["full"] * layers


def chunked_if_rotated(fields: Fields, layers: int) -> list[str]:
    """Layers with rotary embedding see their chunk only: no_rope_layers is 1 for them, 0 for full layers."""
    rotated = fields.integers("no_rope_layers")
    if rotated:
        if len(rotated) != layers:
            raise ConfigError(
                f"{fields.prefix}no_rope_layers has {len(rotated)} entries for {layers} layers. Correct the "
                "file."
            )
        return ["chunked" if each else "full" for each in rotated]
    return every(4, "chunked", "full", "no_rope_layer_interval")(fields, layers)


def listed(otherwise: Pattern | None, *names: str, kinds: dict[str, str] | None = None) -> Pattern:
    """layer_types, layer by layer; if it is missing, the architecture's rule, if it has one."""
    names = names or ("layer_types",)
    known = LAYER_TYPES | (kinds or {})

    def pattern(fields: Fields, layers: int) -> list[str]:
        by_rule = otherwise(fields, layers) if otherwise else None  # first, so that its fields count as read
        words = fields.strings(*names)
        if words is None:
            if by_rule is None:
                raise ConfigError(
                    f"{fields.prefix}{names[0]} is missing, and {fields.model_type} has no rule for it. "
                    f"Give it: assume={{{names[0]!r}: [...]}}."
                )
            return by_rule
        if len(words) != layers:
            raise ConfigError(
                f"{fields.prefix}{names[0]} has {len(words)} entries for {layers} layers. Correct the file."
            )
        for word in words:
            if word not in known:
                raise ConfigError(
                    f"{fields.prefix}{names[0]} has {brief(word)}, a layer that is not known. "
                    f"Known are {', '.join(sorted(known))}."
                )
        return [known[word] for word in words]

    return pattern


ALL_FULL = all_of("full")


@dataclass(frozen=True)
class Family:
    """How the configs of an architecture are read.

    pattern       the kind of each layer
    kinds         what a layer of each kind caches
    names         the names of its sizes
    defaults      documented values of fields that published files leave out
    required      fields whose default is not a single value, so a file must have them
    harmless      patterns of suspicious names that do not change the cache
    heads         whether there are attention heads
    kv_heads      reads their number if that is no plain field
    layer_count   reads the number of layers if that is no plain field
    finish        changes layers by rules that span them, such as shared keys
    mlp           how its MLPs are counted; None: they are not
    decoder_flag  the file must set is_decoder: otherwise the architecture is an encoder without a cache
    tied          whether input and output share one matrix if the file does not define it
    """

    pattern: Pattern = ALL_FULL
    kinds: Mapping[str, Builder] = field(default_factory=lambda: KINDS)
    names: Names = field(default_factory=Names)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    harmless: tuple[str, ...] = ()
    heads: bool = True
    kv_heads: Callable[[Fields], int | None] | None = None
    layer_count: Callable[[Fields], int] | None = None
    finish: Callable[[Fields, list[Layer]], list[Layer]] | None = None
    mlp: Mlp | None = field(default_factory=Mlp)
    decoder_flag: bool = False
    tied: bool = False
