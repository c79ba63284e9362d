"""Notebooks, graded: as shipped, completed, edited in odd ways, and hostile."""

import time
from pathlib import Path
from typing import Any

import pytest

from attnscope.lesson.grading import Graded, grade, grade_all, notebooks_in
from attnscope.lesson.notebook import Limits
from attnscope.lesson.sandbox import Sandbox
from attnscope.lesson.verdict import LessonError
from tests.lesson.notebooks import all_solutions, completed, made_of, saved, shipped
from tests.lesson.solutions import TEXT

ALL = list(range(1, 11))


@pytest.fixture(autouse=True)
def _no_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second for each notebook, which test_correct.py and test_planted.py spend."""
    monkeypatch.setattr("attnscope.lesson.exercises.masked_attention.AUDIT_SECONDS", 1e-9)


@pytest.fixture
def hand_in(tmp_path: Path) -> Any:
    """Save a notebook and grade it."""

    def graded(notebook: dict[str, Any], **limits: float) -> Graded:
        return grade(saved(notebook, tmp_path / "mine.ipynb"), Limits(**limits))  # type: ignore[arg-type]

    return graded


def passed(graded: Graded) -> list[int]:
    """The exercises that passed; projects are asked for by themselves."""
    return [each.number for each in graded.grades if each.passed and isinstance(each.number, int)]


def message(graded: Graded, number: int) -> str:
    return graded.grades[number - 1].message


def test_the_notebook_as_shipped_fails_all_ten_politely(hand_in: Any) -> None:
    graded = hand_in(shipped())
    assert passed(graded) == []
    assert not graded.complete
    for each in graded.grades:
        assert each.message.endswith("is not written yet: it returns nothing.")
    assert graded.notes == ()


def test_the_notebook_with_an_instructor_s_solutions_passes_all_ten(hand_in: Any) -> None:
    graded = hand_in(completed())
    assert passed(graded) == ALL, graded
    assert graded.complete
    assert graded.notes == ()


def test_what_is_written_counts_and_the_rest_is_reported(hand_in: Any) -> None:
    graded = hand_in(completed(without=("multi_head", "leaks")))
    assert passed(graded) == [1, 2, 3, 4, 6, 7, 8, 10]
    assert message(graded, 5).endswith("is not written yet: it returns nothing.")
    assert message(graded, 9) == "leaks is not written yet: it returns nothing."


def test_functions_count_in_any_cell_without_any_check(hand_in: Any) -> None:
    assert hand_in(made_of("\n\n".join(all_solutions()))).complete


def test_magics_questions_and_broken_cells_are_stepped_over(hand_in: Any) -> None:
    odd = [
        "%matplotlib inline\n!pip list\nimport numpy as np",
        "%%bash\necho hello",
        "np.exp?",
        "def broken(:",
        "1 / 0",
        "%%time\ndef nothing(): pass",
        "display(3)",
        "input('name?')",
    ]
    graded = hand_in(made_of(*odd, *all_solutions()))
    assert graded.complete
    assert [note.split(":")[0] for note in graded.notes] == ["cell 4", "cell 5", "cell 8"]
    assert "SyntaxError" in graded.notes[0]
    assert graded.notes[1] == "cell 5: ZeroDivisionError: division by zero, in <module>: `1 / 0`"
    assert "EOFError" in graded.notes[2]


WRONG = "def softmax(scores):\n    e = np.exp(scores)\n    return e / e.sum(-1, keepdims=True)"


def test_a_wrong_answer_gets_its_diagnosis_and_its_example(hand_in: Any) -> None:
    graded = hand_in(made_of(*all_solutions(), WRONG))
    assert 1 not in passed(graded)
    assert "the exponentials overflow" in message(graded, 1)
    assert "expected weights = " in str(graded.grades[0].example)


FAKES = {
    "prints verdicts": (
        "print('passed: exercise 1, softmax and attention by hand')\nprint('10 of 10 exercises passed')"
    ),
    "redefines check": "def check(*answers, **options):\n    return 'passed'\ncheck(1)",
    "replaces check": "import attnscope.lesson\nattnscope.lesson.check = lambda *a, **k: True",
    "replaces the judge": (
        "import attnscope.lesson.judge as judge\nfrom attnscope.lesson.verdict import Verdict\n"
        "judge.judge = lambda *a, **k: Verdict(True, 'passed')"
    ),
    "replaces NumPy's comparisons": (
        "np.array_equal = np.allclose = lambda *a, **k: True\nnp.abs = lambda x: 0 * x"
    ),
    "replaces the reference": "import attnscope\nattnscope.reference.attention = lambda *a, **k: 0",
    "calls check before": "from attnscope.lesson import check\nassert check(1, softmax, attention)",
}


@pytest.mark.parametrize("fake", FAKES.values(), ids=FAKES)
def test_no_verdict_can_be_faked(hand_in: Any, fake: str) -> None:
    graded = hand_in(made_of(*all_solutions(), WRONG, fake))
    assert 1 not in passed(graded)
    assert "exponentials overflow" in message(graded, 1)


def test_a_cell_that_ends_the_process_is_left_out(hand_in: Any) -> None:
    graded = hand_in(
        made_of("import os\nos._exit(0)", *all_solutions(), "import os, signal\nos.kill(os.getpid(), 9)")
    )
    assert graded.complete
    assert graded.notes == (
        "cell 1: it ended the process",
        f"cell {len(all_solutions()) + 2}: it ended the process",
    )


def test_a_function_that_ends_the_process_fails_alone(hand_in: Any) -> None:
    graded = hand_in(made_of(*all_solutions(), "def entropy(weights):\n    import os\n    os._exit(0)"))
    assert passed(graded) == [1, 2, 3, 5, 6, 7, 8, 9, 10]
    assert message(graded, 4) == "entropy(weights) ended the process it ran in."


def test_exit_is_no_end(hand_in: Any) -> None:
    graded = hand_in(made_of("exit()", "import sys; sys.exit(0)", *all_solutions()))
    assert graded.complete


def test_memory_has_a_limit(hand_in: Any) -> None:
    greedy = "def alibi(heads, query_len, key_len):\n    return np.ones((1 << 16, 1 << 16)) * 2"
    graded = hand_in(made_of("hoard = bytearray(3 << 30)", *all_solutions(), greedy), memory_bytes=1 << 30)
    assert passed(graded) == [1, 2, 3, 4, 5, 7, 8, 9, 10]
    assert "MemoryError" in message(graded, 6)
    assert graded.notes == ("cell 1: it needed more memory than it may have",)


def test_a_cell_without_end_is_stopped_and_the_others_run(hand_in: Any) -> None:
    graded = hand_in(made_of("while True:\n    pass", *all_solutions()), cell_seconds=0.5)
    assert graded.complete
    assert graded.notes == ("cell 1: it did not end within 0.5 s",)


def test_a_cell_that_cannot_be_stopped_ends_with_the_notebook_s_time(hand_in: Any) -> None:
    start = time.monotonic()
    stubborn = "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\nwhile True: pass"
    graded = hand_in(made_of(stubborn, *all_solutions()), seconds=1)
    assert time.monotonic() - start < 5
    assert {each.message for each in graded.grades} == {"the notebook did not run through in 1 s."}


def test_functions_without_end_cost_their_own_exercise(hand_in: Any) -> None:
    graded = hand_in(
        made_of(*all_solutions(), "def counterexample():\n    while True: pass"), call_seconds=0.5
    )
    assert passed(graded) == [1, 2, 3, 5, 6, 7, 8, 9, 10]
    assert "Is there a loop that does not end?" in message(graded, 4)


def test_processes_that_a_notebook_starts_end_with_it_without_bwrap_too(tmp_path: Path) -> None:
    started = (
        "import subprocess, sys, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(child.pid))"
    )
    grade(saved(made_of(started), tmp_path / "mine.ipynb"), Limits(), sandbox=Sandbox())
    stat = Path(f"/proc/{(tmp_path / 'pid').read_text()}/stat")
    until = time.monotonic() + 10
    while stat.exists() and stat.read_text().split()[2] != "Z":  # a zombie is as dead as can be
        assert time.monotonic() < until, "the notebook's own process is still there"
        time.sleep(0.02)


GARBAGE = """
import os
for fd in range(3, 30):
    try:
        os.write(fd, {!r})
    except OSError:
        pass
