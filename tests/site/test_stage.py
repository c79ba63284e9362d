"""The site's sources: every page and every public name, and nothing that only makes sense elsewhere."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from tests.conventions.test_public_names import PINNED, PUBLIC_ROOMS
from tests.lesson.page import LESSON

SITE = Path(__file__).parents[2] / "docs" / "site"


def stage_module() -> ModuleType:
    found = importlib.util.spec_from_file_location("stage", SITE / "stage.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


STAGE = stage_module()


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "source"
    STAGE.stage(folder)
    return folder


def test_every_page_and_notebook_is_there(staged: Path) -> None:
    for path in LESSON.iterdir():
        if path.suffix in (".md", ".ipynb"):
            assert (staged / ("index.md" if path.name == "overview.md" else path.name)).exists()


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
        assert "overview.md" not in text
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
