"""A causal model or an encoder as a subject: Transformers loads it, attnscope.interop observes it."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from attnscope.errors import AttentionError
from attnscope.inspection.attribution.scorer import Scorer
from attnscope.inspection.attribution.transformers_scorer import (
    TransformersScorer,
    WholePasses,
    keeps_prefixes,
)
from attnscope.inspection.chat import Message
from attnscope.inspection.subject import ObservedLayer, Step, Tokens
from attnscope.inspection.text import InspectionError
from attnscope.interop.transformers import observing

UNLIMITED = 10**9  # tokenizers state 10^30 if they know no limit
LONGEST_REASON = 300


class TransformersModel:
    """The model of a folder that save_pretrained() wrote, or of a GGUF file, in float32; never downloaded.

    Raises
    ------
    InspectionError
        If Transformers cannot load it without running code of the folder, or it is an encoder with a decoder.
    """

    def __init__(self, source: Path) -> None:
        folder, file = (source, {}) if source.is_dir() else (source.parent, {"gguf_file": source.name})
        # Explicit: without it, Transformers asks on standard input whether to run code from the folder.
        given: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False, **file}
        try:
            with without_progress_bars():
                config = transformers.AutoConfig.from_pretrained(folder, **given)
                check_kind(source, config)
                self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **given)
                model = class_of(config).from_pretrained(folder, dtype="float32", **given)
                self.model = model.eval().requires_grad_(False)
        except InspectionError:
            raise
        except Exception as error:
            raise InspectionError(not_loaded(source, error)) from error
        text = config.get_text_config()
        self.name = source.stem if source.is_file() else source.resolve().name
        self.names = attending(source, self._body)
        self.layers: Sequence[int] = numbers_of(self.names)
        limits = [getattr(text, "max_position_embeddings", None), self.tokenizer.model_max_length]
        known = [limit for limit in limits if isinstance(limit, int) and 0 < limit < UNLIMITED]
        self.context = min(known, default=None)
        self.chats = self.instructed = bool(self.tokenizer.chat_template)
        self.special_tokens: Sequence[str] = special_tokens_of(self.tokenizer)
        self.facts: Mapping[str, str] = {
            "model": f"{source}: {type(self.model).__name__}, float32",
            "read by": f"Transformers {transformers.__version__}, {type(self.tokenizer).__name__}",
        }

    def template(self, messages: Sequence[Message], *, answer_next: bool = False) -> str:
        given = [{"role": message.role, "content": message.content} for message in messages]
        if not self.chats:
            raise InspectionError(
                f"{self.name} has no chat template, which defines how messages become a text. "
                "Give the text as the model shall read it, and its parts by --segments NAME:START-END."
            )
        try:
            rendered: str = self.tokenizer.apply_chat_template(
                given, tokenize=False, add_generation_prompt=answer_next
            )
        except Exception as error:  # a template can raise anything
            raise InspectionError(
                f"the chat template of {self.name} refuses this chat: {reason(error)}"
            ) from error
        return rendered

    def tokenize(self, text: str, *, templated: bool) -> Tokens:
        if not self.tokenizer.is_fast:
            return self._tokens_without_places(text, templated)
        encoded = self.tokenizer(
            text,
            add_special_tokens=not templated,
            return_offsets_mapping=True,
            verbose=False,
            truncation=False,
        )
        places = np.array(encoded["offset_mapping"], np.int64).reshape(-1, 2)
        names = self.tokenizer.convert_ids_to_tokens(encoded["input_ids"])
        pieces, end_so_far = [], 0
        for name, (start, end) in zip(names, places.tolist(), strict=True):
            if start == end:  # a token that the tokenizer adds
                pieces.append(str(name))
                continue
            pieces.append(text[end_so_far:end])  # blanks that belong to no token belong to the next one
            end_so_far = max(end_so_far, end)
        return Tokens(np.array(encoded["input_ids"], np.int64), tuple(pieces), places[:, 0], places[:, 1])

    def _tokens_without_places(self, text: str, templated: bool) -> Tokens:
        """Tokens of a tokenizer that does not report their characters: segments cannot be marked."""
        ids = self.tokenizer(text, add_special_tokens=not templated, verbose=False)["input_ids"]
        nowhere = np.zeros(len(ids), np.int64)
        pieces = tuple(map(str, self.tokenizer.convert_ids_to_tokens(ids)))
        return Tokens(np.array(ids, np.int64), pieces, nowhere, nowhere)

    def generate(self, tokens: Tokens, new_tokens: int) -> Tokens:
        if not self.model.can_generate():
            raise InspectionError(
                f"{self.name} is a {type(self.model).__name__}, which cannot generate text. "
                "Leave --new-tokens out."
            )
        generated = self.model.generate(
            tensor_of(tokens),
            max_new_tokens=new_tokens,
            min_new_tokens=new_tokens,
            do_sample=False,
            num_beams=1,
        )
        ids = generated[0, len(tokens.ids) :].tolist()
        return tokens.followed_by(ids, self.pieces(ids))

    def pieces(self, ids: Sequence[int]) -> list[str]:
        texts = [self.tokenizer.decode(ids[:count]) for count in range(len(ids) + 1)]
        return [after[len(before) :] for before, after in pairwise(texts)]

    def scorer(self, *, hides: bool) -> Scorer:
        if not self.model.can_generate():
            raise InspectionError(
                f"{self.name} is a {type(self.model).__name__}, which generates no answer. "
                "Give a causal model."
            )
        if not hides and not keeps_prefixes(self.model):
            return WholePasses(self.model, self.name)
        return TransformersScorer(self.model, self.name)

    def observe(
        self, tokens: Tokens, layers: Sequence[int], statistics: Mapping[str, Any], step: Step
    ) -> Iterator[ObservedLayer]:
        body, called = self._body, [self.layers.index(layer) for layer in layers]
        try:
            with observing(body, layers=called, **statistics) as seen, reporting(body, seen, called, step):
                run(body, tensor_of(tokens))
        except AttentionError as error:
            raise InspectionError(f"{self.name} cannot be observed: {error}") from error
        for layer, call in zip(layers, called, strict=True):
            observation = seen[call]
            names = tuple(str(head) for head in range(observation.entropy.shape[-2]))
            yield ObservedLayer(layer, seen.names[call], names, observation)

    @property
    def _body(self) -> Any:
        """The model without its head: the logits of a large vocabulary would take gigabytes."""
        return getattr(self.model, "base_model", self.model)


def special_tokens_of(tokenizer: Any) -> list[str]:
    """The texts that the tokenizer reads as a token of its own kind."""
    added = tokenizer.added_tokens_decoder.values()
    return sorted({token.content for token in added if token.special and token.content.strip()})


def run(body: Any, input_ids: Any) -> None:
    """Run a model once on all tokens."""
    given = {"use_cache": False} if "use_cache" in inspect.signature(body.forward).parameters else {}
    with torch.inference_mode():
        body(input_ids=input_ids, **given)


def attending(source: Path, body: Any) -> list[str]:
    """The names of the modules with softmax attention, in the order in which a run of two tokens calls them.

    Raises
    ------
    InspectionError
        If no layer has any, or the model does not read a text.
    """
    try:
        with observing(body, layers=[]) as seen:
            run(body, torch.ones((1, 2), dtype=torch.long))
    except AttentionError as error:
        raise InspectionError(f"model={str(source)!r} cannot be observed: {error}") from error
    except Exception as error:  # a model can ask for anything
        raise InspectionError(
            f"model={str(source)!r} does not run on a text alone: {reason(error)} "
            "Give a causal model or an encoder."
        ) from error
    return seen.names


def numbers_of(names: Sequence[str]) -> list[int]:
    """The numbers of the layers by their modules' names, such as 4 of "layers.4.self_attn"; else their order.

    >>> numbers_of(["layers.4.self_attn", "layers.12.self_attn"]), numbers_of(["one", "other"])
    ([4, 12], [0, 1])
    """
    numbers = [[int(part) for part in name.split(".") if part.isdigit()] for name in names]
    found = [each[0] for each in numbers if each]
    return found if found == sorted(set(found)) and len(found) == len(names) else list(range(len(names)))


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """Switch the progress bars of Transformers off: they would overwrite the bar of the command."""
    shown = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers.utils.logging.enable_progress_bar()


@contextmanager
def reporting(body: Any, seen: Any, layers: Sequence[int], step: Step) -> Iterator[None]:
    """Report the number of observed layers each time that it grows."""
    reported = 0

    def report(*_: Any) -> None:
        nonlocal reported
        observed = sum(layer < len(seen) for layer in layers)
        if observed > reported:
            reported = observed
            step(reported)

    hooks = [module.register_forward_hook(report) for module in body.modules()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def tensor_of(tokens: Tokens) -> Any:
    """The token ids as a batch of one text."""
    return transformers.BatchEncoding({"input_ids": [tokens.ids.tolist()]}, tensor_type="pt")["input_ids"]


def class_of(config: Any) -> Any:
    """The class that the configuration names; a GGUF file names none, and contains a causal model."""
    names = config.architectures or ["AutoModelForCausalLM"]
    return getattr(transformers, names[0], transformers.AutoModel)


def check_kind(source: Path, config: Any) -> None:
    """Raise InspectionError for an encoder with a decoder, and for a model that reads no text."""
    if getattr(config, "is_encoder_decoder", False):
        raise InspectionError(
            f"model={str(source)!r} is {config.model_type}, with an encoder and a decoder, "
            "expected a causal model or an encoder. "
            "In Python, attnscope.interop.transformers.observing() accepts such models."
        )
    reads = getattr(class_of(config), "main_input_name", "input_ids")
    if reads != "input_ids":
        raise InspectionError(
            f"model={str(source)!r} is {config.model_type}, which reads {reads}, "
            "expected a model that reads a text. "
            "In Python, attnscope.interop.transformers.observing() accepts such models."
        )


def not_loaded(source: Path, error: Exception) -> str:
    """The error for a model that Transformers does not load, with the way out."""
    version = f"Transformers {transformers.__version__}"
    if "trust_remote_code" in str(error):
        return (
            f"model={str(source)!r} needs Python code from its own folder: "
            f"{version} does not include this type of model. "
            "Code from a model folder is never run, and no option changes that. "
            "Use a model whose type is part of Transformers, "
            "or install a version of Transformers that includes this type."
        )
    # The second text is that of a missing gguf or accelerate, which a GGUF file needs.
    if isinstance(error, ImportError) or " is required when " in str(error):
        return (
            f"model={str(source)!r} needs a package that is not installed: {reason(error)} "
            "Install all of them: pip install 'attnscope[transformers]'."
        )
    return (
        f"model={str(source)!r} cannot be loaded by {version}: {reason(error)} "
        "Give the folder of a causal model or an encoder with its tokenizer, "
        "or a GGUF file with an architecture that Transformers supports."
    )


def reason(error: Exception) -> str:
    """The message of an error on one line, shortened, with a full stop."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 1] + "…"
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
