"""How fast a model can run at most: operations and bytes of prefill and decode, and the hardware's limits."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from os import PathLike
from typing import Any

from attnscope.arguments import whole_number
from attnscope.errors import ConfigError
from attnscope.problem import AttentionShape
from attnscope.sizing.costs import Costs
from attnscope.sizing.hardware import Hardware, read_hardware
from attnscope.sizing.model import ModelDescription
from attnscope.sizing.roofline_result import Phase, Roofline
from attnscope.sizing.size import describe_model, size, state_dtype
from attnscope.sizing.units import BITS, in_units, read_number_format

LARGEST = 2**40  # batch and context up to which a change of the limit is searched
MOST_EDGES = 4096


def roofline(
    config: Mapping[str, Any] | str | PathLike[str] | AttentionShape,
    *,
    prompt: int,
    new_tokens: int,
    hardware: str | Hardware,
    batch: int = 1,
    kv_dtype: str = "bfloat16",
    weight_dtype: str | None = None,
    assume: Mapping[str, Any] | None = None,
) -> Roofline:
    """Bound the time of prefill and decode from below, and find what limits them.

    seconds of a pass = max(operations / flops_per_second, bytes / bytes_per_second)

    Parameters
    ----------
    config : mapping, path or AttentionShape
        As in `size`.
    prompt : int
        Tokens that each sequence starts with.
    new_tokens : int
        Tokens that are decoded after it, one step each.
    hardware : str or Hardware
        A name from `Hardware.known()`, or a Hardware; `Hardware.measure()` is this machine.
    batch : int
        Sequences.
    kv_dtype : str
        Number format of the cache.
    weight_dtype : str or None
        Number format of all weights; None: the config's, or bfloat16.
    assume : mapping or None
        As in `size`.

    Returns
    -------
    Roofline
        Both passes, their limits and times; it prints as a table, and `explain()` shows every formula.

    Raises
    ------
    ConfigError
        If an argument is impossible, the model has an encoder, or the config does not determine its weights.

    Notes
    -----
    A lower bound: activations, norms, kernel launches and networks between devices take additional time, and
    no machine reaches its data sheet. Arithmetic runs at the 16-bit rate, whatever the formats.

    Examples
    --------
    >>> llama = {"model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "head_dim": 128,
    ...          "num_attention_heads": 32, "num_key_value_heads": 8,
    ...          "intermediate_size": 14336, "vocab_size": 128256}
    >>> line = roofline(llama, prompt=8000, new_tokens=192, hardware="h100")
    >>> line.prefill.bound, line.decode.bound
    ('compute', 'memory')
    >>> round(line.tokens_per_second)  # 15 GB of weights and 1 GB of cache at 3.35 TB/s
    208
    """
    prompt = whole_number(prompt, "prompt", minimum=1, error=ConfigError)
    new_tokens = whole_number(new_tokens, "new_tokens", minimum=1, error=ConfigError)
    batch = whole_number(batch, "batch", minimum=1, error=ConfigError)
    limits = read_hardware(hardware)
    kv_dtype = read_number_format(kv_dtype)
    model = describe_model(config, assume)
    _check_weights(model)
    costs = Costs(model, _weight_dtype(model, weight_dtype), kv_dtype, state_dtype(model, kv_dtype))
    context = prompt + new_tokens
    cache = size(config, context=context, batch=batch, kv_dtype=kv_dtype, assume=assume)
    return Roofline(
        model_type=model.model_type,
        prompt=prompt,
        new_tokens=new_tokens,
        batch=batch,
        kv_dtype=kv_dtype,
        weight_dtype=costs.weight_dtype,
        hardware=limits,
        prefill=Phase("prefill", costs.prefill(prompt, batch), limits),
        decode=step_phase(costs, limits, context, batch),
        decode_seconds=steps_seconds(costs, limits, prompt + 1, context, batch),
        ridge_batch=ridge_batch(costs, limits, context),
        weights_ridge_batch=weights_ridge_batch(costs, limits),
        ridge_context=ridge_context(costs, limits, batch),
        notes=_notes(model, limits, costs, cache.cache_bytes),
    )


def _weight_dtype(model: ModelDescription, given: str | None) -> str:
    if given is None and model.quantized:
        raise ConfigError(
            "the config has a quantization_config, whose number of bits is not read here. "
            "Give the nearest: weight_dtype='fp8' or 'int4' (--weight-dtype)."
        )
    return read_number_format(given or model.number_format or "bfloat16", "weight_dtype")


def _check_weights(model: ModelDescription) -> None:
    if model.has_encoder:
        raise ConfigError(
            f"{model.model_type} has an encoder, and the roofline counts decoders only. Use size() for its "
            "cache."
        )
    if model.weights_missing and model.model_type != "AttentionShape":
        raise ConfigError(
            f"the roofline of {model.model_type} needs all of its weights, and {model.weights_missing}. "
            "Use size() for its cache, or give a missing field with assume=."
        )


def _notes(model: ModelDescription, hardware: Hardware, costs: Costs, cache_bytes: int) -> tuple[str, ...]:
    notes = list(model.notes)
    if model.weights is None:
        notes.append("one attention layer alone: a shape has no projections and no MLP")
    needed = cache_bytes + (model.weights or 0) * BITS[costs.weight_dtype] // 8
    if hardware.memory_bytes is not None and needed > hardware.memory_bytes:
        notes.append(
            f"does not fit: weights and cache take {in_units(needed)}, and {hardware.name} has "
            f"{in_units(hardware.memory_bytes)}; several devices would divide all times at best by their "
            "number"
        )
    if any(layer.states for layer in model.layers):
        notes.append("operations on recurrent states are estimated: 6 per number and token")
    return tuple(notes)


def step_phase(costs: Costs, hardware: Hardware, context: int, batch: int) -> Phase:
    """The decode step of `batch` sequences of `context` tokens."""
    return Phase("decode step", costs.step(context, batch), hardware)


def ridge_batch(costs: Costs, hardware: Hardware, context: int) -> int | None:
    """The smallest batch whose decode step is compute-bound; None if all are, or none is.

    A larger batch shares the weights that it reads, so the intensity only grows.
    """
    return _first_change(lambda batch: step_phase(costs, hardware, context, batch).bound, 1, LARGEST)


def weights_ridge_batch(costs: Costs, hardware: Hardware) -> int | None:
    """The same for the weights alone: projections, MLPs and unembedding, without attention and cache."""

    def bound(batch: int) -> str:
        parts = costs.step(1, batch)
        of_weights = tuple(part for part in parts if part.name not in ("attention", "cache"))
        return Phase("weights", of_weights, hardware).bound

    return _first_change(bound, 1, LARGEST)


def ridge_context(costs: Costs, hardware: Hardware, batch: int) -> int | None:
    """The smallest context with another limit than a context of 1; None if the limit never changes.

    Between the edges operations and bytes grow linearly, so they cross at most once. Of chunked layers only
    the first chunk is searched, since later ones repeat it.
    """

    def bound(context: int) -> str:
        return step_phase(costs, hardware, context, batch).bound

    edges = sorted({1, *costs.edges(), *costs.chunks(), LARGEST})
    for start, end in pairwise(edges):
        change = _first_change(bound, start, end)
        if change is not None:
            return change
    return None


def _first_change(bound: Callable[[int], str], start: int, end: int) -> int | None:
    """The first number in (start, end] with another limit than start's, if there is at most one change."""
    before = bound(start)
    if bound(end) == before:
        return None
    while end - start > 1:
        middle = (start + end) // 2
        if bound(middle) == before:
            start = middle
        else:
            end = middle
    return end


