"""What a notebook cannot do to the grader and to other notebooks."""

import json
import os
import shutil
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from click.testing import CliRunner

from attnscope.cli import main
from attnscope.lesson.grading import Graded, grade, grade_all
from attnscope.lesson.notebook import Limits
from attnscope.lesson.sandbox import Sandbox, find_sandbox
from tests.lesson.notebooks import all_solutions, made_of, saved

ALL = list(range(1, 11))


def bwrap_works() -> bool:
    """Whether bubblewrap can start a process here, found out without the code under test."""
    program = shutil.which("bwrap")
    probe = ["--ro-bind", "/", "/", "--unshare-pid", "--unshare-net", "true"]
    return program is not None and subprocess.run([program, *probe], check=False).returncode == 0


BWRAP = find_sandbox()
NONE = Sandbox(trouble="not used in this test")
WORKS = bwrap_works()
needs_bwrap = pytest.mark.skipif(not WORKS, reason="bwrap is not installed, or may not make namespaces here")


@pytest.fixture(autouse=True)
def _no_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saves half a second per notebook. test_correct.py and test_planted.py run the audit."""
    monkeypatch.setattr("attnscope.lesson.exercises.masked_attention.AUDIT_SECONDS", 1e-9)


def test_a_bwrap_that_works_is_used() -> None:
    assert (BWRAP.program is not None) == WORKS, BWRAP.trouble


def passed(graded: Graded) -> list[int | str]:
    return [each.number for each in graded.grades if each.passed]


@pytest.fixture(params=[NONE, pytest.param(BWRAP, marks=needs_bwrap)], ids=["bare", "bwrap"])
def sandbox(request: Any) -> Sandbox:
    """Each way of running a notebook."""
    found: Sandbox = request.param
    return found


def note_of(path: Path, sandbox: Sandbox, *cells: str, **limits: Any) -> str:
    """What the last of these cells raises."""
    graded = grade(saved(made_of(*cells), path), Limits(**limits), sandbox=sandbox)
    assert graded.bounds == sandbox.bounds
    return graded.notes[-1] if graded.notes else ""


def test_the_environment_of_the_grader_is_not_passed_on(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "xyzzy")
    shown = "import os\nraise ValueError(os.environ.get('A_SECRET', 'nothing'))"
    assert "ValueError: nothing" in note_of(tmp_path / "a.ipynb", sandbox, shown)


def test_a_notebook_runs_in_a_copy_of_its_folder_without_other_notebooks(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    (tmp_path / "data.txt").write_text("numbers", encoding="utf-8")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("number = 3", encoding="utf-8")
    saved(made_of("x = 1"), tmp_path / "neighbour.ipynb")
    saved(made_of("x = 1"), tmp_path / "other" / "exercises.ipynb")
    written = (
        "import os, package\nopen('data.txt', 'w').write('other')\nraise ValueError(sorted(os.listdir()))"
    )
    note = note_of(tmp_path / "mine.ipynb", sandbox, written)
    assert "ValueError: ['data.txt', 'mine.ipynb', 'package']" in note
    assert (tmp_path / "data.txt").read_text(encoding="utf-8") == "numbers"


def test_a_notebook_beside_too_many_files_is_copied_alone(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attnscope.lesson.sandbox.MOST_FILES", 1)
    (tmp_path / "one.txt").touch()
    (tmp_path / "two.txt").touch()
    path = saved(made_of("import os\nraise ValueError(os.listdir())"), tmp_path / "mine.ipynb")
    notes = grade(path, Limits(), sandbox=sandbox).notes
    assert notes[0] == "the files beside the notebook are too many or too large: it was run without them"
    assert "ValueError: ['mine.ipynb']" in notes[1]


DEEP = "import os\nfor _ in range(3000):\n    os.mkdir('d')\n    os.chdir('d')\nos.chmod('.', 0)"


def test_no_temporary_file_is_left_over(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    left = "import tempfile\ntempfile.mkdtemp()\ntempfile.mkstemp()"
    assert note_of(tmp_path / "class" / "a.ipynb", sandbox, left, DEEP) == ""
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_file_has_a_largest_size(tmp_path: Path, sandbox: Sandbox) -> None:
    large = "open('large', 'wb').write(bytes(65 << 20))"
    assert "OSError: [Errno 27] File too large" in note_of(tmp_path / "a.ipynb", sandbox, large)


def test_open_files_have_a_limit(tmp_path: Path, sandbox: Sandbox) -> None:
    many = "import os\nopened = [open(os.devnull) for _ in range(300)]"
    assert "OSError: [Errno 24] Too many open files" in note_of(tmp_path / "a.ipynb", sandbox, many)


def test_processes_have_a_limit(tmp_path: Path, sandbox: Sandbox) -> None:
    unlimited = os.geteuid() == 0 and sandbox is NONE
    assert ("processes" in sandbox.bounds) == (not unlimited)
    if unlimited:
        pytest.skip("the processes of root have no limit without bwrap, and the report does not claim one")
    bomb = "import os, time\nfor _ in range(1000):\n    if os.fork() == 0:\n        time.sleep(30)"
    assert "BlockingIOError" in note_of(tmp_path / "a.ipynb", sandbox, bomb)


def command_lines() -> list[str]:
    """The command lines of all processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(path.read_bytes().decode(errors="replace"))
    return found