"""


@pytest.mark.parametrize(
    "written",
    [
        b"\x00" * 64,
        b"\xff" * 64,
        b"hello, judge",
        b"\x0f\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" + b'{"of": {"a": 1',
        b"\x1d\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" + b'{"of": {"passed": 10, "a": 1}}'[:29],
    ],
    ids=range(5),
)
def test_garbage_on_the_wire_is_no_verdict(hand_in: Any, written: bytes) -> None:
    graded = hand_in(made_of(WRONG, GARBAGE.format(written)))
    assert passed(graded) == []
    assert len(graded.grades) == 10


BROKEN = {
    "not JSON": (b"hello", "it holds no JSON"),
    "not text": (b"\xff\xfe\x00\x9f", "it holds no JSON"),
    "empty": (b"", "it holds no JSON"),
    "cut off": (b'{"nbformat": 4, "cells": [', "it holds no JSON"),
    "a list": (b"[1, 2]", "expected a JSON object, not a list"),
    "another object": (b'{"name": "package"}', "is no notebook of format 4"),
    "an old notebook": (b'{"nbformat": 3, "worksheets": []}', "is no notebook of format 4"),
    "cells that are none": (b'{"nbformat": 4, "cells": 3}', "is no notebook of format 4"),
    "nested too deeply": (b"[" * 100_000, "it holds no JSON"),
    "another language": (
        b'{"nbformat": 4, "cells": [], "metadata": {"kernelspec": {"language": "R"}}}',
        "is a notebook in R, expected Python",
    ),
}


@pytest.mark.parametrize(("content", "words"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_notebook_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "mine.ipynb"
    path.write_bytes(content)
    with pytest.raises(LessonError, match=words):
        grade(path, Limits())


def test_odd_cells_are_no_obstacle(hand_in: Any) -> None:
    notebook = made_of(*all_solutions())
    notebook["cells"] += [
        None,
        3,
        {"cell_type": "code"},
        {"cell_type": "code", "source": None},
        {"cell_type": "raw"},
    ]
    notebook["metadata"] = {"kernelspec": None}
    assert hand_in(notebook).complete


def test_a_file_beside_the_notebook_that_is_named_like_a_module_is_no_obstacle(
    hand_in: Any, tmp_path: Path
) -> None:
    (tmp_path / "json.py").write_text("raise RuntimeError")
    (tmp_path / "mine.py").write_text("number = 3")
    graded = hand_in(made_of("import mine\nassert mine.number == 3", *all_solutions()))
    assert graded.complete
    assert graded.notes == ()


def test_a_class_is_graded_side_by_side(tmp_path: Path) -> None:
    saved(made_of(*all_solutions()), tmp_path / "ada" / "exercises.ipynb")
    saved(shipped(), tmp_path / "bob" / "exercises.ipynb")
    saved(shipped(), tmp_path / "bob" / ".ipynb_checkpoints" / "exercises-checkpoint.ipynb")
    (tmp_path / "eve.ipynb").write_text("no notebook")
    paths = notebooks_in(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        "ada/exercises.ipynb",
        "bob/exercises.ipynb",
        "eve.ipynb",
    ]
    graded = {
        Path(each.file).relative_to(tmp_path).as_posix(): each for each in grade_all(paths, Limits(), 2)
    }
    assert graded["ada/exercises.ipynb"].complete
    assert graded["bob/exercises.ipynb"].passed == 0
    assert "is no notebook" in str(graded["eve.ipynb"].trouble)


def test_a_folder_without_notebooks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LessonError, match="holds no notebook"):
        notebooks_in(tmp_path)


def test_stretch_parts_and_projects_are_graded_too(hand_in: Any) -> None:
    graded = hand_in(made_of(*all_solutions(), "def twins():\n    return 1"))
    assert graded.complete
    assert graded.stretched == 9
    assert (
        graded.grades[3].stretch
        == "twins() returns one thing, an int; expected 4: (query_a, query_b, key, value)."
    )
    projects = hand_in(made_of(TEXT), seconds=120, call_seconds=20)
    assert [each.number for each in projects.grades if each.passed] == [*ALL, "A", "B", "C"]


def test_a_notebook_of_projects_alone_has_no_other_grades(hand_in: Any) -> None:
    graded = hand_in(shipped("projects.ipynb"))
    assert [each.number for each in graded.grades] == ["A", "B", "C"]
    assert not graded.complete
