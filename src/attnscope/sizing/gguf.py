"""The header of a GGUF file, read with limits and renamed to a config's fields.

The format: github.com/ggml-org/ggml, docs/gguf.md, versions 2 and 3, little-endian. The names of its
metadata: llama.cpp, gguf-py/gguf/constants.py.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

from attnscope.arguments import brief
from attnscope.errors import ConfigError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
# Limits, since a count in a file is only a claim; a real header has some hundred thousand strings in 10 MB
LARGEST_HEADER = 2**26  # bytes
MOST_FIELDS = 2**16
MOST_TENSORS = 2**17
MOST_ELEMENTS = 2**20  # of all lists of strings and lists together
MOST_KEPT = 4_096  # elements of one list; longer ones are vocabularies
DEEPEST_LIST = 4
CHUNK = 2**20  # bytes that are read at once
FORMS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
NUMBERS = {code: struct.Struct(f"<{letter}") for code, letter in FORMS.items()}
STRING, LIST = 8, 9
UINT32, UINT64 = NUMBERS[4], NUMBERS[10]
ALIGNMENT = "general.alignment"

ARCHITECTURE = "general.architecture"
# general.architecture -> model_type: the same name, or another one
SAME = "llama qwen2 qwen3 gemma gemma2 phi3 starcoder2 cohere2 olmo olmo2 gpt2 bloom granite stablelm glm4"
MODEL_TYPES = {name: name for name in SAME.split()} | {
    "qwen2moe": "qwen2_moe",
    "qwen3moe": "qwen3_moe",
    "gemma3": "gemma3_text",
    "phi2": "phi",
    "command-r": "cohere",
    "gpt-oss": "gpt_oss",
    "deepseek2": "deepseek_v3",
    "gptneox": "gpt_neox",
}
# after the architecture's name -> a config's field
NAMES = {
    "block_count": "num_hidden_layers",
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "vocab_size": "vocab_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "attention.sliding_window": "sliding_window",
    "expert_count": "num_experts",
    "expert_used_count": "num_experts_per_tok",
    "expert_feed_forward_length": "moe_intermediate_size",
    "expert_shared_feed_forward_length": "shared_expert_intermediate_size",
    "expert_shared_count": "n_shared_experts",
    "leading_dense_block_count": "first_k_dense_replace",
    "attention.kv_lora_rank": "kv_lora_rank",
    "attention.q_lora_rank": "q_lora_rank",
}
# fields named attention.* that do not change a cache; any other one is handed on, and refused as unread
HARMLESS = (
    "layer_norm_epsilon layer_norm_rms_epsilon causal scale value_length key_length_mla value_length_mla "
    "group_norm_groups group_norm_epsilon max_alibi_bias clamp_kqv output_scale temperature_length"
)


class FirstElements(NamedTuple):
    """A list's first elements, and how many it has in all."""

    kept: list[Any]
    length: int


@dataclass(frozen=True)
class Header:
    """The metadata of a GGUF file, and how many bytes of tensors follow."""

    metadata: dict[str, Any]
    tensor_bytes: int