@needs_bwrap
def test_no_process_is_left_over_even_if_it_left_its_group(tmp_path: Path) -> None:
    mark = f"left over by {tmp_path.name} {os.getpid()}"
    away = (
        "import subprocess, sys\n"
        f"subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(50)', {mark!r}], "
        "start_new_session=True)"
    )
    assert note_of(tmp_path / "a.ipynb", BWRAP, away) == ""
    until = monotonic() + 20
    while any(mark in line for line in command_lines()):  # a namespace ends a moment after its first process
        assert monotonic() < until, "the process is still there"
        sleep(0.02)


# ---- what learners tried: each gains nothing under bubblewrap


NEIGHBOUR = """
import json
for cell in json.load(open({!r}))["cells"]:
    exec("".join(cell["source"]), globals())
"""


@needs_bwrap
def test_a_neighbour_s_answers_cannot_be_read(tmp_path: Path) -> None:
    ada = saved(made_of(*all_solutions()), tmp_path / "ada" / "exercises.ipynb")
    eve = saved(made_of(NEIGHBOUR.format(str(ada))), tmp_path / "eve" / "exercises.ipynb")
    graded = {Path(each.file).parent.name: each for each in grade_all([ada, eve], Limits(), 2)}
    assert graded["ada"].complete
    assert passed(graded["eve"]) == []
    assert "FileNotFoundError" in graded["eve"].notes[0]


EXPECTED = """
import threading, _thread
from time import sleep
def softmax(scores):
    found = []
    def work():
        from attnscope.lesson.check import exercise_of
        found.append(exercise_of(1).tasks[0].expected(scores)[0].value)
    {start}
    return found[0]
"""
STARTS = {
    "threading": "each = threading.Thread(target=work); each.start(); each.join()",
    "_thread": "_thread.start_new_thread(work, ()); sleep(0.5)",
}


@needs_bwrap
@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_the_right_results_cannot_be_computed_in_a_thread(tmp_path: Path, start: str) -> None:
    path = saved(made_of(*all_solutions(), EXPECTED.format(start=start)), tmp_path / "eve.ipynb")
    assert passed(grade(path, Limits(), sandbox=BWRAP)) == ALL[2:]  # attention calls it too


def test_a_thread_that_calls_the_library_is_seen(tmp_path: Path, sandbox: Sandbox) -> None:
    called = EXPECTED.format(start=STARTS["threading"]).replace(
        "exercise_of(1).tasks[0].expected(scores)[0].value",
        "__import__('attnscope').reference.weights(scores, scores)",
    )
    path = saved(made_of(*all_solutions(), called), tmp_path / "eve.ipynb")
    graded = grade(path, Limits(), sandbox=sandbox)
    assert "softmax calls attnscope." in graded.grades[0].message


def checked_from_outside(path: Path) -> Any:
    """What `attnscope check --json` prints as its only output, in a process of its own."""
    command = [sys.executable, "-m", "attnscope", "check", str(path), "--json"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=300)
    assert done.returncode == 1, done.stderr
    assert b"all passed" not in done.stdout + done.stderr
    return json.loads(done.stdout)


STDOUT = """
import os, glob
for name in ["/dev/tty", "/dev/console", "/dev/stdout", "/dev/stderr", *glob.glob("/proc/[0-9]*/fd/[012]")]:
    try:
        os.write(os.open(name, os.O_WRONLY | os.O_NONBLOCK), b"all passed")
    except OSError:
        pass
"""


@needs_bwrap
def test_the_grader_s_output_cannot_be_written(tmp_path: Path) -> None:
    assert checked_from_outside(saved(made_of(STDOUT), tmp_path / "eve.ipynb"))["passed"] == 0


