"""Configs from files: JSON and GGUF, sound and broken, and the weights that lie beside them."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest

import attnscope as at
from tests.sizing.published import FOLDER, LLAMA


def refused(path: Any, match: str) -> None:
    with pytest.raises(at.ConfigError, match=match):
        at.size(path, context=10)


def written(folder: Path, fields: Any = LLAMA) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(fields), encoding="utf-8")
    return path


def test_a_path_a_text_and_a_folder_are_the_same(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert {at.size(given, context=10).cache_bytes for given in (path, str(path), tmp_path, LLAMA)} == {2_560}
    assert at.size(FOLDER / "gpt2.json", context=1).bytes_per_token == 36_864


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", r"config\.json is no JSON: Expecting value in line 1, column 1"),
        (b"{'a': 1}", r"config\.json is no JSON"),
        (b'{"a": 1', r"config\.json is no JSON"),
        (b"[1, 2]", r"config\.json holds \[1, 2\]: expected a mapping of fields, got list"),
        (b"null", r"config\.json holds None: expected a mapping"),
        (b"\xff\xfe\x00{", r"config\.json is no"),
        (b"\x80abc", r"config\.json is no UTF-8 text: invalid start byte at byte 0"),
        (b"[" * 100_000, r"config\.json is no JSON"),
        (b'{"a": ' * 100_000, r"config\.json is no JSON"),
        (
            b'{"model_type": "llama", "hidden_size": ' + b"9" * 5_000 + b"}",
            r"config\.json is no JSON|hidden_size=",
        ),
        (b'{"model_type": "llama", "num_hidden_layers": NaN}', r"num_hidden_layers=nan: expected an integer"),
    ],
)
def test_a_file_that_holds_no_config(tmp_path: Path, content: bytes, match: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    refused(path, match)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    refused(tmp_path / "none.json", r"none\.json does not exist\. Give the path of a config\.json")
    refused(tmp_path, r"has no config\.json\. Give the path")
    refused("a\0b", r"cannot be read|does not exist")
    refused("x" * 10_000, r"cannot be read|does not exist")


def test_weights_are_counted_if_there_is_an_index(tmp_path: Path) -> None:
    written(tmp_path)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text('{"metadata": {"total_size": 12345}, "weight_map": {}}')
    plan = at.size(tmp_path, context=10)
    assert (plan.weight_bytes, plan.weights.exact) == (12_345, True)
    assert "counted in model.safetensors.index.json" in repr(plan)
    for broken in (
        "{",
        "[]",
        '{"metadata": {}}',
        '{"metadata": {"total_size": true}}',
        '{"metadata": {"total_size": -1}}',
    ):
        index.write_text(broken)
        refused(tmp_path, r"model\.safetensors\.index\.json.*[Dd]ownload (it|the index) again")


def safetensors(tensors: dict[str, Any], data: bytes) -> bytes:
    header = json.dumps(tensors).encode()
    return struct.pack("<Q", len(header)) + header + data


def test_weights_are_counted_in_a_header(tmp_path: Path) -> None:
    written(tmp_path)
    path = tmp_path / "model.safetensors"
    tensor = {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}
    path.write_bytes(safetensors({"__metadata__": {"format": "pt"}, "a": tensor}, bytes(12)))
    plan = at.size(tmp_path, context=10)
    assert (plan.weight_bytes, plan.weights.exact) == (12, True)
    for broken in (
        b"",
        b"\xff" * 8,
        safetensors({"a": tensor}, bytes(5)),
        safetensors({"a": {}}, b""),
        b"\x03" + bytes(7) + b"{a}",
    ):
        path.write_bytes(broken)
        refused(tmp_path, r"model\.safetensors: .*[Dd]ownload it again")


def test_shards_without_an_index_are_counted_when_all_are_there(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA | {"vocab_size": 10, "intermediate_size": 8}))
    shard = safetensors({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}}, bytes(12))
    (tmp_path / "model-00001-of-00002.safetensors").write_bytes(shard)
    assert not at.size(tmp_path, context=10).weights.exact
    (tmp_path / "model-00002-of-00002.safetensors").write_bytes(shard)
    assert at.size(tmp_path, context=10).weight_bytes == 24


def test_another_variant_of_the_same_weights_is_not_added(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    shard = safetensors({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}}, bytes(12))
    for name in ("model.safetensors", "model.fp16.safetensors"):
        (tmp_path / name).write_bytes(shard)
    assert at.size(tmp_path, context=10).weight_bytes == 12


def test_quantized_weights_are_not_estimated() -> None:
    sizes = LLAMA | {"vocab_size": 10, "intermediate_size": 8}
    assert at.size(sizes, context=10).weight_bytes is not None
    plan = at.size(sizes | {"quantization_config": {"quant_method": "mxfp4"}}, context=10, memory=2**30)
    assert (plan.weight_bytes, plan.max_sequences) == (None, None)
    assert "quantized in a format that is not read here" in repr(plan)
    with pytest.raises(at.ConfigError, match=r"quantization_config.*weight_dtype='fp8' or 'int4'"):
        at.roofline(sizes | {"quantization_config": {"bits": 4}}, prompt=8, new_tokens=1, hardware="h100")


def text(word: str) -> bytes:
    return struct.pack("<Q", len(word.encode())) + word.encode()


def gguf(
    fields: dict[str, Any], version: int = 3, count: int | None = None, tail: bytes = bytes(64)
) -> bytes:
    """A header: strings, uint32 and lists of int32."""
    body = b""
    for name, value in fields.items():
        body += text(name)
        if isinstance(value, str):
            body += struct.pack("<I", 8) + text(value)
        elif isinstance(value, list):
            body += struct.pack(f"<IIQ{len(value)}i", 9, 5, len(value), *value)
        else:
            body += struct.pack("<II", 4, value)
    header = b"GGUF" + struct.pack("<IQQ", version, 0, len(fields) if count is None else count) + body
    return header + bytes(-len(header) % 32) + tail


OF_LLAMA = {
    "general.architecture": "llama",
    "llama.block_count": 2,
    "llama.embedding_length": 64,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.attention.key_length": 16,
    "llama.attention.value_length": 16,
    "llama.context_length": 4_096,
}


def test_a_gguf_header_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf(OF_LLAMA))
    plan = at.size(path, context=10, engine="llama.cpp")
    assert plan.cache_bytes == 256 * 256
    assert (plan.weight_bytes, plan.weights.exact) == (64, True)
    path.write_bytes(gguf(OF_LLAMA | {"split.count": 3}))
    assert at.size(path, context=10).weight_bytes is None  # the other two files hold the rest
    path.write_bytes(gguf(OF_LLAMA | {"llama.attention.head_count_kv": [2, 2]}))
    assert at.size(path, context=10).bytes_per_token == 256


def test_a_gguf_of_latent_attention(tmp_path: Path) -> None:
    """DeepSeek V3's own sizes: 61 layers x (512 + 64) x 2 bytes."""
    path = tmp_path / "model.gguf"
    fields = {
        "block_count": 61,
        "embedding_length": 7_168,
        "attention.head_count": 128,
        "attention.head_count_kv": 1,
        "attention.key_length": 576,
        "attention.value_length": 512,
        "attention.key_length_mla": 192,
        "attention.value_length_mla": 128,
        "attention.kv_lora_rank": 512,
        "attention.q_lora_rank": 1_536,
        "rope.dimension_count": 64,
    }
    path.write_bytes(
        gguf({"general.architecture": "deepseek2"} | {f"deepseek2.{k}": v for k, v in fields.items()})
    )
    assert at.size(path, context=10).bytes_per_token == 70_272


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"general.architecture": "odd"}, r"general\.architecture='odd' is not known\. Known are"),
        ({"llama.attention.head_count_kv": [2, 4]}, r"head_count_kv=\[2, 4\] differs from layer to layer"),
        ({"llama.attention.value_length": 8}, r"llama\.attention\.value_length=8: expected key_length=16"),
        ({"llama.attention.sliding_window": 5}, r"sliding_window=5: llama is not known to have this field"),
        ({"llama.attention.odd_size": 5}, r"odd_size=5: llama is not known to have this field"),
    ],
)
def test_a_gguf_that_cannot_be_sized(tmp_path: Path, changes: dict[str, Any], match: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf(OF_LLAMA | changes))
    refused(path, match)


def test_a_hostile_gguf(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    whole = gguf(OF_LLAMA, tail=b"")
    for length in range(0, len(whole) - 32, 7):
        path.write_bytes(whole[:length])
        refused(path, r"model\.gguf (ends within its header|does not begin with GGUF)")
    for content, match in (
        (gguf(OF_LLAMA, version=9), r"GGUF version 9: expected 2 or 3"),
        (gguf(OF_LLAMA, count=2**60), r"claims 1,152,921,504,606,846,976 fields: expected at most"),
        (
            b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**50),
            r"claims 1,125,899,906,842,624 bytes of a string",
        ),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<I", 77), r"a value of type 77"),
        (
            b"GGUF"
            + struct.pack("<IQQ", 3, 0, 1)
            + text("a")
            + struct.pack("<I", 9)
            + struct.pack("<IQ", 9, 1) * 9,
            r"too deep",
        ),
        (b"GGUF" + struct.pack("<IQQIQ", 3, 0, 1, 0, 0)[:24], r"ends within its header"),
        (b"{}" + bytes(40), r"does not begin with GGUF"),
    ):
        path.write_bytes(content)
        refused(path, match)
