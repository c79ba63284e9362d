"""Folders with tiny models of Transformers and a tokenizer made here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.audit.models.tiny import build

WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "mat",
    ".",
    "who",
    "?",
    "a",
    "dog",
    "is",
    "in",
    "it",
    "system",
    "user",
    "assistant",
    "be",
    "brief",
    "so",
    ":",
    "does",
]


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """A folder with a tiny model and a tokenizer of words: save("LlamaForCausalLM"), or of a model."""
    transformers = pytest.importorskip("transformers", reason="needs transformers: make test-models")

    def save_(name: Any, template: str | None = None, **changes: Any) -> Path:
        from tokenizers import Tokenizer, models, pre_tokenizers, processors

        special = {"[UNK]": 0, "<s>": 1, "</s>": 2, "[PAD]": 3}
        vocabulary = special | {word: number for number, word in enumerate(WORDS, len(special))}
        words = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
        words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        words.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
        tokenizer = transformers.PreTrainedTokenizerFast(
            tokenizer_object=words, unk_token="[UNK]", bos_token="<s>", eos_token="</s>", pad_token="[PAD]"
        )
        tokenizer.chat_template = template
        folder = tmp_path / "tiny-model"
        tokenizer.save_pretrained(folder)
        model = build(name, vocab_size=len(vocabulary), **changes) if isinstance(name, str) else name
        model.save_pretrained(folder)
        return folder

    return save_
