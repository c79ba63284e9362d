"""SECURITY.md states limits; each is what the code has."""

import pytest

from attnscope.audit import targets
from attnscope.inspection import reader
from attnscope.lesson import host, notebook, process, sandbox, wire
from attnscope.sizing import config_file, gguf, weights
from tests.conventions.source_tree import ROOT

PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
LIMITS = notebook.Limits()
MIB = 2**20
STATED = [
    f"At most {config_file.LARGEST_CONFIG // MIB} MiB for a config and ",
    f"and {weights.LARGEST_JSON // MIB} MiB for an index",
    f"at most {gguf.LARGEST_HEADER // MIB} MiB, {gguf.MOST_FIELDS:,} fields, {gguf.MOST_TENSORS:,} tensors, ",
    f"{gguf.MOST_ELEMENTS:,} elements of lists of strings, lists {gguf.DEEPEST_LIST} deep",
    f"Regular files only, at most {reader.MOST_BYTES // MIB} MiB each",
    f"TOML or JSON of at most {targets.MOST_BYTES:,} bytes",
    f"{LIMITS.seconds:g} s, {LIMITS.cell_seconds:g} s per cell, {LIMITS.call_seconds:g} s per call, ",
    f"{LIMITS.memory_bytes // 2**30} GiB of memory",
    f"files of at most {host.MOST_FILE_BYTES // MIB} MiB, {host.MOST_OPEN_FILES} open files, "
    f"{sandbox.MOST_PROCESSES} processes and threads, a notebook of at most {notebook.MOST_BYTES // MIB} MiB",
    f"at most {wire.MOST_HEADER_BYTES // 1024} KiB of text and {wire.MOST_ARRAY_BYTES // MIB} MiB of numbers",
    f"{process.MOST_STARTS} starts of its process",
]


@pytest.mark.parametrize("stated", STATED)
def test_a_stated_limit_is_the_code_s(stated: str) -> None:
    assert stated in " ".join(PAGE.split())


def test_the_page_is_linked() -> None:
    assert "(SECURITY.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
