"""Where a whole Transformers model looks: an observation of each layer, collected while it runs."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

import attnscope as at
from attnscope.interop.seen_layer import AskedOfText, Segments, joined, of_text
from attnscope.interop.transformers_attention import Call, Observer, observers

NAME = "attnscope"


@dataclass(eq=False)
class Seen(Observer):
    """What observing() collected: `seen[3]` is layer 3's Observation, of all calls together.

    Layers are numbered from 0 in the order in which the model calls them, which names tell: `seen.names[3]`. A model
    that was called several times, as generate() does, gave each layer several observations: `seen.calls(3)` lists them,
    `seen[3]` has all their queries, one after the other.

    Keys are counted from the start of the text, also where a cache with a window has let go of the first ones: in
    max_key, top_keys, received, segments and first_keys. The output is not kept: its value_dim is 0.
    """

    asked: AskedOfText
    layers: Collection[int] | None
    ablate: frozenset[tuple[int, int]]
    modules: dict[torch.nn.Module, str]
    arguments: list[dict[str, Any]] | None  # of attention(), by layer, where they are kept
    numbers: dict[torch.nn.Module, int] = field(default_factory=dict)
    collected: dict[int, list[at.Observation]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The modules that were called, as the model calls them, by layer."""
        return [self.modules[module] for module in self.numbers]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, layer: int) -> at.Observation:
        return joined(self.calls(layer))

    def __iter__(self) -> Iterator[at.Observation]:
        return (self[layer] for layer in sorted(self.collected))

    def calls(self, layer: int) -> list[at.Observation]:
        """A layer's observations, one for each time that the model was called.

        Errors
            AttentionError for a layer that was not observed.
        """
        number = layer + len(self) if isinstance(layer, int) and layer < 0 else layer
        if number not in self.collected:
            some = ", ".join(map(str, sorted(self.collected)[:8])) or "none: the model did not run"
            raise at.AttentionError(f"layer {layer!r} was not observed. Observed are: {some}.")
        return self.collected[number]

    def attend(self, module: torch.nn.Module, call: Call) -> NDArray[Any] | None:
        """Observe a call of one of the model's modules."""
        layer = self.numbers.setdefault(module, len(self.numbers))
        if self.arguments is not None:
            self.arguments += [{} for _ in range(layer + 1 - len(self.arguments))]
            self.arguments[layer] = {
                "query": call.query,
                "key": call.key,
                "value": call.value,
                **call.options,
            }
        ablated = self._ablated(layer, call.query.shape[1])
        if self.layers is not None and layer not in self.layers:
            if not ablated:
                return None
            rows = at.attention(call.query, call.key, call.value, **call.options)
            rows[:, ablated] = 0
            return rows
        observation = at.observe(
            call.query, call.key, call.value,
            **call.options, **self.asked.of_keys(call.key_offset, call.key.shape[2]),
        )  # fmt: skip
        output: NDArray[Any] = observation.output
        self.collected.setdefault(layer, []).append(of_text(observation, self.asked, call.key_offset))
        output[:, ablated] = 0
        return output

    def _ablated(self, layer: int, heads: int) -> list[int]:
        """The heads of a layer that add nothing to the model."""
        named = sorted(head for of_layer, head in self.ablate if of_layer == layer)
        if named and not 0 <= named[0] <= named[-1] < heads:
            raise at.AttentionError(
                f"ablate names heads {named} of layer {layer}, which has heads 0 to {heads - 1}."
            )
        return named

    def check_ablated(self) -> None:
        """Refuse to have ablated a head of a layer that the model does not have."""
        unknown = sorted(layer for layer, _ in self.ablate if not 0 <= layer < len(self.numbers))
        if unknown and self.numbers:
            raise at.AttentionError(
                f"ablate names layer {unknown[0]}, and the model called layers 0 to {len(self.numbers) - 1}."
            )