def steps_seconds(costs: Costs, hardware: Hardware, first: int, last: int, batch: int) -> float:
    """The sum of the seconds of the steps at contexts first to last.

    Between edges the seconds grow linearly while one limit applies: count * (first + last) / 2. More than
    4,096 chunks are summed several at a time.
    """
    starts = {edge + 1 for edge in costs.edges() if first <= edge < last}
    for chunk in costs.chunks():
        stride = chunk * max(1, (last - first) // chunk // MOST_EDGES)
        starts |= set(range(first + (-(first - 1)) % chunk, last + 1, stride))
    bounds = sorted({first, *starts, last + 1})
    return sum(_linear_seconds(costs, hardware, batch, start, end - 1) for start, end in pairwise(bounds))


def _linear_seconds(costs: Costs, hardware: Hardware, batch: int, first: int, last: int) -> float:
    at_first = step_phase(costs, hardware, first, batch)
    at_last = step_phase(costs, hardware, last, batch)
    if at_first.bound == at_last.bound or last - first < 2:
        return (last - first + 1) * (at_first.seconds + at_last.seconds) / 2
    middle = (first + last) // 2
    return _linear_seconds(costs, hardware, batch, first, middle) + _linear_seconds(
        costs, hardware, batch, middle + 1, last
    )
