"""Which kind of attention each layer has, where a config says so by a rule and not layer by layer."""

from collections.abc import Callable

from attnscope.errors import ConfigError
from attnscope.sizing.fields import Fields

Pattern = Callable[[Fields, int], list[str]]  # the fields and how many layers -> each layer's kind

# layer_types as they stand in configs, with the older names -> the kinds of this room
KINDS = {
    "full_attention": "full", "attention": "full", "sliding_attention": "sliding", "chunked_attention": "chunked",
    "indexed_attention": "indexed", "deepseek_sparse_attention": "indexed", "linear_attention": "linear",
    "mamba": "linear", "conv": "convolution", "hybrid": "hybrid", "moe": "none", "mlp": "none",
}  # fmt: skip


def all_of(kind: str) -> Pattern:
    """Every layer is of one kind."""
    return lambda fields, layers: [kind] * layers


def windowed(fields: Fields, layers: int) -> list[str]:
    """Every layer slides if sliding_window is set."""
    return ["full" if fields.maybe_whole("sliding_window") is None else "sliding"] * layers


def windowed_if_used(fields: Fields, layers: int) -> list[str]:
    """Every layer slides if sliding_window is set and use_sliding_window turns it on."""
    fields.leave("sliding_window", "max_window_layers")
    return windowed(fields, layers) if fields.flag("use_sliding_window") else ["full"] * layers


def every(nth: int, often: str, seldom: str, *names: str, first: int | None = None) -> Pattern:
    """Each nth layer is `seldom`, counted so that the last of n is it, or the one at index `first`.

    n stands in the field `names`, or is the architecture's own.
    """

    def pattern(fields: Fields, layers: int) -> list[str]:
        n = (fields.maybe_whole(*names) if names else None) or nth
        remainder = n - 1 if first is None else first
        return [seldom if i % n == remainder else often for i in range(layers)]

    return pattern


def windowed_from_max_window_layers(fields: Fields, layers: int) -> list[str]:
    """The layers from max_window_layers on slide, if use_sliding_window says so."""
    used = fields.flag("use_sliding_window")
    fields.leave("max_window_layers", "sliding_window")
    if not used or fields.maybe_whole("sliding_window") is None:
        return ["full"] * layers
    first = fields.whole("max_window_layers", minimum=0)
    return ["sliding" if i >= first else "full" for i in range(layers)]


def windowed_where_asked(fields: Fields, layers: int) -> list[str]:
    """No rule beside layer_types says which layers slide, so use_sliding_window must be off."""
    fields.leave("max_window_layers")
    if fields.flag("use_sliding_window") and fields.given.get("layer_types") is None:
        raise ConfigError(
            f"{fields.where}use_sliding_window=True and no layer_types: which layers slide is not said. "
            "Give them: assume={'layer_types': [...]}."
        )
    fields.leave("sliding_window")
    return ["full"] * layers


def chunked_where_rotated(fields: Fields, layers: int) -> list[str]:
    """Layers with rotary embedding look at their chunk only: no_rope_layers is 1 there, 0 where they see all."""
    rotated = fields.wholes("no_rope_layers")
    if rotated:
        if len(rotated) != layers:
            raise ConfigError(
                f"{fields.where}no_rope_layers has {len(rotated)} entries for {layers} layers. Correct the file."
            )
        return ["chunked" if each else "full" for each in rotated]
    return every(4, "chunked", "full", "no_rope_layer_interval")(fields, layers)


def listed(otherwise: Pattern | None, *names: str, kinds: dict[str, str] | None = None) -> Pattern:
    """As layer_types says, layer by layer; where it is missing, by the architecture's rule, if it has one."""
    names = names or ("layer_types",)
    known = KINDS | (kinds or {})

    def pattern(fields: Fields, layers: int) -> list[str]:
        by_rule = otherwise(fields, layers) if otherwise else None  # read first: what it reads is no stranger
        words = fields.words(*names)
        if words is None:
            if by_rule is None:
                raise ConfigError(
                    f"{fields.where}{names[0]} is missing, and {fields.model_type} has no rule for it. "
                    f"Give it: assume={{{names[0]!r}: [...]}}."
                )
            return by_rule
        if len(words) != layers:
            raise ConfigError(
                f"{fields.where}{names[0]} has {len(words)} entries for {layers} layers. Correct the file."
            )
        for word in words:
            if word not in known:
                raise ConfigError(
                    f"{fields.where}{names[0]} has {word!r}, a layer that is not known. "
                    f"Known are {', '.join(sorted(known))}."
                )
        return [known[word] for word in words]

    return pattern