def read_header(file: BinaryIO, size: int, name: str) -> Header:
    """All key-value pairs; raises ConfigError for a file that is no GGUF, cut short or beyond the limits."""
    file.seek(0)
    reader = _Reader(file, size, name)
    if reader.take(4) != MAGIC:
        raise ConfigError(f"{name} does not begin with GGUF: it is no GGUF file.")
    version = reader.number(UINT32)
    if version not in VERSIONS:
        raise ConfigError(f"{name}: GGUF version {version}: expected 2 or 3, little-endian.")
    tensors = reader.count(UINT64, MOST_TENSORS, "tensors")
    fields = reader.count(UINT64, MOST_FIELDS, "fields")
    metadata: dict[str, Any] = {}
    for _ in range(fields):
        key = reader.text()
        metadata[key] = reader.value(reader.number(UINT32))
    for _ in range(tensors):
        reader.text()
        axes = reader.count(UINT32, 8, "axes of a tensor")
        reader.skip(8 * axes + 4 + 8)  # sizes, format, offset
    alignment = metadata.get(ALIGNMENT, 32)
    if type(alignment) is not int or not 0 < alignment <= 2**20:
        raise ConfigError(f"{name}: {ALIGNMENT}={brief(alignment)}: expected 1 to 2**20.")
    start = -(-reader.position // alignment) * alignment
    return Header(metadata, max(0, size - start))


class _Reader:
    """Parses the start of a file; raises ConfigError instead of reading beyond the file or the limits."""

    def __init__(self, file: BinaryIO, size: int, name: str) -> None:
        self.file, self.size, self.name = file, size, name
        self.position = 0
        self.elements_left = MOST_ELEMENTS
        self._data = bytearray()

    def skip(self, length: int) -> int:
        """Move over so many bytes, which are then in the buffer; return the place where they began."""
        start, end = self.position, self.position + length
        if end > len(self._data):
            self._read_up_to(end)
        self.position = end
        return start

    def _read_up_to(self, end: int) -> None:
        start = self.position
        if end > self.size:
            raise ConfigError(
                f"{self.name} ends within its header: {end - start:,} bytes were expected at byte {start:,} "
                f"of {self.size:,}. Download it again."
            )
        if end > LARGEST_HEADER:
            raise ConfigError(f"{self.name}: its header is longer than {LARGEST_HEADER:,} bytes.")
        self._data += self.file.read(max(CHUNK, end - len(self._data)))
        if end > len(self._data):
            raise ConfigError(f"{self.name} became shorter while it was read. Try again.")

    def take(self, length: int) -> bytes:
        start = self.skip(length)
        return bytes(self._data[start : self.position])

    def number(self, form: struct.Struct) -> Any:
        start = self.skip(form.size)  # before the buffer is looked at: it may grow
        return form.unpack_from(self._data, start)[0]

    def count(self, form: struct.Struct, most: int, what: str) -> int:
        claimed: int = self.number(form)
        if claimed > most:
            raise ConfigError(f"{self.name} claims {claimed:,} {what}: expected at most {most:,}.")
        return claimed

    def text(self) -> str:
        return self.take(self.count(UINT64, LARGEST_HEADER, "bytes of a string")).decode("utf-8", "replace")

    def value(self, kind: int, depth: int = 0) -> Any:
        if kind in NUMBERS:
            return self.number(NUMBERS[kind])
        if kind == STRING:
            return self.text()
        if kind != LIST:
            raise ConfigError(f"{self.name} has a value of type {kind}, which GGUF does not define.")
        if depth >= DEEPEST_LIST:
            raise ConfigError(f"{self.name} has lists nested too deep: at most {DEEPEST_LIST} are expected.")
        return self._elements(self.number(UINT32), depth)

    def _elements(self, kind: int, depth: int) -> FirstElements:
        if kind in NUMBERS:
            length = self.count(UINT64, LARGEST_HEADER, "elements of a list")
            kept = [self.value(kind) for _ in range(min(length, MOST_KEPT))]
            self.skip(NUMBERS[kind].size * (length - len(kept)))
            return FirstElements(kept, length)
        length = self.count(UINT64, self.elements_left, "elements of lists")
        self.elements_left -= length
        kept = [self.value(kind, depth + 1) for _ in range(min(length, MOST_KEPT))]
        for _ in range(length - len(kept)):
            if kind == STRING:
                self.skip(self.number(UINT64))
            else:
                self.value(kind, depth + 1)
        return FirstElements(kept, length)


def config_of_gguf(metadata: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The metadata as a config; raises ConfigError for an unknown architecture or unequal layers."""
    architecture = metadata.get(ARCHITECTURE)
    if not isinstance(architecture, str) or architecture not in MODEL_TYPES:
        raise ConfigError(
            f"{name}: {ARCHITECTURE}={brief(architecture)} is not known. Known are "
            f"{', '.join(sorted(MODEL_TYPES))}. Size the model's config.json instead."
        )
    prefix = f"{architecture}."
    own = {key.removeprefix(prefix): value for key, value in metadata.items() if key.startswith(prefix)}
    config: dict[str, Any] = {"model_type": MODEL_TYPES[architecture]}
    for key, value in own.items():
        if key in NAMES:
            config[NAMES[key]] = _same_in_all_layers(prefix + key, value, name)
        elif key.startswith("attention.") and key.removeprefix("attention.") not in HARMLESS.split():
            config[prefix + key] = list(value) if isinstance(value, FirstElements) else value
    if config["model_type"] == "deepseek_v3":
        config |= _latent_sizes(own, f"{name}: {prefix}")
    tokens = metadata.get("tokenizer.ggml.tokens")
    if isinstance(tokens, FirstElements):
        config.setdefault("vocab_size", tokens.length or None)
    _check_values(own, config, f"{name}: {prefix}")
    return config


def _latent_sizes(own: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """DeepSeek: sizes of the heads before compression; the cached row is kv_lora_rank and the rotary part."""
    key_length, value_length = own.get("attention.key_length_mla"), own.get("attention.value_length_mla")
    if key_length is None or value_length is None:
        key_length, value_length = own.get("attention.key_length"), own.get("attention.value_length")
    rotary = own.get("rope.dimension_count")
    if type(key_length) is not int or type(rotary) is not int or key_length <= rotary:
        raise ConfigError(
            f"{prefix}attention.key_length_mla={brief(key_length)}: expected more than "
            f"rope.dimension_count={brief(rotary)}. Size the model's config.json instead."
        )
    sizes = {"qk_rope_head_dim": rotary, "qk_nope_head_dim": key_length - rotary, "v_head_dim": value_length}
    return sizes | {"head_dim": None}


def _same_in_all_layers(key: str, value: Any, name: str) -> Any:
    """The one number that a list repeats for each layer, or the number itself."""
    if not isinstance(value, FirstElements):
        return value
    if len({repr(each) for each in value.kept}) != 1 or value.length > len(value.kept):
        raise ConfigError(
            f"{name}: {key}={brief(value.kept)} differs from layer to layer. Size the config.json instead."
        )
    return value.kept[0]


def _check_values(own: Mapping[str, Any], config: Mapping[str, Any], prefix: str) -> None:
    key, value = own.get("attention.key_length"), own.get("attention.value_length")
    if key is not None and value is not None and key != value and config["model_type"] != "deepseek_v3":
        raise ConfigError(
            f"{prefix}attention.value_length={brief(value)}: expected key_length={brief(key)}. "
            "Size the model's config.json instead."
        )
    if config["model_type"] in ("qwen2", "qwen3") and config.get("sliding_window"):
        raise ConfigError(
            f"{prefix}attention.sliding_window={brief(config['sliding_window'])}: the file does not define "
            "which layers slide. Size the model's config.json instead."
        )
