"""Where a whole Transformers model looks: an observation of each layer, collected while it runs."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

import attnscope as at
from attnscope.interop.runs import Runs
from attnscope.interop.seen_layer import AskedOfText, Segments, joined, of_text, rows_of
from attnscope.interop.transformers_attention import Call, Observer, observers

NAME = "attnscope"


@dataclass(eq=False)
class Seen(Observer):
    """What observing() collected: `seen[3]` is layer 3's Observation, of all calls together.

    Layers are numbered from 0 in the order in which the model calls them, which names tell: `seen.names[3]`. A model
    that was called several times, as generate() does, gave each layer several observations: `seen.calls(3)` lists them,
    `seen[3]` has all their queries, one after the other. Rows follow the cache: beam search reorders its rows, and
    row r of every call is of the text that row r of the cache holds in the end.

    Keys are counted from the start of the text, also where a cache with a window has let go of the first ones: in
    max_key, top_keys, received, segments and first_keys. The output is not kept: its value_dim is 0.
    """

    asked: AskedOfText
    layers: Collection[int] | None
    ablate: frozenset[tuple[int, int]]
    modules: dict[torch.nn.Module, str]
    arguments: list[dict[str, Any]] | None  # of attention(), by layer, where they are kept
    numbers: dict[torch.nn.Module, int] = field(default_factory=dict)
    collected: dict[int, list[tuple[int, at.Observation]]] = field(
        default_factory=dict
    )  # beside the run's number
    runs: Runs = field(default_factory=Runs)

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
            some = ", ".join(map(str, sorted(self.collected)[:8])) or "none" + self._why_none()
            raise at.AttentionError(f"layer {layer!r} was not observed. Observed are: {some}.")
        orders = self.runs.orders()
        return [rows_of(each, orders[run]) for run, each in self.collected[number]]

    def _why_none(self) -> str:
        if self.numbers:
            return f": layers={self.layers!r}, and the model called layers 0 to {len(self) - 1}"
        return (
            ": the model ran, and none of its attention came here" if self.runs else ": the model did not run"
        )

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
        kept = of_text(observation, self.asked, call.key_offset)
        self.collected.setdefault(layer, []).append((self.runs.last, kept))
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

    def check_layers(self) -> None:
        """Refuse a layer in `layers` or `ablate` that the model does not have, and a model that called none."""
        if self.runs and not self.numbers:
            raise at.UnsupportedProblemError(
                "the model ran, and none of its attention went through Transformers' AttentionInterface: it computes "
                "its attention by itself, or has none. Nothing was observed. Its arrays can be given to observe() by hand."
            )
        named = {"layers": self.layers or (), "ablate": {layer for layer, _ in self.ablate}}
        for argument, layers in named.items():
            unknown = sorted(layer for layer in layers if layer >= len(self.numbers))
            if unknown and self.numbers:
                raise at.AttentionError(
                    f"{argument} names layer {unknown[0]}, and the model called layers 0 to {len(self.numbers) - 1}."
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
        UnsupportedProblemError for a model whose attention does not go through Transformers' AttentionInterface, when
        the block begins if its class shows that, else when it ends; and for what register() names. AttentionError
        for a model that is being observed already, for ranges, layers and heads that cannot be, and, when the block
        ends, for layers that the model did not call.

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
    seen = Seen(asked, read_layers(layers), read_heads(ablate), modules, [] if keep_arguments else None)
    with attending_by_attnscope(model), seen.runs.followed(models_of(model)):
        observers.update(dict.fromkeys(modules, seen))
        try:
            yield seen
        finally:
            for module in modules:
                observers.pop(module, None)
    seen.check_layers()


def read_layers(given: Any) -> frozenset[int] | None:
    """The numbers of layers; None: all.

    Errors
        AttentionError for what is no collection of numbers from 0.
    """
    if given is None:
        return None
    numbers = None if isinstance(given, str) or not isinstance(given, Iterable) else list(given)
    if numbers is None or not all(is_number(each) for each in numbers):
        raise at.AttentionError(
            f"layers is {given!r}, expected numbers of layers, counted from 0 in the order in which the model calls them: "
            "layers=[0, 3], or None for all."
        )
    return frozenset(map(int, numbers))


def read_heads(given: Any) -> frozenset[tuple[int, int]]:
    """The heads that `ablate` names.

    Errors
        AttentionError for what is no collection of pairs of numbers from 0.
    """
    pairs = None if isinstance(given, str) or not isinstance(given, Iterable) else list(given)
    if pairs is None or not all(
        isinstance(pair, Sequence) and len(pair) == 2 and all(is_number(each) for each in pair)
        for pair in pairs
    ):
        raise at.AttentionError(
            f"ablate is {given!r}, expected pairs (layer, head), both counted from 0: ablate=[(3, 1)], or () for none."
        )
    return frozenset((int(layer), int(head)) for layer, head in pairs)


def is_number(given: Any) -> bool:
    return isinstance(given, (int, np.integer)) and not isinstance(given, bool) and bool(given >= 0)


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
