"""Rows that follow one prefix, as a batch: the keys and values of the prefix are computed and stored once.

    prefix     keys and values of `tokens` tokens, per call of attention      computed once
    items      rows that follow the prefix, each with keys hidden from them   computed as a batch

A row of an item attends to the shared keys and to the keys of its own item, as two partials that are merged.
No key of the prefix is copied, whatever the number of items.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import Cache, DynamicCache, cache_utils

from attnscope.attention import merge_partials, partial_attention
from attnscope.errors import UnsupportedProblemError
from attnscope.interop.observing import attending_by_attnscope
from attnscope.interop.transformers_attention import Call, Observer, observers
from attnscope.observation import observe
from attnscope.problem import Dense, Mask
from attnscope.result import PartialAttention

Array = NDArray[Any]
Bools = NDArray[np.bool_]


class KeptCall(NamedTuple):
    """The keys and values that one call of attention read: (1, kv_heads, tokens, dim)."""

    module: torch.nn.Module
    key: Array
    value: Array


@dataclass(eq=False)
class Recorder(Observer):
    """Keeps keys and values of every call, in the order of the calls."""

    calls: list[KeptCall] = field(default_factory=list)

    def attend(self, module: torch.nn.Module, call: Call) -> None:
        self.calls.append(KeptCall(module, call.key, call.value))


@dataclass(eq=False, kw_only=True)
class Follower(Observer):
    """Attention of rows that follow a prefix.

    Parameters
    ----------
    calls : list of KeptCall
        The prefix.
    held_keys : int
        How many of its tokens the rows follow.
    hidden : ndarray of bool, (items, tokens)
        The tokens whose keys the rows of an item do not see; a row always sees its own.
    factors : ndarray of float32, (rows,), or None
        Of a single item: sum what each key receives from its rows, times these factors.
    """

    calls: list[KeptCall]
    held_keys: int
    hidden: Bools
    factors: NDArray[np.float32] | None = None
    received: list[Array] = field(default_factory=list)  # one per call, (query_heads, keys)
    done: int = 0
    _entries: list[tuple[Mask | None, Bools]] = field(default_factory=list)

    def begin(self) -> None:
        """Before each run of the model."""
        self.done = 0
        self._entries.clear()

    def next_prefix(self, module: torch.nn.Module) -> KeptCall:
        """The keys and values that precede those of the next call."""
        if self.done >= len(self.calls) or self.calls[self.done].module is not module:
            raise UnsupportedProblemError(
                f"{type(module).__name__} is called in another order after a prefix than within it, so its "
                "keys cannot be kept."
            )
        kept = self.calls[self.done]
        self.done += 1
        return KeptCall(module, kept.key[:, :, : self.held_keys], kept.value[:, :, : self.held_keys])

    def attend(self, module: torch.nn.Module, call: Call) -> Array:
        prefix = self.next_prefix(module)
        options = dict(call.options)
        shown = self._shown(options.pop("mask", None), call.query.shape[2], call.key.shape[2])
        if self.factors is not None:
            self.received.append(received_of(call, prefix, shown, options, self.factors))
        return attention_after(prefix, call, shown, options)

    def _shown(self, mask: Mask | None, rows: int, own_keys: int) -> Bools:
        """Which keys of the prefix and of its item each row sees: (items, rows, keys)."""
        for known, entries in self._entries:  # layers share their masks
            if known is mask and entries.shape[1:] == (rows, self.held_keys + own_keys):
                return entries
        items, keys = len(self.hidden), self.held_keys + own_keys
        visible = np.ones((1, rows, keys), np.bool_)
        if mask is not None:
            visible = mask.visible(rows, keys, batch=items).reshape(-1, rows, keys)
        own = np.arange(keys) == np.arange(keys - rows, keys)[:, None]
        found: Bools = visible & (~self.hidden[:, None, :keys] | own)
        self._entries.append((mask, found))
        return found


def attention_after(prefix: KeptCall, call: Call, shown: Bools, options: dict[str, Any]) -> Array:
    """The output (items, query_heads, rows, value_dim): shared keys and own keys, merged."""
    held = prefix.key.shape[2]
    bias = options.pop("bias", None)
    sinks = options.pop("sinks", None)
    given = options if bias is None else options | {"bias": with_keys(bias, held, shown.shape[2], own=True)}
    own = partial_attention(
        call.query, call.key, call.value, mask=Dense(shown[:, None, :, held:]), sinks=sinks, **given
    )
    if held == 0:
        return own.output
    items, heads, rows, _ = call.query.shape
    if bias is not None:
        of_prefix = with_keys(bias, held, shown.shape[2], own=False)
        options |= {"bias": as_one_item(np.broadcast_to(of_prefix, (items, heads, rows, held)))}
    shared = partial_attention(
        as_one_item(call.query),
        prefix.key,
        prefix.value,
        mask=Dense(shown[:, :, :held].reshape(1, 1, items * rows, held)),
        **options,
    )
    output = as_items(shared.output, items)
    logsumexp = as_items(shared.logsumexp[..., None], items)[..., 0]
    return merge_partials(own, PartialAttention(output, logsumexp)).output


def as_one_item(rows: Array) -> Array:
    """(items, heads, rows, dim) as (1, heads, items * rows, dim)."""
    items, heads, count, dim = rows.shape
    return np.ascontiguousarray(rows.transpose(1, 0, 2, 3)).reshape(1, heads, items * count, dim)


def as_items(rows: Array, items: int) -> Array:
    """(1, heads, items * rows, dim) as (items, heads, rows, dim)."""
    _, heads, count, dim = rows.shape
    return rows.reshape(heads, items, count // items, dim).transpose(1, 0, 2, 3)


def with_keys(bias: Array, held: int, keys: int, *, own: bool) -> Array:
    """The part of a bias that is about the keys of the prefix, or about the own keys of the items."""
    if bias.shape[-1] != keys:
        return bias
    return bias[..., held:] if own else bias[..., :held]


def received_of(
    call: Call, prefix: KeptCall, shown: Bools, options: dict[str, Any], factors: NDArray[np.float32]
) -> Array:
    """What each key receives from the rows of a single item, times their factors: (query_heads, keys)."""
    key = np.concatenate([prefix.key, call.key], axis=2)
    value = np.concatenate([prefix.value, call.value], axis=2)
    seen = observe(call.query, key, value, mask=Dense(shown[:, None]), received=factors, **options)
    assert seen.received is not None
    received: Array = seen.received[0]
    return received


class PrefixLayer(cache_utils.DynamicLayer):  # type: ignore[misc]  # Transformers has no types here
    """A layer of a cache that counts the tokens of a prefix, and holds only those after it."""

    def __init__(self, held: int) -> None:
        super().__init__()
        self.held = held

    def get_seq_length(self) -> int:
        return self.held + int(super().get_seq_length())

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.get_seq_length() + query_length, 0


class SharedPrefix:
    """A Transformers model after a prefix that was read once.

    Parameters
    ----------
    model : PreTrainedModel
        A causal model whose attention goes through Transformers' AttentionInterface.

    Raises
    ------
    UnsupportedProblemError
        If a layer keeps something else than keys and values, such as a recurrent state.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.body = getattr(model, "base_model", model)
        self.calls: list[KeptCall] = []
        refuse_states(model)

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def read(self, ids: NDArray[np.int64]) -> None:
        """Run the model once on a text and keep the keys and values of all its tokens.

        Parameters
        ----------
        ids : ndarray of int64, (tokens,)
        """
        recorder = Recorder()
        with attended_by(self.model, recorder):
            self.body(input_ids=torch.from_numpy(ids[None]), use_cache=False)
        self.calls = recorder.calls

    def begin(self, held: int, hidden: Bools, factors: NDArray[np.float32] | None = None) -> "Continuation":
        """Start rows that follow the first `held` tokens of the text.

        Parameters
        ----------
        held : int
            The number of tokens.
        hidden : ndarray of bool, (items, tokens)
            The tokens whose keys the rows of an item do not see. A row always sees its own key.
        factors : ndarray of float32, (rows,), optional
            Of a single item: sum what each key receives from its rows, times these factors.

        Returns
        -------
        Continuation
            To run the rows.
        """
        layers = [PrefixLayer(held) if has_keys(each) else each for each in layers_of(self.model)]
        follower = Follower(calls=self.calls, held_keys=held, hidden=hidden, factors=factors)
        return Continuation(self.model, follower, Cache(layers=layers))