@needs_bwrap
def test_the_grader_cannot_be_killed(tmp_path: Path) -> None:
    kill = "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)"
    seen = f"import os\nos.kill({os.getpid()}, 0)"
    found = checked_from_outside(
        saved(made_of(kill, seen, *all_solutions(), "softmax = None"), tmp_path / "eve.ipynb")
    )
    assert found["passed"] == 8
    assert any("ProcessLookupError" in note for note in found["notes"])


REWRITE = """
import os, attnscope.lesson.judge as judge
for change in (os.O_WRONLY, os.O_RDWR):
    try:
        os.close(os.open(judge.__file__, change))
    except OSError:
        continue
    raise ValueError("it can be written")
os.rename(judge.__file__, judge.__file__ + ".old")
"""


@needs_bwrap
def test_the_installed_judge_cannot_be_rewritten(tmp_path: Path) -> None:
    note = note_of(tmp_path / "eve.ipynb", BWRAP, REWRITE)
    assert "Read-only file system" in note


@needs_bwrap
def test_there_is_no_network(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = f"import socket\nsocket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 5)"
        assert "ConnectionRefusedError" in note_of(tmp_path / "a.ipynb", BWRAP, code)
        assert "ConnectionRefusedError" not in note_of(tmp_path / "a.ipynb", NONE, code)


@needs_bwrap
def test_no_other_files_are_seen_and_root_is_another_user(tmp_path: Path) -> None:
    code = "import os\nraise ValueError(os.path.exists('/etc/passwd'), os.listdir('/handed-in'), os.getuid())"
    note = note_of(tmp_path / "a.ipynb", BWRAP, code)
    assert "(False, ['a.ipynb'], " in note
    assert ("another user" in BWRAP.bounds) == (os.geteuid() == 0)
    assert not note.endswith(", 0)")


@needs_bwrap
def test_a_grader_that_is_not_root_has_the_same_bounds_but_another_user(tmp_path: Path) -> None:
    path = saved(made_of("import os\nraise ValueError(os.path.exists('/etc/passwd'))"), tmp_path / "a.ipynb")
    other = 65534
    command = [sys.executable, "-m", "attnscope", "check", str(path), "--json"]
    as_other: dict[str, Any] = (
        {"user": other, "group": other, "extra_groups": []} if os.geteuid() == 0 else {}
    )
    if as_other and not readable_by_others(Path(sys.executable).resolve(), path, Path(__file__)):
        pytest.skip("Python, the library or temporary files are in a folder of root")
    done = subprocess.run(command, capture_output=True, check=False, timeout=300, **as_other)
    found = json.loads(done.stdout)
    assert "ValueError: False" in found["notes"][0]
    assert "another user" not in found["bounds"]
    assert {*BWRAP.bounds} - {"another user"} == {*found["bounds"]}


def readable_by_others(*paths: Path) -> bool:
    """Whether every folder on the way to these files can be entered by anyone."""
    return all(outer.stat().st_mode & 0o005 == 0o005 for path in paths for outer in path.parents)


# ---- the report


def test_the_report_lists_the_bounds_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(made_of("x = 1"), tmp_path / "a.ipynb")
    saved(made_of("x = 1"), tmp_path / "b.ipynb")
    monkeypatch.setattr("shutil.which", lambda _name: None)
    for subject in (path, tmp_path):
        text = " ".join(CliRunner().invoke(main, ["check", str(subject)]).output.split())
        assert "Bounds in force: time, memory, file size, open files, copied folder," in text
        assert "It could use the network and your files: bwrap is not installed" in text
        assert "no network" not in text
        found = json.loads(CliRunner().invoke(main, ["check", str(subject), "--json"]).output)
        facts = found if subject is path else found[0]
        assert facts["bounds"] == list(Sandbox(trouble="none").bounds)
        assert facts["unconfined"] == "bwrap is not installed (on Debian: apt-get install bubblewrap)"


def test_a_bwrap_that_does_not_work_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text(
        "#!/bin/sh\necho 'No permissions to create new namespace' >&2\nexit 1\n", encoding="utf-8"
    )
    broken.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda _name: str(broken))
    found = find_sandbox()
    assert found.program is None
    assert found.trouble == "bwrap does not work here: No permissions to create new namespace"


@needs_bwrap
def test_the_report_lists_the_sandbox(tmp_path: Path) -> None:
    text = CliRunner().invoke(main, ["check", str(saved(made_of("x = 1"), tmp_path / "a.ipynb"))]).output
    assert "no network, no other files" in " ".join(text.split())
    assert "It could use" not in text
