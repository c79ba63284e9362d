"""How fast a model can run at the most: operations and bytes of prefill and decode, beside the hardware's limits."""

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

from attnscope.arguments import whole_number
from attnscope.errors import ConfigError
from attnscope.problem import AttentionShape
from attnscope.sizing.costs import Costs
from attnscope.sizing.hardware import Hardware, read_hardware
from attnscope.sizing.model import ModelDescription
from attnscope.sizing.number_formats import BITS, read_number_format
from attnscope.sizing.phase import Phase
from attnscope.sizing.ridge import ridge_batch, ridge_context, step_phase, steps_seconds, weights_ridge_batch
from attnscope.sizing.roofline_table import explanation, table
from attnscope.sizing.size import describe_model, size, state_dtype
from attnscope.sizing.table import in_units


@dataclass(frozen=True)
class Roofline:
    """A bound from below on the seconds that a prompt and the tokens after it take.

    prefill            Phase: all prompts in one pass. It also predicts the first new token
    decode             Phase: the last step, which has the longest cache: prompt + new_tokens
    decode_seconds     all new_tokens steps, each at its own context; a step reads one new token of each sequence
    ridge_batch        the least batch, at the last step's context, whose step is bound by arithmetic; None: no batch
                       changes what binds
    weights_ridge_batch    the same for the weights alone, without attention and cache, at any context
    ridge_context      the least context, at this batch, whose step is bound by another limit than a context of 1; None:
                       no context changes what binds
    notes              what the reader must know

    Source
        Williams, Waterman & Patterson 2009, "Roofline", doi:10.1145/1498765.1498785.
    """

    model_type: str
    prompt: int
    new_tokens: int
    batch: int
    kv_dtype: str
    weight_dtype: str
    hardware: Hardware
    prefill: Phase
    decode: Phase
    decode_seconds: float
    ridge_batch: int | None
    weights_ridge_batch: int | None
    ridge_context: int | None
    notes: tuple[str, ...] = ()

    @property
    def total_seconds(self) -> float:
        """The prefill and all steps."""
        return self.prefill.seconds + self.decode_seconds

    @property
    def tokens_per_second(self) -> float:
        """New tokens of the whole batch a second of decoding."""
        return self.batch * self.new_tokens / self.decode_seconds

    @property
    def bound(self) -> str:
        """What limits the decode step: "arithmetic" or "reading"."""
        return self.decode.bound

    def explain(self) -> str:
        """The formulas with their numbers, part by part."""
        return explanation(self)

    def __repr__(self) -> str:
        return table(self)

    __str__ = __repr__


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
    """What limits a model's prefill and decode on this hardware, and how long they take at the least.

    seconds of a pass = max(operations / flops_per_second, bytes / bytes_per_second)

    config, assume     as in size()
    prompt             tokens that each sequence brings
    new_tokens         tokens that are decoded after it, one step each
    hardware           a name, of which Hardware.known() lists all, or a Hardware; Hardware.measure() is this machine
    weight_dtype       of all weights; what the config says unless given, or bfloat16

    What each part counts stands in `explain()`. Arithmetic runs at the 16-bit rate, whatever the formats.

    Precision
        A bound from below: activations, norms, launches and the network between devices take time of their own, and no
        machine reaches its data sheet.
    Errors
        ConfigError, a ValueError, which names what is wrong: also for encoder-decoders, and for models whose MLPs the
        config does not tell.

    >>> llama = {"model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "num_attention_heads": 32,
    ...          "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 14336, "vocab_size": 128256}
    >>> line = roofline(llama, prompt=8000, new_tokens=192, hardware="h100")
    >>> line.prefill.bound, line.decode.bound
    ('arithmetic', 'reading')
    >>> round(line.tokens_per_second)
    208
    """
    prompt = _positive(prompt, "prompt")
    new_tokens = _positive(new_tokens, "new_tokens")
    batch = _positive(batch, "batch")
    limits = read_hardware(hardware)
    kv_dtype = read_number_format(kv_dtype)
    model = describe_model(config, assume)
    _check_counted(model)
    if weight_dtype is None and model.quantized:
        raise ConfigError(
            "the config has a quantization_config, and in how many bits that keeps the weights is not read. "
            "Say the nearest: weight_dtype='fp8' or 'int4' (--weight-dtype)."
        )
    weight_dtype = read_number_format(weight_dtype or model.number_format or "bfloat16", "weight_dtype")
    costs = Costs(model, weight_dtype, kv_dtype, state_dtype(model, kv_dtype))
    context = prompt + new_tokens
    return Roofline(
        model_type=model.model_type,
        prompt=prompt,
        new_tokens=new_tokens,
        batch=batch,
        kv_dtype=kv_dtype,
        weight_dtype=weight_dtype,
        hardware=limits,
        prefill=Phase("prefill", costs.prefill(prompt, batch), limits),
        decode=step_phase(costs, limits, context, batch),
        decode_seconds=steps_seconds(costs, limits, prompt + 1, context, batch),
        ridge_batch=ridge_batch(costs, limits, context),
        weights_ridge_batch=weights_ridge_batch(costs, limits),
        ridge_context=ridge_context(costs, limits, batch),
        notes=_notes(model, limits, costs, _cache_bytes(config, context, batch, kv_dtype, assume)),
    )


def _positive(given: Any, name: str) -> int:
    return whole_number(given, name, minimum=1, error=ConfigError)


def _check_counted(model: ModelDescription) -> None:
    if model.has_encoder:
        raise ConfigError(
            f"{model.model_type} has an encoder, and the roofline counts decoders only. Use size() for its cache."
        )
    if model.weights_missing and model.model_type != "AttentionShape":
        raise ConfigError(
            f"the roofline of {model.model_type} needs all of its weights, and {model.weights_missing}. "
            "Use size() for its cache, or give a missing field with assume=."
        )


def _cache_bytes(
    config: Any, context: int, batch: int, kv_dtype: str, assume: Mapping[str, Any] | None
) -> int:
    return size(config, context=context, batch=batch, kv_dtype=kv_dtype, assume=assume).cache_bytes


def _notes(model: ModelDescription, hardware: Hardware, costs: Costs, cache_bytes: int) -> tuple[str, ...]:
    notes = [f"not in the file: {text}" for text in model.filled]
    notes += [f"assumed: {text}" for text in model.assumed]
    if model.weights is None:
        notes.append("one attention layer alone: a shape has no projections and no MLP")
    needed = cache_bytes + (model.weights or 0) * BITS[costs.weight_dtype] // 8
    if hardware.memory_bytes is not None and needed > hardware.memory_bytes:
        notes.append(
            f"does not fit: weights and cache take {in_units(needed)}, and {hardware.name} has "
            f"{in_units(hardware.memory_bytes)}; as many devices as it takes would share all times, at the best"
        )
    if any(layer.states for layer in model.layers):
        notes.append("the operations on recurrent states are estimated: 6 a number and token")
    return tuple(notes)
