"""exercises.ipynb: a valid notebook without outputs or solutions, whose scaffolds are those of the checks."""

import ast
import re
from typing import Any

import pytest

from attnscope.lesson.check import EXERCISES, exercise_of
from tests.lesson.notebooks import SHIPPED, shipped, source_of
from tests.lesson.page import LESSON

CELLS = shipped()["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]
TEXT = [source_of(cell) for cell in CELLS if cell["cell_type"] == "markdown"]


def test_it_is_a_notebook_of_format_4_5_for_python() -> None:
    notebook = shipped()
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"]["kernelspec"] == {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    assert {cell["cell_type"] for cell in CELLS} == {"code", "markdown"}
    identifiers = [cell["id"] for cell in CELLS]
    assert len(set(identifiers)) == len(identifiers)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", each) for each in identifiers)


def test_it_is_stored_without_outputs() -> None:
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in CODE)


def functions() -> dict[str, ast.FunctionDef]:
    found = {}
    for cell in CODE:
        for node in ast.parse(source_of(cell)).body:
            if isinstance(node, ast.FunctionDef):
                found[node.name] = node
    return found


def test_every_function_is_a_stub_that_states_what_it_returns() -> None:
    for name, function in functions().items():
        text, *rest = function.body
        assert "returns" in (ast.get_docstring(function) or ""), name
        assert isinstance(text, ast.Expr)
        assert [ast.unparse(each) for each in rest] == ["raise NotImplementedError"], name


TASKS = [
    (number, task)
    for number in EXERCISES
    for task in (*exercise_of(number).tasks, *exercise_of(number).stretch)
]


@pytest.mark.parametrize(("number", "task"), TASKS, ids=lambda each: getattr(each, "name", str(each)))
def test_a_scaffold_takes_what_the_check_gives(number: int, task: Any) -> None:
    arguments = [each.arg for each in functions()[task.name].args.args]
    given = ["cache"] * task.name.startswith("decode_") * (task.name != "decode_seconds")
    assert arguments == [*given, *task.parameters]


@pytest.mark.parametrize("number", EXERCISES)
def test_an_exercise_has_a_text_hints_a_check_and_a_stretch_part(number: int) -> None:
    exercise = exercise_of(number)
    assert any(text.startswith(f"## {number}. ") for text in TEXT)
    sources = [source_of(cell) for cell in CODE]
    names = ", ".join(task.name for task in exercise.tasks)
    assert f"check({number}, {names})" in sources
    stretch = ", ".join(task.name for task in exercise.stretch)
    assert any(source.endswith(f"check({number}, {stretch}, stretch=True)") for source in sources)


def test_hints_unfold_one_by_one() -> None:
    hints = [text for text in TEXT if text.startswith("<details>")]
    assert len(hints) == len(EXERCISES)
    for text in hints:
        assert text.count("<details><summary>") == text.count("</details>") >= 2


def test_formulas_are_closed() -> None:
    for text in TEXT:
        assert text.count("$$") % 2 == 0
        assert text.replace("$$", "").count("$") % 2 == 0


def test_it_is_written_as_a_person_would_compare_it() -> None:
    content = SHIPPED.read_text(encoding="utf-8")
    assert content.endswith("}\n")
    assert "\\u" not in content


OVERVIEW = (LESSON / "overview.md").read_text(encoding="utf-8")
HEADING = re.compile(
    r"^## (\d+)\..*?^\*\*Page .*?· (★+) · (\d+) minutes · builds on ([^*]*)\*\*$", re.DOTALL | re.MULTILINE
)
ROW = re.compile(r"^\| (\d+) \| \[.*?\| (★+) \| (\d+) \| ([\d, ]*) \|$", re.MULTILINE)


def stated(pattern: re.Pattern[str], text: str) -> dict[int, tuple[int, int, tuple[int, ...]]]:
    """Difficulty, minutes and what each exercise builds on."""
    return {
        int(number): (len(stars), int(minutes), tuple(map(int, re.findall(r"\d+", after))))
        for number, stars, minutes, after in pattern.findall(text)
    }


def test_difficulty_minutes_and_prerequisites_are_those_of_the_overview_and_of_the_checks() -> None:
    exercises = {number: exercise_of(number) for number in EXERCISES}
    right = {number: (each.difficulty, each.minutes, each.after) for number, each in exercises.items()}
    assert stated(ROW, OVERVIEW) == right
    headings = [text for text in TEXT if text.startswith("## ")]
    assert {number: row for text in headings for number, row in stated(HEADING, text).items()} == right
