"""Files made to break a reader: each ends in one ConfigError, whose text any terminal can print.

A limit of CPU seconds catches what takes minutes: such files must be refused by their counts.
"""

import json
import os
import signal
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import attnscope as at
from attnscope.cli import main
from attnscope.sizing.gguf import MOST_ELEMENTS
from tests.sizing.published import LLAMA, config
from tests.sizing.test_config_files import OF_LLAMA, gguf, text

CPU_SECONDS = 10  # a case takes less than one, and took 105
INDEX = "model.safetensors.index.json"


@pytest.fixture(autouse=True)
def _limited() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TimeoutError(f"more than {CPU_SECONDS} s of CPU")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)
    yield
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, before)


def refused(given: Any, match: str, **asked: Any) -> None:
    with pytest.raises(at.ConfigError, match=match) as caught:
        at.size(given, **{"context": 10} | asked)
    assert all(letter.isprintable() for letter in str(caught.value))
    assert len(str(caught.value)) < 2_000
    str(caught.value).encode("utf-8")


def one_list(kind: int, length: int, content: bytes) -> bytes:
    """A field of a GGUF header that is a list."""
    return text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, kind, length) + content


def header(body: bytes, fields: int = 1, tensors: int = 0) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, fields) + body


STRINGS, LISTS = 8, 9
EMPTY_STRING, EMPTY_LIST = bytes(8), struct.pack("<IQ", 4, 0)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (
            header(one_list(STRINGS, 2**24, bytes(8 * 2**20))),
            r"claims 16,777,216 elements of lists: expected",
        ),
        (header(one_list(LISTS, 2**24, bytes(12 * 2**20))), r"claims 16,777,216 elements of lists: expected"),
        (
            header(one_list(STRINGS, MOST_ELEMENTS, bytes(8 * MOST_ELEMENTS)) * 2, 2),
            r"elements of lists: .* 0",
        ),
        (header(one_list(LISTS, 1, struct.pack("<IQ", 9, 1) * 50_000)), r"lists nested too deep: at most 4"),
        (header(one_list(LISTS, 2**16, EMPTY_LIST * 2**16)), r"general\.architecture=None is not known"),
        (header(one_list(0, 2**60, b"")), r"claims 1,152,921,504,606,846,976 elements of a list"),
        (header(one_list(10, 2**26, b"")), r"ends within its header: 8 bytes were expected"),
        (header(b"", 0, 2**60), r"claims 1,152,921,504,606,846,976 tensors: expected at most"),
        (header(text("a") + struct.pack("<IQ", 8, 2**26 + 1)), r"claims 67,108,865 bytes of a string"),
        (
            header(text("general.alignment") + struct.pack("<IQ", 10, 2**63)),
            r"general\.alignment=9.*: expected 1",
        ),
    ],
)
def test_a_gguf_header_is_refused_by_its_counts(tmp_path: Path, content: bytes, match: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    refused(path, match)


def test_a_gguf_header_that_goes_on_is_refused(tmp_path: Path) -> None:
    """Two lists of 40 MB that are really there."""
    path = tmp_path / "model.gguf"
    a_list = struct.pack("<IIQ", 9, 0, 40 * 2**20)
    with path.open("wb") as file:
        file.write(header(text("a") + a_list, 2))
        file.seek(40 * 2**20, os.SEEK_CUR)
        file.write(text("b") + a_list)
        file.truncate(2**40)
    refused(path, r"its header is longer than 67,108,864 bytes")


def test_a_vocabulary_is_counted_beyond_the_elements_that_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    whole = gguf(OF_LLAMA)
    path.write_bytes(
        whole[:16]
        + struct.pack("<Q", len(OF_LLAMA) + 1)
        + one_list(STRINGS, 100_000, EMPTY_STRING * 100_000)
        + whole[24:]
    )
    assert at.size(path, context=10).model.vocabulary == 100_000


@pytest.mark.parametrize("sequence", ["\x1b[31m", "\x07", "\u202e", "\r\n"])
def test_a_gguf_key_is_no_command_for_a_terminal(tmp_path: Path, sequence: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf(OF_LLAMA | {f"llama.attention.{sequence}window": 5}))
    refused(path, r"llama\.attention\.\\.*window=5: llama is not known to have this field")


SOUND = json.dumps(LLAMA).encode()[1:]
NESTED = b"[" * 100_000
DIGITS = b"9" * 5_000


@pytest.mark.parametrize(
    "content",
    [
        NESTED,
        b'{"a": ' * 100_000,
        b'{"model_type": "llama", "num_hidden_layers": ' + NESTED + b"]" * 100_000 + b"}",
        b'{"model_type": "llama", "num_hidden_layers": ' + DIGITS + b"}",
        b'{"model_type": "llama", "num_hidden_layers": 1e999}',
        b'{"model_type": "\\ud800"}',
        b'{"\\ud800_head": 4, ' + SOUND,
        b'{"model_type": "llama\\u001b[31m"}',
        b'{"\\u001b[31mheads": 4, ' + SOUND,
        b"{" + b",".join(b'"kv%d": 1' % i for i in range(70_000)) + b', "model_type": "llama"}',
        b'{"model_type": "' + b"x" * 2**20 + b'"}',
        b" " * (2**22 + 1),
        b"\x00" * 1_000,
    ],
    ids=range(13),
)
def test_a_config_is_refused_in_one_printable_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    refused(path, r".")
    done = CliRunner().invoke(main, ["size", str(path)])
    assert done.exit_code == 2
    assert "Traceback" not in done.output


@pytest.mark.parametrize("kind", ["a" * 5_000, "\x1b[31m", "\ud800"], ids=range(3))
def test_a_kind_of_layer_of_any_length_is_refused_in_a_short_error(kind: str) -> None:
    refused(config("granite-4.0-h-small", layer_types=[kind] * 40), r"a layer that is not known")


@pytest.mark.parametrize("asked", [{"context": 10**5000}, {"batch": -(10**5000)}, {"memory": 10**5000}])
def test_an_integer_of_5000_digits_is_refused(asked: dict[str, int]) -> None:
    refused(LLAMA, rf"{next(iter(asked))}=.*: expected", **asked)


@pytest.mark.parametrize("name", ["5,000 digits", "a\0b", "b" * 300, "\ud800", "\x1b[31m"])
def test_a_path_that_is_none_is_refused(name: str) -> None:
    refused(name if name != "5,000 digits" else "9" * 5_000, r"cannot be read|does not exist")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [fifo, folder, endless])