@dataclass(eq=False)
class Continuation:
    """Items that follow a prefix, and a cache of their own keys."""

    model: Any
    follower: Follower
    cache: Any

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def run(self, ids: NDArray[np.int64], last: int, lengths: NDArray[np.int64] | None = None) -> Any:
        """Run the next rows of all items.

        Parameters
        ----------
        ids : ndarray of int64, (items, rows)
            Their tokens.
        last : int
            Return the logits of so many rows, the last ones.
        lengths : ndarray of int64, (items,), optional
            The rows of each item, if some have fewer; those behind them are of no use, and no row sees them.

        Returns
        -------
        Tensor, (items, last, vocabulary)
            The logits.
        """
        return self._run(ids, last, lengths)

    @torch.inference_mode(mode=False)  # type: ignore[untyped-decorator]
    @torch.enable_grad()  # type: ignore[untyped-decorator]
    def run_recorded(self, ids: NDArray[np.int64], last: int) -> Any:
        """Run the rows as run() does, and let torch record them.

        Parameters
        ----------
        ids, last
            As of run().

        Returns
        -------
        Tensor, (items, last, vocabulary)
            The logits.
        """
        return self._run(ids, last)

    def _run(self, ids: NDArray[np.int64], last: int, lengths: NDArray[np.int64] | None = None) -> Any:
        ends = np.full(len(ids), ids.shape[1]) if lengths is None else lengths
        with attended_by(self.model, self.follower), projected_rows(self.model, ends, last) as chosen:
            self.follower.begin()
            found = self.model(
                input_ids=torch.from_numpy(np.ascontiguousarray(ids)),
                past_key_values=self.cache,
                use_cache=True,
                **logits_of_last(self.model, 0 if chosen else last),
            )
        return found.logits if chosen else rows_before(found.logits, ends, last)


