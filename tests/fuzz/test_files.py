"""Configs, chats, notebooks and messages from strangers: read, or refused in the library's own words."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import attnscope as at
from attnscope.inspection import InspectionError
from attnscope.inspection.chat import parse_chat, plain_template
from attnscope.inspection.text import decoded
from attnscope.lesson.notebook import code_cells, plain_python
from attnscope.lesson.verdict import LessonError
from attnscope.lesson.wire import WireError, encoded, receive
from tests.fuzz.hostile import NUMBERS, TEXTS, check_error, file_of, limited, spoiled
from tests.sizing.published import NAMES, config
from tests.sizing.test_config_files import OF_LLAMA, gguf

CONFIGS = st.sampled_from(NAMES).flatmap(lambda name: spoiled(config(name), NUMBERS | TEXTS))
CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Who sleeps?"}]},
    {"role": "assistant", "content": "Cats."},
]
NOTEBOOK = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {"kernelspec": {"language": "python"}},
    "cells": [
        {"cell_type": "code", "metadata": {}, "source": "%matplotlib inline\nx = 1", "outputs": []},
        {"cell_type": "code", "metadata": {}, "source": ["!ls\n", "x?\n", "def f():\n    pass\n"]},
        {"cell_type": "markdown", "metadata": {}, "source": "words"},
    ],
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "file"


@given(
    fields=CONFIGS,
    context=st.integers(1, 2**40),
    batch=st.integers(1, 2**20),
    memory=st.none() | st.integers(1, 2**50),
    engine=st.sampled_from(["hf", "vllm", "llama.cpp"]),
)
def test_a_spoiled_config_is_sized_or_refused(
    fields: Any, context: int, batch: int, memory: int | None, engine: str
) -> None:
    with limited():
        try:
            plan = at.size(fields, context=context, batch=batch, memory=memory, engine=engine)
        except at.ConfigError as error:
            check_error(error, escaped=True)
        else:
            assert plan.explain()


@given(content=file_of(CONFIGS))
def test_a_spoiled_file_of_a_config_is_sized_or_refused(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    with limited():
        try:
            assert str(at.size(path, context=100))
        except at.ConfigError as error:
            check_error(error, escaped=True)


@given(data=st.data())
def test_a_spoiled_gguf_is_sized_or_refused(data: st.DataObject, path: Path) -> None:
    content = bytearray(gguf(OF_LLAMA | {"llama.attention.sliding_window": [5, 7], "general.alignment": 32}))
    for _ in range(data.draw(st.integers(1, 4))):
        at_byte = data.draw(st.integers(0, len(content) - 1))
        cut = data.draw(st.sampled_from([0, 1, 1, 1, 8]))
        content[at_byte : at_byte + cut] = data.draw(st.binary(max_size=9))
    path.write_bytes(content)
    with limited():
        try:
            assert at.size(path, context=100, memory=2**36).explain()
        except at.ConfigError as error:
            check_error(error, escaped=True)


@given(content=file_of(spoiled(CHAT) | spoiled({"messages": CHAT})) | st.binary(max_size=40))
def test_a_spoiled_chat_is_read_or_refused(content: bytes) -> None:
    with limited():
        try:
            chat = parse_chat(decoded("c.json", content))
            text, places = chat.rendered(plain_template)
        except InspectionError as error:
            check_error(error)
        else:
            assert len(places) == len(chat.messages) == len(chat.segments)
            for message, (start, end) in zip(chat.messages, places, strict=True):
                assert text[start:end].strip() == message.content.strip()


@given(content=file_of(spoiled(NOTEBOOK)) | st.binary(max_size=40))
def test_a_spoiled_notebook_is_read_or_refused(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    with limited():
        try:
            cells = code_cells(path)
        except LessonError as error:
            check_error(error)
        else:
            assert all(isinstance(plain_python(cell), str) for cell in cells)


@given(st.text(st.sampled_from("%!?#xy =():\n\t\0\"'\\\ud800[]"), max_size=40) | st.text(max_size=40))
def test_any_cell_becomes_python_or_stays_as_it_is(source: str) -> None:
    with limited():
        assert plain_python(source).count("\n") <= source.count("\n")


MESSAGE = encoded({"arrays": [[1.0, 2.0]], "trouble": "x", "peak_bytes": 5})


@given(data=st.data())
def test_a_forged_message_is_read_or_refused(data: st.DataObject) -> None:
    content = bytearray(MESSAGE)
    for _ in range(data.draw(st.integers(1, 4))):
        at_byte = data.draw(st.integers(0, len(content)))
        cut = data.draw(st.sampled_from([0, 1, 1, 8]))
        content[at_byte : at_byte + cut] = data.draw(st.binary(max_size=9))
    asked = 0

    def read(count: int) -> bytes:
        nonlocal asked
        asked += count
        piece = bytes(content[:count])
        del content[:count]
        return piece

    with limited():
        try:
            assert isinstance(receive(read), dict)
        except WireError as error:
            check_error(error)
    assert asked < 2**24
