"""docs/kernel.md is true: its session runs, its links lead to files, and what it names is in the code."""

import doctest
import re

from tests.conventions.source_tree import ROOT

PAGE = ROOT / "docs" / "kernel.md"
TEXT = PAGE.read_text(encoding="utf-8")
SOURCES = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "csrc").rglob("*.?pp"))


def test_the_session_prints_what_the_page_shows() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False)
    assert result.attempted > 0
    assert result.failed == 0


def test_every_link_leads_to_a_file() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", TEXT)
    assert len(links) > 10
    assert not [link for link in links if not (PAGE.parent / link).is_file()]


def test_a_name_after_a_link_to_a_file_is_in_that_file() -> None:
    named = re.findall(r"`(\w+)` in \[[^]]+\]\((\.\./csrc/[^)]+)\)", TEXT)
    assert named
    for name, link in named:
        source = (PAGE.parent / link).read_text(encoding="utf-8")
        assert re.search(rf"\b{name}\b", source), f"{name} is not in {link}"


def test_every_name_on_the_page_is_in_the_code() -> None:
    names = set(re.findall(r"`([A-Za-z]\w*_\w+|[A-Z]\w+)`", TEXT))
    assert len(names) > 10
    assert not {name for name in names if not re.search(rf"\b{name}\b", SOURCES)}


def test_every_target_of_make_exists() -> None:
    targets = set(re.findall(r"`make ([a-z-]+)`", TEXT))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets
    assert not {target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)}
