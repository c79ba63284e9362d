"""A causal or encoder model of Transformers as a subject: loaded from this disk, observed through attnscope.interop."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import transformers

from attnscope.errors import AttentionError
from attnscope.inspection.chat import Message
from attnscope.inspection.error import InspectionError
from attnscope.inspection.subject import LayerSeen, Step, Tokens
from attnscope.interop.transformers import observing

MOST_CONTEXT = 10**9  # tokenizers say 10^30 where they know no limit
LONGEST_REASON = 300


class TransformersModel:
    """A folder that save_pretrained() wrote, or a GGUF file; in float32, and never downloaded.

    Errors
        InspectionError for what Transformers does not load, and for models with an encoder and a decoder.
    """

    def __init__(self, source: Path) -> None:
        folder, file = (source, {}) if source.is_dir() else (source.parent, {"gguf_file": source.name})
        # Explicit: without it, Transformers asks on standard input whether to run code from the folder.
        given: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False, **file}
        try:
            with without_bars():
                config = transformers.AutoConfig.from_pretrained(folder, **given)
                check_kind(source, config)
                self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **given)
                kind = class_of(config)
                self.model = (
                    kind.from_pretrained(folder, dtype="float32", **given).eval().requires_grad_(False)
                )
        except InspectionError:
            raise
        except Exception as error:
            raise InspectionError(not_loaded(source, error)) from error
        text = config.get_text_config()
        self.name = source.stem if source.is_file() else source.resolve().name
        self.layers = int(text.num_hidden_layers)
        limits = [getattr(text, "max_position_embeddings", None), self.tokenizer.model_max_length]
        known = [limit for limit in limits if isinstance(limit, int) and 0 < limit < MOST_CONTEXT]
        self.context = min(known, default=None)
        self.chats = bool(self.tokenizer.chat_template)
        self.facts: Mapping[str, str] = {
            "model": f"{source}: {type(self.model).__name__}, float32",
            "read by": f"Transformers {transformers.__version__}, {type(self.tokenizer).__name__}",
        }

    def template(self, messages: Sequence[Message], *, answer_next: bool = False) -> str:
        given = [{"role": message.role, "content": message.content} for message in messages]
        if not self.chats:
            raise InspectionError(
                f"{self.name} has no chat template, so it does not say how messages become a text. Give the text as the model "
                "shall read it, and its parts by --segments NAME:START-END."
            )
        try:
            rendered: str = self.tokenizer.apply_chat_template(
                given, tokenize=False, add_generation_prompt=answer_next
            )
        except Exception as error:  # templates raise what they like: jinja2's errors
            raise InspectionError(
                f"the chat template of {self.name} refuses this chat: {reason(error)}"
            ) from error
        return rendered

    def tokenize(self, text: str, *, templated: bool) -> Tokens:
        if not self.tokenizer.is_fast:
            return self._without_places(text, templated)
        made = self.tokenizer(
            text,
            add_special_tokens=not templated,
            return_offsets_mapping=True,
            verbose=False,
            truncation=False,
        )
        ids = np.array(made["input_ids"], np.int64)
        places = np.array(made["offset_mapping"], np.int64).reshape(-1, 2)
        names = self.tokenizer.convert_ids_to_tokens(made["input_ids"])
        pieces, read = [], 0
        for name, (start, end) in zip(names, places.tolist(), strict=True):
            if start == end:  # a token that the tokenizer adds
                pieces.append(str(name))
                continue
            pieces.append(text[read:end])  # blanks that no token has belong to the next one
            read = max(read, end)
        return Tokens(ids, tuple(pieces), places[:, 0], places[:, 1])

    def _without_places(self, text: str, templated: bool) -> Tokens:
        """Tokens of a tokenizer that does not say where they stand: then no segment can be told from the text."""
        ids = self.tokenizer(text, add_special_tokens=not templated, verbose=False)["input_ids"]
        nowhere = np.zeros(len(ids), np.int64)
        pieces = tuple(map(str, self.tokenizer.convert_ids_to_tokens(ids)))
        return Tokens(np.array(ids, np.int64), pieces, nowhere, nowhere)

    def write_on(self, tokens: Tokens, new_tokens: int) -> Tokens:
        if not self.model.can_generate():
            raise InspectionError(
                f"{self.name} is {type(self.model).__name__}, which writes nothing. Leave --new-tokens out."
            )
        made = self.model.generate(
            tensor_of(tokens),
            max_new_tokens=new_tokens,
            min_new_tokens=new_tokens,
            do_sample=False,
            num_beams=1,
        )
        ids = made[0, len(tokens.ids) :].tolist()
        texts = [self.tokenizer.decode(ids[:count]) for count in range(len(ids) + 1)]
        pieces = [after[len(before) :] for before, after in pairwise(texts)]
        return tokens.followed_by(ids, pieces)

    def observe(
        self, tokens: Tokens, layers: Sequence[int], asked: Mapping[str, Any], step: Step
    ) -> Iterator[LayerSeen]:
        body = getattr(
            self.model, "base_model", self.model
        )  # the logits of a large vocabulary would take gigabytes
        given = {"use_cache": False} if "use_cache" in inspect.signature(body.forward).parameters else {}
        try:
            with observing(body, layers=layers, **asked) as seen, telling(body, seen, layers, step):
                body(input_ids=tensor_of(tokens), **given)
                self._check_layers(layers, len(seen))
        except InspectionError:
            raise
        except AttentionError as error:
            raise InspectionError(f"{self.name} cannot be observed: {error}") from error
        for layer in layers:
            observation = seen[layer]
            names = tuple(str(head) for head in range(observation.entropy.shape[-2]))
            yield LayerSeen(layer, seen.names[layer], names, observation)

    def _check_layers(self, layers: Sequence[int], called: int) -> None:
        for layer in layers:
            if 0 < called <= layer:
                raise InspectionError(
                    f"{self.name} has softmax attention {called} times, and layer {layer} was asked for, "
                    f"counted from 0. Choose among them: --layers 0-{called - 1}."
                )


@contextmanager
def without_bars() -> Iterator[None]:
    """Transformers' own progress bars would be drawn through ours."""
    shown = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers.utils.logging.enable_progress_bar()


