"""What each CPU level's object file shows to the linker: its table, and nothing that could be merged.

Inline or template code that two differently compiled objects share by name is merged by the linker, which
may keep the AVX-512 copy for a CPU that has none. So there must be no weak symbol, and nothing may run
before a level was chosen.
"""

import platform
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from tests.conventions.source_tree import ROOT

LEVELS = {"x86_64": ["x86_v3", "x86_v4"], "aarch64": ["neon"]}[platform.machine()]
OF_THE_C_LIBRARY = {"memcpy", "memmove", "memset", "memcmp"}  # what a compiler may call for a loop of its own


def level_object(level: str) -> Path:
    """Where the build that is installed here left the level; `make test` builds in place."""
    wheel = metadata.distribution("attnscope").read_text("WHEEL") or ""
    tag = next(line.removeprefix("Tag: ") for line in wheel.splitlines() if line.startswith("Tag: "))
    path = ROOT / "build" / tag / "CMakeFiles" / f"level_{level}.dir" / "csrc" / "levels" / f"{level}.cpp.o"
    assert path.is_file(), f"there is no {path.relative_to(ROOT)}: build attnscope with make"
    return path


def symbols(path: Path) -> list[tuple[str, str]]:
    """Pairs (kind, name) as nm prints them; a capital is global, W and V are weak, u is unique."""
    listed = subprocess.run(["nm", str(path)], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return [(row[-2], row[-1]) for row in rows]


def sections(path: Path) -> str:
    return subprocess.run(["objdump", "-h", str(path)], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_exports_its_table_and_nothing_else(level: str) -> None:
    exported = [name for kind, name in symbols(level_object(level)) if kind.isupper() and kind != "U"]
    assert len(exported) == 1
    assert f"{level}_kernel" in exported[0]


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_has_no_symbol_that_the_linker_could_merge(level: str) -> None:
    assert not [name for kind, name in symbols(level_object(level)) if kind in "WwVvuiC"]


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_calls_nobody_but_the_c_library(level: str) -> None:
    assert {name for kind, name in symbols(level_object(level)) if kind == "U"} <= OF_THE_C_LIBRARY


@pytest.mark.parametrize("level", LEVELS)
def test_nothing_of_a_level_runs_before_it_is_chosen(level: str) -> None:
    listed = sections(level_object(level))
    assert ".text" in listed
    assert ".init_array" not in listed
    assert ".ctors" not in listed


def test_an_object_that_shares_code_is_caught(tmp_path: Path) -> None:
    """The rule must see what it forbids: an inline function, and a variable that is set up before main."""
    source = tmp_path / "level.cpp"
    source.write_text(
        "inline int shared() { return 1; } int (*kept)() = shared; int early = (kept(), kept());"
    )
    compiled = tmp_path / "level.o"
    subprocess.run(["c++", "-c", str(source), "-o", str(compiled)], check=True)
    assert [name for kind, name in symbols(compiled) if kind in "WwVvuiC"]
    assert ".init_array" in sections(compiled)
