"""The parameters of each layer's MLP: dense, or experts of which a token activates a few."""

from dataclasses import dataclass
from typing import NamedTuple

from attnscope.sizing.fields import Fields

EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
CHOSEN = ("num_experts_per_tok", "num_experts_per_token", "moe_k", "moe_topk", "moe_top_k", "top_k_experts")
EXPERT_SIZE = ("moe_intermediate_size",)
SHARED_SIZE = (
    "shared_expert_intermediate_size",
    "shared_intermediate_size",
    "moe_shared_expert_intermediate_size",
)


@dataclass(frozen=True)
class Mlp:
    """How an architecture's MLP is built.

    inner       names of the inner size
    matrices    3 with a gate, else 2
    factor      the inner size in hidden sizes if the file lacks it; None: the file must have it
    expert      names of an expert's inner size; if the file has none, it is the inner size
    shared_experts    experts that every token activates if no field gives their number
    """

    inner: tuple[str, ...] = ("intermediate_size", "ffn_hidden_size", "ffn_dim")
    matrices: int = 3
    factor: int | None = None
    expert: tuple[str, ...] = EXPERT_SIZE
    shared_experts: int = 0


class MlpWeights(NamedTuple):
    """What one layer's MLP adds to its Layer."""

    mlp_weights: int
    active_mlp_weights: int
    experts: int = 0
    experts_per_token: int = 0


def mlp_weights(fields: Fields, mlp: Mlp, hidden: int, layers: int) -> list[MlpWeights] | str:
    """All and active parameters of each layer's MLP, or why the config does not determine them."""
    listed = fields.given.get(mlp.inner[0])
    if isinstance(listed, list | tuple):  # one size per layer
        sizes = fields.integers(mlp.inner[0], minimum=1) or []
        if len(sizes) != layers:
            return f"{fields.prefix}{mlp.inner[0]} has {len(sizes)} entries for {layers} layers"
    else:
        size = fields.optional_integer(*mlp.inner)
        if size is None and mlp.factor:
            size = mlp.factor * hidden
        sizes = [size or 0] * layers
    dense = [mlp.matrices * hidden * size for size in sizes]
    experts = fields.optional_integer(*EXPERTS, minimum=0)
    if not experts or experts == 1:
        return (
            [MlpWeights(each, each) for each in dense]
            if all(sizes)
            else f"{fields.prefix}{mlp.inner[0]} is missing"
        )
    chosen = fields.optional_integer(*CHOSEN)
    expert_size = fields.optional_integer(*mlp.expert) or sizes[0]
    if chosen is None or not expert_size:
        return f"{fields.prefix}{CHOSEN[0] if chosen is None else EXPERT_SIZE[0]} is missing"
    expert = mlp.matrices * hidden * expert_size
    shared = mlp.matrices * hidden * _shared_size(fields, expert_size, mlp.shared_experts)
    chosen = min(chosen, experts)
    active = chosen * expert + shared + experts * hidden
    sparse = MlpWeights(experts * (expert + hidden) + shared, active, experts, chosen)
    routed = _routed_layers(fields, layers)
    if not all(routed) and not all(sizes):
        return f"{fields.prefix}{mlp.inner[0]} is missing"
    return [
        sparse if is_routed else MlpWeights(each, each) for is_routed, each in zip(routed, dense, strict=True)
    ]


def _shared_size(fields: Fields, expert_size: int, otherwise: int) -> int:
    size = fields.optional_integer(*SHARED_SIZE, minimum=0)
    if size is not None:
        return size
    number = fields.optional_integer("n_shared_experts", "num_shared_experts", minimum=0)
    return expert_size * (otherwise if number is None else number)


def _routed_layers(fields: Fields, layers: int) -> list[bool]:
    """Which layers have experts: listed, or by the number of first dense ones and a step."""
    types = fields.strings("mlp_layer_types")
    if types is not None and len(types) == layers:
        return [each == "sparse" for each in types]
    listed = fields.given.get("moe_layers")
    if isinstance(listed, list | tuple):
        chosen = set(fields.integers("moe_layers") or [])
        return [i in chosen for i in range(layers)]
    dense = set(fields.integers("mlp_only_layers") or [])
    first = fields.optional_integer("first_k_dense_replace", "num_dense_layers", minimum=0) or 0
    step = (
        fields.optional_integer("decoder_sparse_step", "interleave_moe_layer_step", "expert_layer_period")
        or 1
    )
    offset = fields.optional_integer("expert_layer_offset", minimum=0)
    offset = step - 1 if offset is None else offset
    return [i >= first and i not in dense and i % step == offset % step for i in range(layers)]