@contextmanager
def observing(  # noqa: PLR0913  # what is asked, each by its name
    model: Any,
    *,
    segments: Segments | None = None,
    first_keys: int = 4,
    top_keys: int = 0,
    received: bool = False,
    block_map_size: int | None = None,
    layers: Collection[int] | None = None,
    ablate: Collection[tuple[int, int]] = (),
    keep_arguments: bool = False,
) -> Iterator[Seen]:
    """Collect an Observation of every layer, whatever calls the model within the block; then put the model back.

    The model's attention is attnscope's for the time of the block: its outputs are those of the implementation
    "attnscope", bit for bit, and register() need not have been called. An observation says where heads looked and not
    what they did: ablate one, and compare the model's answers.

    Arguments
        segments      of the text's tokens, as in observe(); {name: (start, None)} reaches to the end, however long
        first_keys, top_keys, received, block_map_size    as in observe(); a map is of one call, and none of several
        layers        numbers of those to observe; the others only run. All unless given
        ablate        heads, as (layer, head), whose output is 0: what the model answers without them is its own answer
        keep_arguments    whether seen.arguments keeps every layer's arguments of attention(), for observation.rollout(); of
                      its last call, in the memory of the model's queries, keys and values
    Errors
        UnsupportedProblemError for a model whose attention does not go through Transformers' AttentionInterface, and
        what register() names; AttentionError for one that is being observed already.

    >>> with observing(model, segments={"system": (0, 40), "rest": (40, None)}) as seen:  # doctest: +SKIP
    ...     model(**inputs)
    >>> seen[3].segment_mass  # of layer 3: [batch, query_heads, query_len, 2]  # doctest: +SKIP
    """
    modules = {module: name for name, module in modules_of(model).items()}
    if any(module in observers for module in modules):
        raise at.AttentionError(
            "this model is being observed already: leave the other `with observing(...)` first."
        )
    asked = AskedOfText(segments, first_keys, top_keys, received, block_map_size)
    heads = frozenset((int(layer), int(head)) for layer, head in ablate)
    seen = Seen(asked, layers, heads, modules, [] if keep_arguments else None)
    with attending_by_attnscope(model):
        observers.update(dict.fromkeys(modules, seen))
        try:
            yield seen
        finally:
            for module in modules:
                observers.pop(module, None)
    seen.check_ablated()


def modules_of(model: Any) -> dict[str, torch.nn.Module]:
    """A model's modules by name.

    Errors
        UnsupportedProblemError for what is no model of Transformers.
    """
    if not isinstance(model, PreTrainedModel):
        raise at.UnsupportedProblemError(
            f"model is a {type(model).__name__}, expected a model of Transformers. For other code: observe() itself."
        )
    return dict(model.named_modules())


@contextmanager
def attending_by_attnscope(model: Any) -> Iterator[None]:
    """Give a model attnscope's attention, and its own back in the end, whatever happens.

    Errors
        UnsupportedProblemError for a model that takes no other attention.
    """
    from attnscope.interop.transformers import register

    register()
    configs = configs_of(model)
    before = [config._attn_implementation_internal for config in configs]  # noqa: SLF001  # what the setter sets
    try:
        if not any(part._can_set_attn_implementation() for part in models_of(model)):  # noqa: SLF001
            raise at.UnsupportedProblemError(
                f"{type(model).__name__} computes its attention by itself, not through Transformers' AttentionInterface: "
                "nothing can be put in its place. Its arrays can be given to observe() by hand."
            )
        model.set_attn_implementation(NAME)
        yield
    finally:
        for config, implementation in zip(configs, before, strict=True):
            config._attn_implementation_internal = implementation  # noqa: SLF001


def models_of(model: Any) -> list[Any]:
    """A model and the models inside it."""
    return [module for module in model.modules() if isinstance(module, PreTrainedModel)]


def configs_of(model: Any) -> list[Any]:
    """Every configuration that says how a part of the model attends, each once."""
    found: dict[int, Any] = {}
    waiting = [part.config for part in models_of(model)]
    while waiting:
        config = waiting.pop()
        if config is not None and id(config) not in found:
            found[id(config)] = config
            waiting += [getattr(config, name, None) for name in config.sub_configs]
    return list(found.values())
