"""Notebooks as learners hand them in: as shipped, with an instructor's solutions, and made up."""

import json
from pathlib import Path
from typing import Any

import attnscope
from attnscope.lesson.check import EXERCISES, exercise_of
from attnscope.lesson.check import source_of as solution_of

SHIPPED = Path(attnscope.__file__).parent / "lesson" / "exercises.ipynb"


def shipped(name: str = SHIPPED.name) -> dict[str, Any]:
    """The notebook as a learner gets it."""
    notebook: dict[str, Any] = json.loads((SHIPPED.parent / name).read_text(encoding="utf-8"))
    return notebook


def source_of(cell: dict[str, Any]) -> str:
    """A cell's text."""
    return "".join(cell["source"])


def completed(without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The notebook with each scaffold's functions written, but for those that are left out."""
    notebook = shipped()
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["source"] = [with_solutions(source_of(cell), without)]
    return notebook


def with_solutions(source: str, without: tuple[str, ...]) -> str:
    """A scaffold cell, its stubs replaced."""
    parts = source.split("\n\n\n")
    return "\n\n\n".join(written(part, without) for part in parts)


def written(part: str, without: tuple[str, ...]) -> str:
    """One stub, replaced by its solution."""
    name = part.removeprefix("def ").partition("(")[0]
    if not part.startswith("def ") or name in without:
        return part
    return solution_of([name])


def made_of(*sources: str) -> dict[str, Any]:
    """A notebook of these code cells."""
    cells = [{"cell_type": "code", "source": source, "metadata": {}, "outputs": []} for source in sources]
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}


def all_solutions() -> list[str]:
    """A cell for each function of the ten exercises and their stretch parts, and one for NumPy."""
    names = [
        task.name
        for number in EXERCISES
        for task in (*exercise_of(number).tasks, *exercise_of(number).stretch)
    ]
    return ["import numpy as np", *solution_of(names).split("\n\n\n")]


def saved(notebook: dict[str, Any], path: Path) -> Path:
    """Written to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path
