"""Layers that keep a state of the whole sequence: Mamba, gated delta rules, short convolutions."""

from collections.abc import Mapping

from attnscope.errors import ConfigError
from attnscope.sizing.architectures.attention import Builder, Heads
from attnscope.sizing.fields import Fields
from attnscope.sizing.model import Layer, State

FLOAT32 = "float32"  # Transformers' format of recurrent states, whatever the model computes in


def _check_same(fields: Fields, name: str, size: int, other: str, expected: int) -> None:
    if size != expected:
        raise ConfigError(
            f"{fields.prefix}{name}={size}, and {other} is {expected}: they are one size and disagree. "
            "Correct the file, or assume= one of them."
        )


def mamba(prefix: str = "", head_name: str | None = None) -> Builder:
    """A selective state space, arXiv:2312.00752: its convolution's last inputs, and a state per channel."""
    names = f"{prefix}d_conv {prefix}d_state {prefix}expand" if prefix else "conv_kernel state_size expand"
    kernel, state, expand = names.split()

    def build(fields: Fields, heads: Heads) -> Layer:
        channels = fields.integer(expand) * heads.hidden_size
        inner = fields.optional_integer("intermediate_size") if not prefix else None
        if inner is not None and inner != channels:  # as in Transformers
            fields.note_unused(expand, f"intermediate_size={inner} decides, not {channels}")
            channels = inner
        taps, states = fields.integer(kernel), fields.integer(state)
        groups = fields.integer(head_name) if head_name else 1
        rank = fields.optional_integer("time_step_rank", "mamba_dt_rank") if _is_number(fields) else None
        rank = rank or -(-heads.hidden_size // 16)
        fields.ignore("time_step_rank", "mamba_dt_rank")
        shape = (channels, states) if head_name is None else (groups, channels // groups, states)
        weights = heads.hidden_size * channels * 3 + channels * (rank * 2 + states * 3 + taps)
        return Layer(
            "state space",
            states=(State("convolution", (channels, taps)), State("recurrent", shape, FLOAT32)),
            attention_weights=weights,
        )

    return build


def _is_number(fields: Fields) -> bool:
    """Whether the rank is a number; "auto" is hidden_size / 16."""
    return not any(fields.given.get(name) == "auto" for name in ("time_step_rank", "mamba_dt_rank"))


def _mamba2_names(*names: str) -> Mapping[str, tuple[str, ...]]:
    """The names of one architecture's fields, in this order; alternatives are separated by |, "" is none."""
    sizes = ("heads", "head_dim", "groups", "state", "kernel", "inner", "expand")
    return {size: tuple(name.split("|")) if name else () for size, name in zip(sizes, names, strict=True)}


MAMBA2_PLAIN = _mamba2_names("num_heads", "head_dim", "n_groups", "state_size", "conv_kernel", "", "expand")
MAMBA2_PREFIXED = _mamba2_names(
    "mamba_n_heads",
    "mamba_d_head",
    "mamba_n_groups",
    "mamba_d_state",
    "mamba_d_conv",
    "mamba_d_ssm",
    "mamba_expand",
)
MAMBA2_NEMOTRON = _mamba2_names(
    "mamba_num_heads",
    "mamba_head_dim",
    "n_groups|mamba_n_groups",
    "ssm_state_size",
    "conv_kernel|mamba_d_conv",
    "",
    "",
)
MAMBA2_ZAMBA = _mamba2_names(
    "n_mamba_heads", "mamba_headdim", "mamba_ngroups", "mamba_d_state", "mamba_d_conv", "", "mamba_expand"
)


def mamba2(names: Mapping[str, tuple[str, ...]]) -> Builder:
    """A state space with heads, "Transformers are SSMs", arXiv:2405.21060.

    convolution channels = heads * head_dim + 2 * groups * state, since it also runs over two matrices per
    group
    """

    def build(fields: Fields, heads: Heads) -> Layer:
        number = fields.integer(*names["heads"])
        if any(fields.given.get(name) == "auto" for name in names["head_dim"]):
            fields.ignore(*names["head_dim"])
            inner = fields.optional_integer(*names["inner"]) if names["inner"] else None
            head_dim = (inner or fields.integer(*names["expand"]) * heads.hidden_size) // number
        else:
            head_dim = fields.integer(*names["head_dim"])
        _check_channels(fields, names, heads.hidden_size, number * head_dim)
        groups, state, taps = (fields.integer(*names[name]) for name in ("groups", "state", "kernel"))
        channels = number * head_dim
        convolved = channels + 2 * groups * state
        weights = heads.hidden_size * (channels + convolved + number) + convolved * taps
        return Layer(
            "state space",
            states=(
                State("convolution", (convolved, taps)),
                State("recurrent", (number, head_dim, state), FLOAT32),
            ),
            attention_weights=weights + channels * heads.hidden_size,
        )

    return build


def _check_channels(fields: Fields, names: Mapping[str, tuple[str, ...]], hidden: int, channels: int) -> None:
    """Check that heads * head_dim is d_ssm, or expand * hidden_size, if the file has them."""
    product = f"{names['heads'][0]} * {names['head_dim'][0]}"
    inner = fields.optional_integer(*names["inner"]) if names["inner"] else None
    times = fields.optional_integer(*names["expand"]) if names["expand"] else None
    if inner is not None:
        _check_same(fields, names["inner"][0], inner, product, channels)
    elif times is not None:
        _check_same(fields, f"{names['expand'][0]} * hidden_size", times * hidden, product, channels)


def gated_delta(fields: Fields, heads: Heads) -> Layer:
    """A gated delta rule, arXiv:2412.06464: one matrix per value head, and a convolution's last inputs."""
    key_heads, value_heads = fields.integer("linear_num_key_heads"), fields.integer("linear_num_value_heads")
    key_dim, value_dim = fields.integer("linear_key_head_dim"), fields.integer("linear_value_head_dim")
    taps = fields.integer("linear_conv_kernel_dim")
    convolved = 2 * key_heads * key_dim + value_heads * value_dim
    weights = (
        heads.hidden_size * (convolved + 2 * value_heads * value_dim + 2 * value_heads) + convolved * taps
    )
    return Layer(
        "linear",
        states=(
            State("convolution", (convolved, taps)),
            State("recurrent", (value_heads, key_dim, value_dim), FLOAT32),
        ),
        attention_weights=weights,
    )


def delta_of_equal_heads(fields: Fields, heads: Heads) -> Layer:
    """A delta rule whose queries, keys and values have equal heads, as in Kimi Linear and Bailing."""
    number, dim = fields.integer("linear_num_heads"), fields.integer("linear_head_dim")
    taps = fields.integer("linear_conv_kernel_dim")
    channels = number * dim
    return Layer(
        "linear",
        states=(State("convolution", (3 * channels, taps)), State("recurrent", (number, dim, dim), FLOAT32)),
        attention_weights=heads.hidden_size * channels * 4 + 3 * channels * taps,
    )


def lightning(fields: Fields, heads: Heads) -> Layer:
    """MiniMax's linear attention, arXiv:2501.08313, section 2.2: one matrix per head."""
    weights = 5 * heads.hidden_size * heads.query_heads * heads.key_dim
    state = State("recurrent", (heads.query_heads, heads.key_dim, heads.key_dim))
    return Layer("linear", states=(state,), attention_weights=weights)


def short_convolution(fields: Fields, heads: Heads) -> Layer:
    """The last conv_L_cache inputs of a gated convolution."""
    taps = fields.integer("conv_L_cache")
    weights = 4 * heads.hidden_size**2 + heads.hidden_size * taps
    return Layer(
        "convolution", states=(State("convolution", (heads.hidden_size, taps)),), attention_weights=weights
    )


def beside(attention: Builder, recurrent: Builder, kind: str) -> Builder:
    """A layer with both: keys and values of each token, and a state."""

    def build(fields: Fields, heads: Heads) -> Layer:
        first, second = attention(fields, heads), recurrent(fields, heads)
        if first.shared or not first.rows:
            raise ConfigError(f"{fields.model_type}: a {kind} layer needs keys and values of its own.")
        return Layer(
            kind,
            first.rows,
            second.states,
            window=first.window,
            query_heads=first.query_heads,
            key_dim=first.key_dim,
            value_dim=first.value_dim,
            attention_weights=first.attention_weights + second.attention_weights,
        )

    return build
