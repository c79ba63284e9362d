"""The observations of a model's layers, collected call by call."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from attnscope.attention import attention
from attnscope.errors import AttentionError, UnsupportedProblemError
from attnscope.interop.layer_observation import TextOptions, held_apart, joined, kept_of, of_text
from attnscope.interop.runs import Runs
from attnscope.interop.transformers_attention import Call, Observer
from attnscope.observation import Observation, observe


@dataclass(eq=False)
class Seen(Observer):
    """What observing() collected: `seen[3]` is the Observation of layer 3, of all calls together.

    Layers are numbered from 0 in the order in which the model calls them; `seen.names[3]` is the name of a
    layer's module. If the model ran several times, as generate() does, each layer has several observations:
    `seen.calls(3)` lists them, and `seen[3]` has all their queries, one after the other.

    Keys are counted from the start of the text, even if a cache with a window has dropped the first ones: in
    max_key, top_keys, received, segments and first_keys. The output is not kept: its value_dim is 0. Keys of
    another text, as in cross-attention, are at no distance: mean_distance takes the last query to be at the
    last key.

    Rows and tokens follow the cache. Beam search reorders its rows: row r of every call belongs to the text
    that row r of the cache holds at the end. Assisted decoding removes tokens that were not accepted: so are
    their queries, and `received` of the calls that had some is None. Without a cache each run reads the whole
    text again: `seen[3]` is then of the last run.

    Parameters
    ----------
    options : TextOptions
        What is observed.
    layers : frozenset of int or None
        Layers to observe; None: all.
    ablate : frozenset of (int, int)
        Heads whose output is 0, as (layer, head).
    modules : dict
        The model's modules, with their names.
    arguments : list of dict or None
        By layer, the arguments of attention() of the last call; None: they are not kept.
    numbers : dict
        The layers' numbers by module.
    collected : dict
        By layer, the observations, each beside the number of its run.
    runs : Runs
        The runs of the model, and how their rows continue.
    """

    options: TextOptions
    layers: frozenset[int] | None
    ablate: frozenset[tuple[int, int]]
    modules: dict[torch.nn.Module, str]
    arguments: list[dict[str, Any]] | None
    numbers: dict[torch.nn.Module, int] = field(default_factory=dict)
    collected: dict[int, list[tuple[int, Observation]]] = field(default_factory=dict)
    runs: Runs = field(default_factory=Runs)

    @property
    def names(self) -> list[str]:
        """The names of the modules that were called, by layer."""
        return [self.modules[module] for module in self.numbers]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, layer: int) -> Observation:
        calls = self._kept_calls(layer)
        runs = [run for run, _ in calls[1:]]
        last_readings = [
            call
            for call, later in zip(calls, [*runs, None], strict=True)
            if later is None or not self.runs.is_repeated(call[0], later)
        ]
        return joined([(self.runs[run], each) for run, each in last_readings])

    def __iter__(self) -> Iterator[Observation]:
        return (self[layer] for layer in sorted(self.collected))

    def calls(self, layer: int) -> list[Observation]:
        """List a layer's observations, one per run of the model.

        Parameters
        ----------
        layer : int
            Its number; negative numbers count from the last layer.

        Returns
        -------
        list of Observation
            In the order of the runs; without those of which the cache kept no token.

        Raises
        ------
        AttentionError
            If the layer was not observed.
        """
        return [each for _, each in self._kept_calls(layer)]

    def _kept_calls(self, layer: int) -> list[tuple[int, Observation]]:
        number = layer + len(self) if isinstance(layer, int) and layer < 0 else layer
        if number not in self.collected:
            some = ", ".join(map(str, sorted(self.collected)[:8])) or "none" + self._why_none()
            raise AttentionError(f"layer {layer!r} was not observed. Observed are: {some}.")
        kept = self.runs.kept()
        return [
            (run, kept_of(each, kept[run], self.runs[run].start))
            for run, each in self.collected[number]
            if kept[run].tokens != 0
        ]

    def _why_none(self) -> str:
        if self.numbers:
            return f": layers={sorted(self.layers or ())}, and the model called layers 0 to {len(self) - 1}"
        return ": the model ran without calling our attention" if self.runs else ": the model did not run"

    def attend(self, module: torch.nn.Module, call: Call) -> NDArray[Any] | None:
        """Observe a call of one of the model's modules.

        Parameters
        ----------
        module : torch.nn.Module
            The calling module.
        call : Call
            Its arguments.

        Returns
        -------
        ndarray, (batch, heads, tokens, dim), or None
            The output; None to leave the call to attention().
        """
        layer = self.numbers.setdefault(module, len(self.numbers))
        if self.arguments is not None:
            self.arguments += [{} for _ in range(layer + 1 - len(self.arguments))]
            given = {"query": call.query, "key": call.key, "value": call.value}
            self.arguments[layer] = given | call.options
        ablated = self._ablated(layer, call.query.shape[1])
        if self.layers is not None and layer not in self.layers:
            if not ablated:
                return None
            rows: NDArray[Any] = attention(call.query, call.key, call.value, **call.options)
            rows[:, ablated] = 0
            return rows
        asked = self.options.of_keys(call.key_offset, call.key.shape[2])
        observation = observe(call.query, call.key, call.value, **call.options, **asked)
        output: NDArray[Any] = observation.output
        kept = held_apart(of_text(observation, self.options, call.key_offset))
        self.collected.setdefault(layer, []).append((self.runs.current, kept))
        output[:, ablated] = 0
        return output

    def _ablated(self, layer: int, heads: int) -> list[int]:
        """The heads of a layer whose output is 0."""
        named = sorted(head for of_layer, head in self.ablate if of_layer == layer)
        if named and not 0 <= named[0] <= named[-1] < heads:
            raise AttentionError(
                f"ablate names heads {named} of layer {layer}, which has heads 0 to {heads - 1}."
            )
        return named

    def check_layers(self) -> None:
        """Check, after the model ran, that its attention arrived and that it has all named layers.

        Raises
        ------
        UnsupportedProblemError
            If the model ran and called no layer.
        AttentionError
            If `layers` or `ablate` names a layer that was not called.
        """
        if self.runs and not self.numbers:
            raise UnsupportedProblemError(
                "the model ran, and none of its attention went through Transformers' AttentionInterface: it "
                "computes its attention by itself, or has none. Nothing was observed. Give its arrays to "
                "observe() by hand."
            )
        named = {"layers": self.layers or (), "ablate": {layer for layer, _ in self.ablate}}
        for argument, layers in named.items():
            unknown = sorted(layer for layer in layers if layer >= len(self))
            if unknown and self.numbers:
                raise AttentionError(
                    f"{argument} names layer {unknown[0]}, and the model called layers 0 to {len(self) - 1}."
                )


def read_layers(given: Any) -> frozenset[int] | None:
    """The numbers of the layers to observe; None: all.

    Raises
    ------
    AttentionError
        If it is not a collection of numbers from 0.
    """
    if given is None:
        return None
    numbers = None if isinstance(given, str) or not isinstance(given, Iterable) else list(given)
    if numbers is None or not all(_is_number(each) for each in numbers):
        raise AttentionError(
            f"layers is {given!r}, expected numbers of layers, counted from 0 in the order in which the "
            "model calls them: layers=[0, 3], or None for all."
        )
    return frozenset(map(int, numbers))


def read_heads(given: Any) -> frozenset[tuple[int, int]]:
    """The heads that `ablate` names.

    Raises
    ------
    AttentionError
        If it is not a collection of pairs of numbers from 0.
    """
    pairs = None if isinstance(given, str) or not isinstance(given, Iterable) else list(given)
    if pairs is None or not all(map(_is_pair, pairs)):
        raise AttentionError(
            f"ablate is {given!r}, expected pairs (layer, head), both counted from 0: ablate=[(3, 1)], or () "
            "for none."
        )
    return frozenset((int(layer), int(head)) for layer, head in pairs)


def _is_pair(given: Any) -> bool:
    listed = isinstance(given, (Sequence, np.ndarray)) and not isinstance(given, str)
    return listed and len(given) == 2 and all(_is_number(each) for each in given)


def _is_number(given: Any) -> bool:
    return isinstance(given, (int, np.integer)) and not isinstance(given, bool) and bool(given >= 0)
