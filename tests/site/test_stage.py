"""The site's sources: every page and every public name, and nothing that only makes sense elsewhere."""

import re
from pathlib import Path

import pytest

from attnscope.site.stage import GUIDES, LESSON, stage
from tests.conventions.test_public_names import PINNED, PUBLIC_ROOMS
from tests.lesson.page import Page


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "source"
    stage(folder)
    return folder


def test_every_page_and_notebook_is_there(staged: Path) -> None:
    for path in (*LESSON.iterdir(), *GUIDES.iterdir()):
        if path.suffix in (".md", ".ipynb"):
            assert (staged / path.name).exists()


@pytest.mark.parametrize("path", sorted(GUIDES.glob("*.md")), ids=lambda path: path.stem)
def test_the_code_of_a_guide_prints_what_the_guide_shows(path: Path) -> None:
    guide = Page.read(path)
    assert guide.examples or path.stem == "index"
    assert not guide.run()


@pytest.mark.parametrize("path", sorted(GUIDES.glob("*.md")), ids=lambda path: path.stem)
def test_a_guide_has_a_figure_and_lines_that_run(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("(../../lesson/figures/") == 1
    assert "```sh" in text or "```pycon" in text


def test_the_contents_name_every_page_once(staged: Path) -> None:
    index = (staged / "index.md").read_text(encoding="utf-8")
    tables = re.findall(r"```\{toctree\}\n.*?\n\n(.*?)```", index, re.DOTALL)
    listed = [name for table in tables for name in table.split()]
    written = [path.relative_to(staged).with_suffix("").as_posix() for path in staged.rglob("*.*")]
    assert sorted(["index", *listed]) == sorted(written)


def test_pages_leave_the_way_to_the_next_one_to_the_theme(staged: Path) -> None:
    for path in staged.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        assert "Overview](" not in text
        assert "](../" not in text


@pytest.mark.parametrize("name", [name for name in PINNED if name not in PUBLIC_ROOMS and name != "lesson"])
def test_every_public_name_has_its_place_in_the_reference(staged: Path, name: str) -> None:
    """A class that a room hands on as well stands there once."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted((staged / "reference").iterdir()))
    last = name.split(".")[-1]
    assert re.search(rf":: attnscope\.{re.escape(name)}$", text, re.MULTILINE) or (
        (last[0].isupper() or name == "observe")
        and re.search(rf":: attnscope\.[\w.]*\b{last}$", text, re.MULTILINE)
    )
