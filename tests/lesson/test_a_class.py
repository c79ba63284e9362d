"""A class is graded in one run, with one report: no notebook costs another one its grades.

ATTNSCOPE_CLASS=200 grades a class of 200, 20 of them hostile, in several minutes; a small one is the default.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from attnscope.lesson.check import EXERCISES, exercise_of
from tests.lesson.notebooks import all_solutions, made_of, saved
from tests.lesson.test_bounds import EXPECTED, NEIGHBOUR, REWRITE, STARTS, STDOUT, needs_bwrap
from tests.lesson.test_limits_of_judging import FLOOD

NAMES = int(os.environ.get("ATTNSCOPE_CLASS", "0"))
SECONDS = 60  # per notebook
LEFT_OUT = ("entropy", "alibi", "induction_score")  # no other function of the solutions calls them
NUMBERS = {task.name: number for number in EXERCISES for task in exercise_of(number).tasks}

# Cells after the right solutions
CELLS = {
    "a fork bomb": "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        break",
    "an infinite loop": "while True:\n    pass",
    "a loop that catches everything": "while 1:\n    try:\n        while 1: pass\n    except: pass",
    "all memory": "x = []\nwhile True:\n    x.append(bytearray(1 << 24))",
    "huge output": "for _ in range(3000):\n    print('x' * 100_000)",
    "a large file": "open('large', 'wb').write(bytes(65 << 20))",
    "many files": "opened = [open('/dev/null') for _ in range(300)]",
    "forged messages": FLOOD,
    "a flood of threads": "import threading as t\nwhile True:\n    t.Thread(target=t.Event().wait).start()",
    "the end of its process": "import os\nos._exit(0)",
    "a signal to its parent": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)",
    "a neighbour's answers": NEIGHBOUR.format("../sound-000/exercises.ipynb"),
    "another judge": REWRITE,
    "the grader's output": STDOUT,
    "the right results": EXPECTED.format(start=STARTS["threading"]),
    "a segmentation fault": "import ctypes\nctypes.string_at(0)",
    "a deep recursion": "import sys\nsys.setrecursionlimit(10**6)\ndef f():\n    f()\nf()",
    "another NumPy": "import numpy\nnumpy.exp = numpy.array_equal = lambda *each: True",
}
FILES = {
    "invalid JSON": b'{"nbformat": 4, "cells": [',
    "nested without end": b'{"nbformat": 4, "metadata": ' + b"[" * 100_000,
}
QUICK = ("the end of its process", "invalid JSON")


def write_class(folder: Path, count: int) -> dict[str, int | None]:
    """Write notebooks, a folder each; returns which exercise each sound one lacks."""
    hostile = [*CELLS, *FILES] if count else [*QUICK]
    lacks: dict[str, int | None] = {}
    for number in range((count or 4) - len(hostile)):
        name = LEFT_OUT[number % 3]
        left = [cell for cell in all_solutions() if not cell.startswith(f"def {name}(")]
        saved(made_of(*left), folder / f"sound-{number:03}" / "exercises.ipynb")
        lacks[f"sound-{number:03}"] = NUMBERS[name]
    for number, kind in enumerate(hostile):
        path = folder / f"hostile-{number:02}" / "exercises.ipynb"
        saved(made_of(*all_solutions(), CELLS.get(kind, "")), path)
        if kind in FILES:
            path.write_bytes(FILES[kind])
        lacks[path.parent.name] = None
    return lacks


@needs_bwrap
@pytest.mark.parametrize("count", [NAMES])
def test_a_class_is_graded_in_one_run_and_nothing_is_lost(tmp_path: Path, count: int) -> None:
    lacks = write_class(tmp_path, count)
    command = [sys.executable, "-m", "attnscope", "check", str(tmp_path), "--json", f"--seconds={SECONDS}"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=SECONDS * len(lacks))
    assert done.returncode == 1, done.stderr[-2000:]
    found = {Path(each["file"]).parent.name: each for each in json.loads(done.stdout)}
    assert sorted(found) == sorted(lacks)
    for name, missing in lacks.items():
        failed = {each["number"]: each["message"] for each in found[name]["grades"] if not each["passed"]}
        if missing is None:
            assert found[name]["trouble"] or len(found[name]["grades"]) == 10, name
        else:
            assert [*failed] == [missing], (name, failed)
