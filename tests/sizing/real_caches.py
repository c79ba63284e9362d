"""The caches that Transformers really makes: of a model on the meta device, after a prompt and one token.

On torch.device("meta") a tensor has a shape and no memory, so that models run at their full size. One model
that fails or hangs must not stop the rest: each has a time limit, and its failure is its outcome.
"""

import json
import math
import signal
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

BATCH = 2
SECONDS = 90
SHORTEST_PROMPT, BEYOND_THE_WINDOW, LONGEST_WINDOW = 100, 33, 9_000
CACHES = ("past_key_values", "cache_params")
CACHE_ENGINES = ("hf", "hf-static")


@dataclass
class Outcome:
    """How one model's real cache compares: equal, refused, wrong or not runnable, for each engine."""

    name: str
    verdicts: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    parameters: int | None = None


class TooSlow(Exception):
    """The time limit of one model."""


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TooSlow(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def prepare() -> None:
    """Quiet, and without checks of values that meta tensors do not have."""
    import torch
    import transformers

    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    torch.distributions.Distribution.set_default_validate_args(False)


def default_config(model_type: str) -> dict[str, Any]:
    """What the installed Transformers writes for an architecture without a config file."""
    from transformers import CONFIG_MAPPING

    config = CONFIG_MAPPING[model_type]()
    if getattr(config, "is_decoder", None) is False and not config.is_encoder_decoder:
        config.is_decoder = True  # an encoder by default
    written: dict[str, Any] = json.loads(json.dumps(config.to_dict(), default=str))
    return written


def model_types() -> list[str]:
    """Every architecture of the installed Transformers that generates text."""
    import transformers as t

    generating = (
        t.MODEL_FOR_CAUSAL_LM_MAPPING,
        t.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
        t.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING,
    )
    return sorted(
        name for name, kind in t.CONFIG_MAPPING.items() if any(kind in known for known in generating)
    )


def config_of(fields: Mapping[str, Any]) -> Any:
    """A config object of a file's fields; of a model of pictures its decoder's, if that runs by itself."""
    from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING

    config = CONFIG_MAPPING[fields["model_type"]].from_dict(dict(fields))
    if config.is_encoder_decoder:
        return config
    text = config.get_text_config(decoder=True)
    return text if text is not config and type(text) in MODEL_FOR_CAUSAL_LM_MAPPING else config


def build(config: Any) -> Any:
    """The model at its full size, without memory, with attention and experts that need no values."""
    import torch
    import transformers as t

    kinds = (
        [t.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING, t.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING]
        if config.is_encoder_decoder
        else [t.MODEL_FOR_CAUSAL_LM_MAPPING, t.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING]
    )
    model_class = next(kind[type(config)] for kind in kinds if type(config) in kind)
    for each in (config, config.get_text_config(decoder=True)):
        each._attn_implementation, each._experts_implementation, each.use_cache = "eager", "batched_mm", True
    with torch.device("meta"):
        return model_class._from_config(config, dtype=torch.bfloat16).eval()


def cached(model: Any, prompt: int, encoder_tokens: int, engine: str) -> Any:
    """The cache that generate() makes: after a prompt and one token more, or, if it is static, for so many.

    A static cache has its full size from the first token, so that one token is enough.
    """
    import torch
    from transformers.modeling_outputs import BaseModelOutput

    settings = model.generation_config
    settings.use_cache, settings.num_beams, settings.num_return_sequences = True, 1, 1
    settings.cache_implementation = "static" if engine == "hf-static" else None
    with torch.no_grad(), torch.device("meta"):
        given: dict[str, Any] = {}
        if model.config.is_encoder_decoder:
            output = torch.zeros(BATCH, encoder_tokens, model.config.hidden_size, dtype=torch.bfloat16)
            given["encoder_outputs"] = BaseModelOutput(output)
        name = CACHES["mamba" in type(model).__name__.lower()]
        prepared = dict(given)
        model._prepare_cache_for_generation(settings, prepared, None, BATCH, prompt + 1)
        cache = prepared.get(name)
        if engine == "hf-static" and cache is None:
            raise NotImplementedError("makes its own cache, which is never static")
        tokens = "decoder_input_ids" if model.config.is_encoder_decoder else "input_ids"
        for length in (1,) if engine == "hf-static" else (prompt, 1):
            if cache is not None:
                given[name] = cache
            output = model(**{tokens: torch.zeros(BATCH, length, dtype=torch.long)}, **given, use_cache=True)
            cache = next(
                (getattr(output, each) for each in CACHES if getattr(output, each, None) is not None), None
            )
            if cache is None:
                raise NotImplementedError("returns no cache")
    return cache


def tensors(held: Any, seen: set[int]) -> Iterator[Any]:
    """Every tensor in a cache once, counters left out."""
    import torch

    if id(held) in seen:
        return
    seen.add(id(held))
    if isinstance(held, torch.Tensor):
        yield from [held] if held.dim() else []
        return
    if type(held).__module__.startswith("transformers") and "config" not in type(held).__module__:
        held = vars(held)
    if isinstance(held, Mapping):
        held = list(held.values())
    if isinstance(held, list | tuple):
        for each in held:
            yield from tensors(each, seen)


def real_bytes(cache: Any) -> int:
    return sum(math.prod(tensor.shape) * tensor.element_size() for tensor in tensors(cache, set()))


def longest_window(fields: Mapping[str, Any]) -> int:
    """Of what a config calls so, the largest that a prompt can pass here."""
    inner = [value for value in fields.values() if isinstance(value, Mapping)]
    own = [v for k, v in fields.items() if ("window" in k or k == "attention_chunk_size") and type(v) is int]
    return max([w for w in own if w <= LONGEST_WINDOW] + [longest_window(each) for each in inner], default=0)


def compare(name: str, fields: dict[str, Any], runs_as: str | None = None) -> Outcome:
    """One model: its real caches beside the sizes of the same file."""
    prepare()
    outcome = Outcome(name)
    prompt = max(longest_window(fields), SHORTEST_PROMPT) + BEYOND_THE_WINDOW
    try:
        with time_limit(SECONDS):
            config = config_of(fields if runs_as is None else {**fields, "model_type": runs_as})
            model = build(config)
            outcome.parameters = sum(each.numel() for each in model.parameters())
    except Exception as error:  # noqa: BLE001  # whatever a foreign model raises is its outcome
        reason = _reason(error)
        return Outcome(
            name, dict.fromkeys(CACHE_ENGINES, "not runnable"), dict.fromkeys(CACHE_ENGINES, reason)
        )
    for engine in CACHE_ENGINES:
        try:
            with time_limit(SECONDS):
                encoder_tokens = getattr(config, "max_source_positions", prompt + 1)
                encoder_tokens = encoder_tokens if config.model_type == "whisper" else prompt + 1
                real = real_bytes(cached(model, prompt, encoder_tokens, engine))
        except Exception as error:  # noqa: BLE001
            outcome.verdicts[engine], outcome.reasons[engine] = "not runnable", _reason(error)
            continue
        outcome.verdicts[engine], outcome.reasons[engine] = _judge(fields, prompt + 1, engine, real)
    return outcome


def build_error(fields: Mapping[str, Any]) -> str | None:
    """Why Transformers does not build such a model; None if it does."""
    prepare()
    try:
        with time_limit(SECONDS):
            build(config_of(fields))
    except Exception as error:  # noqa: BLE001  # whatever a foreign model raises is the answer
        return " ".join(str(error).split())
    return None


def _judge(fields: dict[str, Any], context: int, engine: str, real: int) -> tuple[str, str]:
    import attnscope as at

    try:
        plan = at.size(fields, context=context, batch=BATCH, engine=engine)
    except at.ConfigError as error:
        return "refused", str(error).split(". ")[0]
    if plan.cache_bytes != real:
        return (
            "wrong",
            f"real {real:,} bytes, sized {plan.cache_bytes:,}: {[row.formula for row in plan.layers]}",
        )
    return "equal", f"{real:,} bytes"


def _reason(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:160]