@contextmanager
def attended_by(model: Any, observer: Observer) -> Iterator[None]:
    """Give all attention of a model to an observer within the block."""
    modules = list(model.modules())
    with attending_by_attnscope(model):
        observers.update(dict.fromkeys(modules, observer))
        try:
            yield
        finally:
            for module in modules:
                observers.pop(module, None)


@contextmanager
def projected_rows(model: Any, ends: NDArray[np.int64], last: int) -> Iterator[bool]:
    """Let a model compute the logits of the last rows of each item alone; False if it has no projection.

    The chosen rows are copied: for a view with gaps, torch would copy the projection's weights once per
    item.
    """
    projection = model.get_output_embeddings()
    if projection is None:
        yield False
        return
    hook = projection.register_forward_pre_hook(lambda _, rows: (rows_before(rows[0], ends, last),))
    try:
        yield True
    finally:
        hook.remove()


def rows_before(rows: torch.Tensor, ends: NDArray[np.int64], last: int) -> torch.Tensor:
    """The last rows of each item, (items, last, width), in memory of their own."""
    places = torch.from_numpy(ends[:, None] - last + np.arange(last))
    return rows[torch.arange(len(ends))[:, None], places]


def logits_of_last(model: Any, rows: int) -> dict[str, int]:
    """The argument by which a model computes the logits of its last rows only; most models have it."""
    accepted = inspect.signature(model.forward).parameters
    return {"logits_to_keep": rows} if "logits_to_keep" in accepted else {}


def layers_of(model: Any) -> list[Any]:
    """The layers of the cache that Transformers makes for a model."""
    layers: list[Any] = DynamicCache(config=model.config).layers
    return layers


def has_keys(layer: Any) -> bool:
    """Whether a layer of a cache holds keys and values; others share those of another layer."""
    return not isinstance(layer, cache_utils.DummyLayer)


def refuse_states(model: Any) -> None:
    """Raise UnsupportedProblemError if a layer keeps something else than keys and values."""
    known = (cache_utils.DynamicLayer, cache_utils.DynamicSlidingWindowLayer, cache_utils.DummyLayer)
    for number, layer in enumerate(layers_of(model)):
        if type(layer) not in known:
            raise UnsupportedProblemError(
                f"layer {number} of {type(model).__name__} keeps a {type(layer).__name__}, "
                "not keys and values alone: no source can be hidden from what it has already mixed."
            )