@contextmanager
def telling(body: Any, seen: Any, layers: Sequence[int], step: Step) -> Iterator[None]:
    """Say how many of the layers have been observed, each time that one more has."""
    told = 0

    def tell(*_: Any) -> None:
        nonlocal told
        observed = sum(layer < len(seen) for layer in layers)
        if observed > told:
            told = observed
            step(told)

    hooks = [module.register_forward_hook(tell) for module in body.modules()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def tensor_of(tokens: Tokens) -> Any:
    return transformers.BatchEncoding({"input_ids": [tokens.ids.tolist()]}, tensor_type="pt")["input_ids"]


def class_of(config: Any) -> Any:
    """The class that the configuration names; what a GGUF file holds writes text."""
    names = config.architectures or ["AutoModelForCausalLM"]
    return getattr(transformers, names[0], transformers.AutoModel)


def check_kind(source: Path, config: Any) -> None:
    if getattr(config, "is_encoder_decoder", False):
        raise InspectionError(
            f"model={str(source)!r} is {config.model_type}, with an encoder and a decoder. Expected a causal model or an "
            "encoder: in code, attnscope.interop.transformers.observing() takes such models, too."
        )


def not_loaded(source: Path, error: Exception) -> str:
    if "trust_remote_code" in str(error):
        return (
            f"model={str(source)!r} needs Python code that its folder brings along: the model's type is not part of "
            f"Transformers {transformers.__version__}. Code from a model folder is never run, and no option changes that. "
            "Use a model whose type is part of Transformers, or install a version of Transformers that includes this type."
        )
    if isinstance(error, ImportError) or " is required when " in str(
        error
    ):  # of a GGUF file: gguf, accelerate
        return (
            f"model={str(source)!r} needs a package that is not here: {reason(error)} All of them: "
            "pip install 'attnscope[transformers]'."
        )
    return (
        f"model={str(source)!r} is nothing that Transformers {transformers.__version__} loads: {reason(error)} Give the folder "
        "of a causal model or an encoder with its tokenizer, or a GGUF file of an architecture that it knows."
    )


def reason(error: Exception) -> str:
    """An error in one line, however long it was, with a full stop."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 1] + "…"
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
