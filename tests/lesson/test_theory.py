"""The theory notebook as it is stored; `make test-browser` runs it."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from attnscope.lesson.figure import FIGURES
from tests.lesson.page import LESSON, pages

NOTEBOOK = json.loads((LESSON / "theory.ipynb").read_text(encoding="utf-8"))
CELLS: list[dict[str, Any]] = NOTEBOOK["cells"]
CODE = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]
TEXT = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "markdown"]
# What the notebook is for; each stands in one of its cells
TOPICS = {
    "softmax stability": r"np\.exp\(large\)",
    "the variance of dot products": r"dots\.var\(\)",
    "saturation": r"steepest",
    "masks drawn": r"mask\.visible\(12, 12\)",
    "entropy": r"def entropy",
    "head shapes": r"layer\.trace",
    "grouped heads": r"key\.repeat",
    "cache growth": r"contexts",
    "this machine's roofline": r"at\.Hardware\.measure\(\)",
    "prefill beside decode, measured": r"simulate\(1024",
    "a model's roofline": r"at\.roofline",
    "ALiBi": r"at\.alibi_slopes",
    "rotary positions": r"at\.apply_rotary",
    "the online softmax, step by step": r"shrink \* z",
    "memory measured": r"tracemalloc\.start",
    "sinks observed": r"first_mass\[",
    "segments observed": r"segment_mass\[",
    "the induction head": r"copying_transformer",
    "ablation": r"ablate=",
    "a leak planted and found": r"at\.audit\.attention\(attend",
    "a model trained": r"train\(report=",
    "its induction heads ablated": r"second_reading\(each, taken\[",
}
FIGURE_CELLS = {f'at.lesson.figure("{name}")': name for name in FIGURES}
# Drawings without controls; and the notebook plots a training of its own
NOT_IN_THE_NOTEBOOK = {"block", "flow", "cross", "pages", "training"}


def ends(source: str) -> ast.stmt:
    """The last statement, within the loop or block that is last."""
    last = ast.parse(source).body[-1]
    while isinstance(last, ast.For | ast.With):
        last = last.body[-1]
    return last


def test_there_are_at_least_60_code_cells() -> None:
    assert len(CODE) >= 60


@pytest.mark.parametrize("number", range(len(CODE)))
def test_a_cell_ends_in_an_assertion_or_a_picture(number: int) -> None:
    last = ends(CODE[number])
    is_picture = ast.unparse(last) == "plt.show()" or CODE[number] in FIGURE_CELLS
    assert isinstance(last, ast.Assert) or is_picture, CODE[number]


def test_the_figures_that_move_are_in_the_sections_of_their_pages() -> None:
    section = ""
    shown: dict[str, set[str]] = {}
    for cell in CELLS:
        source = "".join(cell["source"])
        if heading := re.match(r"## (\d+)\. ", source):
            section = heading[1]
        if source in FIGURE_CELLS:
            shown.setdefault(section, set()).add(FIGURE_CELLS[source])
    for number, path in enumerate(pages()[1:], start=1):
        drawn = set(re.findall(r"\(figures/(\w+)\.svg\)", path.read_text(encoding="utf-8")))
        assert shown[str(number)] == drawn - NOT_IN_THE_NOTEBOOK, path.name


@pytest.mark.parametrize("number", range(len(CODE)))
def test_a_cell_imports_only_what_the_lesson_installs(number: int) -> None:
    for node in ast.walk(ast.parse(CODE[number])):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
            assert {str(name).split(".")[0] for name in names} <= {
                "attnscope",
                "itertools",
                "matplotlib",
                "numpy",
                "threadpoolctl",
                "time",
                "tracemalloc",
            }


def test_an_assertion_is_about_something_that_was_computed() -> None:
    for source in CODE:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Assert):
                assert any(isinstance(each, ast.Name) for each in ast.walk(node.test)), ast.unparse(node)


@pytest.mark.parametrize("topic", TOPICS)
def test_the_topics_are_there(topic: str) -> None:
    assert re.search(TOPICS[topic], "\n".join(CODE))


def test_each_page_has_its_section() -> None:
    headings = [heading for text in TEXT for heading in re.findall(r"^## (\d+)\. ", text, re.MULTILINE)]
    assert headings == [str(number) for number in range(1, 11)]
    for number, path in enumerate(pages()[1:], start=1):
        assert f"[Section {number} of the theory notebook](theory.ipynb)" in path.read_text(encoding="utf-8")
    linked = {link for text in TEXT for link in re.findall(r"\]\(([^)]*\.md)\)", text)}
    assert linked == {path.name for path in pages()}


@pytest.mark.parametrize("path", sorted(LESSON.glob("*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_is_stored_without_outputs_and_ready_to_run(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) >= (4, 5)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", each) for each in ids)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
