"""Layers that keep a state of the whole sequence: Mamba, gated delta rules, short convolutions."""

from collections.abc import Mapping

from attnscope.errors import ConfigError
from attnscope.sizing.architectures.attention import Builder, Heads
from attnscope.sizing.fields import Fields
from attnscope.sizing.model import Layer, State

FLOAT32 = "float32"  # what Transformers keeps recurrent states in, whatever the model computes in


def _inner_size(fields: Fields, hidden: int, given: tuple[str, ...], expand: tuple[str, ...]) -> int:
    """The channels within: given, or so many times the hidden size; a file that says both must say the same."""
    inner = fields.optional_integer(*given) if given else None
    times = fields.optional_integer(*expand) if inner is not None else fields.integer(*expand)
    expanded = None if times is None else times * hidden
    if inner is not None and expanded is not None:
        _check_same(fields, given[0], inner, f"{expand[0]} * hidden_size", expanded)
    return inner or expanded or 0


def _check_same(fields: Fields, name: str, size: int, other: str, expected: int) -> None:
    if size != expected:
        raise ConfigError(
            f"{fields.where}{name}={size}, and {other} is {expected}: they are one size and disagree. "
            "Correct the file, or assume= one of them."
        )


def mamba(
    prefix: str = "", inner: tuple[str, ...] = ("intermediate_size",), head_name: str | None = None
) -> Builder:
    """A selective state space: the last inputs of its convolution, and a state of each channel.

    Source
        "Mamba", arXiv:2312.00752.
    """
    kernel, state, expand = (
        ("conv_kernel", "state_size", "expand")
        if not prefix
        else ("mamba_d_conv", "mamba_d_state", "mamba_expand")
    )

    def build(fields: Fields, heads: Heads) -> Layer:
        channels = _inner_size(fields, heads.hidden_size, inner, (expand,))
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
    """Whether the rank is one: "auto" is hidden_size / 16."""
    return not any(fields.given.get(name) == "auto" for name in ("time_step_rank", "mamba_dt_rank"))


MAMBA2_PLAIN: Mapping[str, tuple[str, ...]] = {
    "heads": ("num_heads",), "head_dim": ("head_dim",), "groups": ("n_groups",), "state": ("state_size",),
    "kernel": ("conv_kernel",), "inner": (), "expand": ("expand",),
}  # fmt: skip
MAMBA2_PREFIXED = {
    "heads": ("mamba_n_heads",), "head_dim": ("mamba_d_head",), "groups": ("mamba_n_groups",),
    "state": ("mamba_d_state",), "kernel": ("mamba_d_conv",), "inner": ("mamba_d_ssm",), "expand": ("mamba_expand",),
}  # fmt: skip
MAMBA2_NEMOTRON = {
    "heads": ("mamba_num_heads",), "head_dim": ("mamba_head_dim",), "groups": ("n_groups", "mamba_n_groups"),
    "state": ("ssm_state_size",), "kernel": ("conv_kernel", "mamba_d_conv"), "inner": (), "expand": (),
}  # fmt: skip
MAMBA2_ZAMBA = {
    "heads": ("n_mamba_heads",), "head_dim": ("mamba_headdim",), "groups": ("mamba_ngroups",),
    "state": ("mamba_d_state",), "kernel": ("mamba_d_conv",), "inner": (), "expand": ("mamba_expand",),
}  # fmt: skip


def mamba2(names: Mapping[str, tuple[str, ...]]) -> Builder:
    """A state space in heads; its convolution also runs over the two matrices of each group.

    convolution channels = heads * head_dim + 2 * groups * state

    Source
        "Transformers are SSMs", arXiv:2405.21060.
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
    """Heads * head_dim is what the file otherwise says of the channels: d_ssm, or expand * hidden_size."""
    product = f"{names['heads'][0]} * {names['head_dim'][0]}"
    inner = fields.optional_integer(*names["inner"]) if names["inner"] else None
    times = fields.optional_integer(*names["expand"]) if names["expand"] else None
    if inner is not None:
        _check_same(fields, names["inner"][0], inner, product, channels)
    elif times is not None:
        _check_same(fields, f"{names['expand'][0]} * hidden_size", times * hidden, product, channels)


def gated_delta(fields: Fields, heads: Heads) -> Layer:
    """A gated delta rule: a matrix a value head, and the last inputs of the convolution over queries, keys, values.

    Source
        "Gated Delta Networks", arXiv:2412.06464.
    """
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
    """A delta rule whose queries, keys and values have equal heads: Kimi Linear's and Bailing's."""
    number, dim = fields.integer("linear_num_heads"), fields.integer("linear_head_dim")
    taps = fields.integer("linear_conv_kernel_dim")
    channels = number * dim
    return Layer(
        "linear",
        states=(State("convolution", (3 * channels, taps)), State("recurrent", (number, dim, dim), FLOAT32)),
        attention_weights=heads.hidden_size * channels * 4 + 3 * channels * taps,
    )


def lightning(fields: Fields, heads: Heads) -> Layer:
    """MiniMax's linear attention: a matrix a head, in the format that the model computes in.

    Source
        "MiniMax-01", arXiv:2501.08313, section 2.2.
    """
    weights = 5 * heads.hidden_size * heads.query_heads * heads.key_dim
    state = State("recurrent", (heads.query_heads, heads.key_dim, heads.key_dim))
    return Layer("linear", states=(state,), attention_weights=weights)


def short_convolution(fields: Fields, heads: Heads) -> Layer:
    """The last conv_L_cache inputs of a gated convolution, and nothing else."""
    taps = fields.integer("conv_L_cache")
    weights = 4 * heads.hidden_size**2 + heads.hidden_size * taps
    return Layer(
        "convolution", states=(State("convolution", (heads.hidden_size, taps)),), attention_weights=weights
    )


def beside(attention: Builder, recurrent: Builder, kind: str) -> Builder:
    """A layer that has both: keys and values of each token, and a state."""

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