@pytest.mark.parametrize("name", ["config.json", INDEX, "model.safetensors"])
def test_only_regular_files_are_read(tmp_path: Path, make: Any, name: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    (tmp_path / name).unlink(missing_ok=True)
    make(tmp_path / name)
    refused(tmp_path, r"is not a regular file|cannot be read")


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/dev/stdin"])
def test_a_device_is_refused(path: str) -> None:
    refused(path, r"is not a regular file|is no JSON|does not exist|cannot be read")


@pytest.mark.parametrize(
    "content",
    [
        b'{"metadata": {"total_size": 1' + b"0" * 4_000 + b"}}",
        b'{"metadata": {"total_size": 1e300}}',
        b'{"metadata": {"total_size": 1e999}}',
        b'{"metadata": {"total_size": ' + DIGITS + b"}}",
        b'{"metadata": ' + NESTED,
        b'{"metadata": "\\ud800"}',
    ],
    ids=range(6),
)
def test_an_index_is_refused_in_one_printable_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    (tmp_path / INDEX).write_bytes(content)
    refused(tmp_path, r"index\.json.*[Dd]ownload (it|the index) again")


@pytest.mark.parametrize(
    "content",
    [
        NESTED,
        b'{"a": {"data_offsets": [0, 1' + b"0" * 4_000 + b"]}}",
        b'{"a": {"data_offsets": [0, ' + DIGITS + b"]}}",
        b'{"\\ud800": 5}',
        b'{"\\u001b[31m": 5}',
    ],
    ids=range(5),
)
def test_a_header_of_weights_is_refused_in_one_printable_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(content)) + content)
    refused(tmp_path, r"model\.safetensors: .*[Dd]ownload it again")


def test_headers_share_a_budget(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    for i in range(4):
        with (tmp_path / f"model-{i + 1:05}-of-00004.safetensors").open("wb") as file:
            file.write(struct.pack("<Q", 2**23 + 1) + b"{}")
            file.write(b" " * (2**23 - 1))
    refused(tmp_path, r"model-00004-of-00004\.safetensors: its header has 8,388,609 bytes: expected at most")


def test_an_assumption_nested_without_end_is_refused() -> None:
    config = Path(__file__).parent / "configs" / "llama-3-8b.json"
    done = CliRunner().invoke(main, ["size", str(config), "--assume", f"head_dim={'[' * 100_000}"])
    assert done.exit_code == 2
    assert "expected FIELD=JSON" in " ".join(done.output.split())


@pytest.mark.parametrize("option", ["--context", "--memory", "--batch", "--prompt"])
def test_an_option_of_5000_digits_is_refused(option: str) -> None:
    config = Path(__file__).parent / "configs" / "llama-3-8b.json"
    done = CliRunner().invoke(main, ["size", str(config), option, "9" * 5_000])
    assert done.exit_code == 2
    assert "Traceback" not in done.output
