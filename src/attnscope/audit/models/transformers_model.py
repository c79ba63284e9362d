"""A Transformers model under audit: its claims are read from its class and its configuration."""

from dataclasses import dataclass, replace
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np

from attnscope.audit.contract import ContractError
from attnscope.audit.models.claims import Limits, ModelClaims, Side
from attnscope.audit.models.torch_module import (
    OF_HALF,
    TorchModel,
    audit_module,
    evaluated,
    in_float32,
    to_torch,
)
from attnscope.audit.report import Progress, Report
from attnscope.audit.suspect import Watch

POSITIONS_GIVEN = (
    "left padding without position_ids: they were given, counted from the mask, as generate() gives them"
)
LAYERS_DIFFER = "the windows of single layers, as only some layers have one"
LOCAL = "whether a token sees all that it should: the layers look at chunks, or at neighbourhoods"
FIELDS_OF_LOCAL = ("attention_chunk_size", "attention_window")  # Llama 4's, Longformer's
MORE_THAN_ROUNDING = 2.0**-7  # even in bfloat16
TYPES_OF_WINDOWS = ("sliding_attention",)


def transformers(  # noqa: PLR0913  # claims and limits, by name
    model: Any,
    *,
    causal: bool | None = None,
    padding: Side | None = None,
    documents: bool = False,
    prefix: int | None = None,
    seed: int = 0,
    seconds: float = 240.0,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> Report:
    """Audit a Transformers model as `attnscope.audit.model` does, and name the first layer that leaks.

    Vocabulary, padding token, window and number of layers are read from the configuration. A causal model
    generates with a DynamicCache, which is also reordered and cropped.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        The model; it is put into eval mode during the audit.
    causal : bool, optional
        Whether a token sees no later one. If not given, models that can generate are causal, and others
        encoders.
    padding : {"left", "right"}, optional
        The side on which rows are padded. If not given, the left side for causal models, and the right for
        encoders.
    documents : bool
        Whether to pack documents into rows, by position_ids that restart, without a mask.
    prefix : int, optional
        The number of first tokens that see each other.
    seed : int
        Determines every question.
    seconds : float
        Time limit of the audit, in seconds.
    progress : callable, optional
        Called with the completed share and the name of the next step.
    watch : callable, optional
        Called with the description of each call before it is made.

    Returns
    -------
    Report
        Findings, checks that passed, and what was not covered.

    Raises
    ------
    ImportError
        If torch or transformers is not installed.
    ContractError
        If the model is not a Transformers model, or has an encoder and a decoder.
    """
    config = getattr(model, "config", None)
    if config is None or not hasattr(config, "get_text_config"):
        raise ContractError(f"model={type(model).__name__}: expected a model of Transformers.")
    if getattr(config, "is_encoder_decoder", False):
        raise ContractError(
            f"{type(model).__name__} has an encoder and a decoder: audit each with at.audit.model."
        )
    own, halved = in_float32(model)
    if causal is None:
        causal = is_causal(own)
    caller = Caller(frozenset(signature(model.forward).parameters), causal)
    if caller.places and positions_count_padding(own, caller):
        caller = replace(caller, gives_positions=True)
    text = config.get_text_config()
    claims, not_covered = claims_of(text, caller, padding, documents, prefix)
    if caller.caches:
        claims = caller.with_decode(claims, own)
    not_covered += [OF_HALF] if halved else []
    limits = Limits(seed, seconds, progress, tuple(not_covered), watch)
    return audit_module(own, caller.forward, claims, limits, None, first_window_of(text))


def load_model(folder: Path) -> Any:
    """Load the model in a folder, in float32, without downloads and without running code from the folder.

    ContractError if torch or transformers is missing, or the folder contains no model.
    """
    try:
        import transformers as library
    except ImportError as error:
        raise ContractError(
            f"a model needs torch and transformers: {error}. pip install torch transformers."
        ) from error
    try:
        no_code = {"local_files_only": True, "trust_remote_code": False}  # None would ask on stdin
        config = library.AutoConfig.from_pretrained(folder, **no_code)
        names = config.architectures or ["AutoModelForCausalLM"]
        kind = getattr(library, names[0], library.AutoModelForCausalLM)
        return kind.from_pretrained(folder, **no_code, dtype="float32").eval()
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ContractError(
            f"{folder} contains no model that Transformers can load: {' '.join(str(error).split())}"
        ) from error


def is_causal(model: Any) -> bool:
    """Whether a model's class is causal: one for generation, or the body of one."""
    from transformers.models.auto import modeling_auto as known

    config = model.config
    if isinstance(getattr(config, "causal", None), bool):  # XLM's, which can be either
        return bool(config.causal)
    if model.can_generate() or getattr(config, "is_decoder", False):
        return True
    kind = config.model_type
    return (
        kind in known.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
        and kind not in known.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    )


def positions_count_padding(model: Any, caller: "Caller") -> bool:
    """Whether the logits of a single token differ from those of the same token after padding."""
    config = model.config.get_text_config()
    token = np.array([[config.vocab_size // 2]])
    padded = np.concatenate([token * 0 + (getattr(config, "pad_token_id", None) or 0), token], axis=1)
    asked = TorchModel(model, caller.forward)
    with evaluated(model):
        try:
            alone, behind = asked(token, token * 0 + 1), asked(padded, np.array([[0, 1]]))
        except Exception:  # noqa: BLE001  # the audit itself reports what the model raises
            return False
    return bool(np.abs(alone[:, -1] - behind[:, -1]).max() > MORE_THAN_ROUNDING * np.abs(alone).max())


def claims_of(
    config: Any, caller: "Caller", padding: Side | None, documents: bool, prefix: int | None
) -> tuple[ModelClaims, list[str]]:
    """The claims of a configuration, and sentences about what it leaves open."""
    window, layers, mixed = window_of(config)
    local = any(getattr(config, name, None) for name in FIELDS_OF_LOCAL)
    tokens = [getattr(config, name, None) for name in ("bos_token_id", "eos_token_id")]
    inside = [each for each in tokens if isinstance(each, int) and 0 <= each < config.vocab_size]
    pad_id = getattr(config, "pad_token_id", None)
    pad_id = pad_id if isinstance(pad_id, int) and 0 <= pad_id < config.vocab_size else None
    side: Side = padding or ("left" if caller.causal else "right")
    claims = ModelClaims(
        config.vocab_size,
        caller.causal,
        pad_id,
        side if "attention_mask" in caller.takes else None,
        documents,
        window,
        prefix,
        layers=layers,
        special_ids=tuple(each for each in dict.fromkeys(inside) if each != pad_id),
        most_tokens=getattr(config, "max_position_embeddings", None),
        local=local,
    )
    not_covered = [LAYERS_DIFFER] if mixed else []
    not_covered += [LOCAL] if local else []
    if side == "left" and caller.gives_positions:
        not_covered.append(POSITIONS_GIVEN)
    return claims, not_covered


def window_of(config: Any) -> tuple[int | None, int | None, bool]:
    """Tokens before its own that a layer sees, number of layers, and whether only some have a window.

    Transformers counts a token itself into its window.
    """
    size, layers = getattr(config, "sliding_window", None), getattr(config, "num_hidden_layers", None)
    types = getattr(config, "layer_types", None) or []
    if not isinstance(size, int) or size < 1 or getattr(config, "use_sliding_window", True) is False:
        return None, layers, False
    if types and not all(each in TYPES_OF_WINDOWS for each in types):
        return None, layers, any(each in TYPES_OF_WINDOWS for each in types)
    return size - 1, layers, False


def first_window_of(config: Any) -> int | None:
    """Tokens before its own that the first layer sees, if it has a window."""
    size, types = getattr(config, "sliding_window", None), getattr(config, "layer_types", None) or []
    slides = types[0] in TYPES_OF_WINDOWS if types else window_of(config)[0] is not None
    return size - 1 if slides and isinstance(size, int) and size > 0 else None


@dataclass(frozen=True)
class Caller:
    """Passes the arrays of an audit to a forward.

    Parameters
    ----------
    takes : frozenset of str
        Names of the forward's parameters.
    causal : bool
        Whether the model is causal.
    gives_positions : bool
        Whether position_ids are passed, since the model would count the padding.
    """

    takes: frozenset[str]
    causal: bool
    gives_positions: bool = False

    @property
    def places(self) -> bool:
        return self.causal and "position_ids" in self.takes

    @property
    def caches(self) -> bool:
        return self.causal and "past_key_values" in self.takes

    def forward(self, model: Any, ids: Any, mask: Any, documents: Any = None) -> Any:
        """One call without a cache."""
        given: dict[str, Any] = {
            "input_ids": ids,
            "attention_mask": mask,
            **self.positions(mask, ids.shape[1]),
        }
        if documents is not None:
            given |= {"attention_mask": None, "position_ids": places_in(documents)}
        if self.caches:
            given["use_cache"] = False
        return model(**given)

    def positions(self, mask: Any, tokens: int) -> dict[str, Any]:
        """position_ids of the last tokens, counted from the mask; empty if nothing is hidden."""
        if mask is None or not self.gives_positions or bool(mask.all()):
            return {}
        return {"position_ids": (mask.long().cumsum(-1) - 1).clamp(min=0)[:, -tokens:]}

    def with_decode(self, claims: ModelClaims, model: Any) -> ModelClaims:
        return replace(claims, decode=lambda: CachedGeneration(self, model))


def places_in(documents: Any) -> Any:
    """Positions that restart with each document."""
    slots = (documents * 0 + 1).cumsum(-1) - 1
    starts = documents.diff(dim=-1, prepend=documents[:, :1] - 1) != 0
    return slots - (slots * starts).cummax(dim=-1).values


class CachedGeneration:
    """A generation of a Transformers model with a DynamicCache."""

    def __init__(self, caller: Caller, model: Any) -> None:
        from transformers import DynamicCache

        self.caller, self.model = caller, model
        self.cache = DynamicCache(config=model.config)
        self.tokens = 0

    def step(self, token_ids: Any, attention_mask: Any) -> Any:
        """The logits of the next tokens."""
        tokens = token_ids.shape[1]

        def forward(model: Any, ids: Any, mask: Any) -> Any:
            given = {"input_ids": ids, "attention_mask": mask, **self.caller.positions(mask, tokens)}
            return model(**given, past_key_values=self.cache, use_cache=True)

        logits = TorchModel(self.model, forward)(token_ids, attention_mask)
        self.tokens += tokens
        return logits

    def reorder(self, index: Any) -> None:
        """Reorder the rows of the cache, as beam search does."""
        self.cache.reorder_cache(to_torch(index))

    def truncate(self, tokens: int) -> None:
        """Crop by a negative number, which every release interprets as tokens to remove."""
        if tokens < self.tokens:
            self.cache.crop(tokens - self.tokens)
        self.tokens = tokens
