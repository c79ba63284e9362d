"""`attnscope learn` and `attnscope check`: what they copy and print, and their exit codes."""

import errno
import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from attnscope.cli import main
from attnscope.cli.learn import built_site, copy_lesson, lesson_files
from attnscope.cli.refusals import InputError
from tests.lesson.notebooks import all_solutions, made_of, saved, shipped


@pytest.fixture(autouse=True)
def _no_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second for each notebook, which test_correct.py and test_planted.py spend."""
    monkeypatch.setattr("attnscope.lesson.exercises.masked_attention.AUDIT_SECONDS", 1e-9)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


def test_learn_copies_the_lesson(tmp_path: Path) -> None:
    folder = tmp_path / "some" / "where"
    done = run("learn", folder, "--no-open")
    assert done.exit_code == 0, done.output
    assert f"copied          {folder / 'exercises.ipynb'}\n" in done.output
    copied = sorted(path for path in folder.rglob("*") if path.is_file())
    assert [path.name for path in copied] == [path.name for path in lesson_files()]
    assert json.loads((folder / "exercises.ipynb").read_text()) == shipped()


def test_a_copied_page_links_to_nothing_that_is_not_there(tmp_path: Path) -> None:
    """In the repository its links lead to lines of code; a learner's folder has none."""
    for done in copy_lesson(tmp_path):
        assert done.done == "copied"
    pages = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.glob("*.md")}
    targets = [link for text in pages.values() for link in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text)]
    assert len(targets) > 20
    assert [link for link in targets if not (tmp_path / link).exists()] == []
    originals = {
        path.name: path.read_text(encoding="utf-8") for path in lesson_files() if path.suffix == ".md"
    }
    for page, name, folder, file in (
        ("02-scaled-dot-product.md", "softmax", "attnscope/reference", "definition.py"),
        ("04-weights.md", "exponential.inl.hpp", "csrc/kernels", "exponential.inl.hpp"),
    ):
        link = re.search(rf"\[`{name}`\]\([^)]*/{file}#L(\d+)-L(\d+)\)", originals[page])
        assert link is not None
        assert f"`{name}` ({folder}/{file}, lines {link[1]} to {link[2]})" in pages[page]


def test_learn_never_writes_over_a_learner_s_work(tmp_path: Path) -> None:
    mine = saved(made_of("x = 1"), tmp_path / "exercises.ipynb")
    before = mine.read_bytes()
    done = run("learn", tmp_path, "--no-open")
    assert done.exit_code == 0
    assert f"kept as it is   {mine}\n" in done.output
    assert mine.read_bytes() == before


def test_learn_on_a_full_disk_leaves_no_part_of_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        written(path, content[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    done = run("learn", tmp_path, "--no-open")
    assert done.exit_code == 2
    assert "No space left on device" in " ".join(done.output.split())
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    monkeypatch.undo()
    assert "kept as it is" not in run("learn", tmp_path, "--no-open").output


def test_learn_may_be_called_again(tmp_path: Path) -> None:
    run("learn", tmp_path, "--no-open")
    done = run("learn", tmp_path, "--no-open")
    assert {line[:15] for line in done.output.splitlines()} == {"there already  "}


def test_learn_leaves_a_folder_or_a_dangling_link_in_the_place_of_a_file_alone(tmp_path: Path) -> None:
    (tmp_path / "exercises.ipynb").symlink_to(tmp_path / "elsewhere.ipynb")
    done = run("learn", tmp_path, "--no-open")
    assert done.exit_code == 0
    assert "kept as it is" in done.output
    assert not (tmp_path / "elsewhere.ipynb").exists()


def test_learn_needs_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("learn", tmp_path / "file", "--no-open")
    assert done.exit_code == 2
    assert "cannot hold the lesson" in done.output
    assert "Name another folder." in done.output


def test_learn_opens_jupyterlab_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[list[str], Path]] = []

    def started(command: list[str], *, cwd: Path, env: dict[str, str], check: bool) -> Any:
        calls.append((command, cwd))
        settings = (
            Path(env["JUPYTER_CONFIG_PATH"].split(os.pathsep)[0])
            / "labconfig"
            / "default_setting_overrides.json"
        )
        viewers = json.loads(settings.read_text())["@jupyterlab/docmanager-extension:plugin"][
            "defaultViewers"
        ]
        assert viewers == {"markdown": "Markdown Preview"}
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr("attnscope.cli.learn.find_spec", lambda name: object())
    monkeypatch.setattr("attnscope.cli.learn.subprocess.run", started)
    assert run("learn", tmp_path, "--lab", "--", "--no-browser").exit_code == 0
    [(command, folder)] = calls
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    assert command[3].startswith("--LabApp.default_url=/lab/tree/")
    assert command[4:] == ["--no-browser"]
    assert folder == tmp_path


def test_jupyterlab_gets_the_port_and_no_browser_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[str, ...]] = []
    monkeypatch.setattr("attnscope.cli.learn.open_jupyterlab", lambda folder, options: opened.append(options))
    assert run("learn", tmp_path, "--lab", "--port", "9999", "--no-browser", "--", "--debug").exit_code == 0
    assert opened == [("--port=9999", "--no-browser", "--debug")]


def test_options_of_jupyterlab_without_lab_are_refused(tmp_path: Path) -> None:
    done = run("learn", tmp_path / "lesson", "--", "--port", "9999")
    assert done.exit_code == 2
    assert "add --lab" in done.output
    assert not (tmp_path / "lesson").exists()


@pytest.mark.skipif(find_spec("jupyterlab") is not None, reason="JupyterLab is here, and would open")
def test_learn_explains_how_to_get_jupyterlab(tmp_path: Path) -> None:
    done = run("learn", tmp_path, "--lab")
    assert done.exit_code == 2
    assert "pip install 'jupyterlab>=4.2'" in done.output
    assert (tmp_path / "exercises.ipynb").exists()


def test_learn_explains_how_to_get_what_the_local_page_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attnscope.cli.learn.find_spec", lambda name: None if name == "sphinx" else object())
    done = run("learn", tmp_path)
    assert done.exit_code == 2
    assert "sphinx is not installed here" in done.output
    assert "pip install 'attnscope[lesson]'" in " ".join(done.output.split())
    assert (tmp_path / "exercises.ipynb").exists()


def test_the_pages_are_built_once_for_a_version_of_their_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[list[str]] = []

    def build(command: list[str], *, check: bool) -> Any:
        built.append(command)
        Path(command[-1]).mkdir()
        (Path(command[-1]) / "index.html").write_text("a page")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("attnscope.cli.learn.subprocess.run", build)
    first = built_site()
    assert (first / "index.html").read_text() == "a page"
    assert built_site() == first
    assert len(built) == 1
    monkeypatch.setattr("attnscope.cli.learn.digest_of_the_lesson", lambda: "another")
    assert built_site() != first
    assert len(built) == 2


def test_pages_that_cannot_be_built_are_an_error_that_names_another_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(
        "attnscope.cli.learn.subprocess.run",
        lambda command, check: subprocess.CompletedProcess(command, 1),
    )
    with pytest.raises(InputError, match="attnscope learn --lab"):
        built_site()


def test_check_prints_ten_lines_and_a_total(tmp_path: Path) -> None:
    done = run("check", saved(shipped(), tmp_path / "mine.ipynb"))
    assert done.exit_code == 1
    lines = done.output.splitlines()
    assert [line.split()[0] for line in lines[:10]] == [str(number) for number in range(1, 11)]
    assert lines[0].rstrip() == "1   not yet  softmax is not written yet: it returns nothing."
    assert lines[10] == "0 of 10 exercises passed"
    assert lines[11].startswith("Bounds in force: time, memory, file size, open files,")


def test_check_ends_with_0_if_all_passed(tmp_path: Path) -> None:
    done = run("check", saved(made_of(*all_solutions(), "1 / 0"), tmp_path / "mine.ipynb"))
    assert done.exit_code == 0, done.output
    assert "1   passed   soft retrieval" in done.output
    assert "cell 35: ZeroDivisionError" in done.output
    assert "\n10 of 10 exercises passed, 10 stretch parts\nBounds in force: " in done.output


def test_check_prints_everything_as_json(tmp_path: Path) -> None:
    wrong = "def entropy(weights):\n    return (weights * np.log(weights)).sum(-1)"
    done = run("check", saved(made_of(*all_solutions(), wrong), tmp_path / "mine.ipynb"), "--json")
    assert done.exit_code == 1
    printed = json.loads(done.output)
    assert (printed["passed"], printed["complete"], len(printed["grades"])) == (9, False, 10)
    grade = printed["grades"][3]
    assert (grade["number"], grade["passed"]) == (4, False)
    assert grade["message"].startswith("entropy: ")
    assert grade["example"].startswith("weights = [")


def test_check_of_a_folder_prints_a_table_for_a_class(tmp_path: Path) -> None:
    saved(made_of(*all_solutions()), tmp_path / "ada.ipynb")
    saved(shipped(), tmp_path / "bob.ipynb")
    (tmp_path / "eve.ipynb").write_text("{")
    done = run("check", tmp_path, "--jobs", 2)
    assert done.exit_code == 1
    rows = [line.split() for line in done.output.splitlines()]
    assert rows[1] == ["ada.ipynb", *["*"] * 10, "10"]
    assert rows[2] == ["bob.ipynb", *["-"] * 10, "0"]
    assert rows[3] == ["eve.ipynb", "not", "graded"]
    assert ["3", "notebooks", *["1"] * 10, "10"] in rows
    assert "it holds no JSON" in " ".join(done.output.split())


def test_check_of_a_folder_prints_everything_as_json(tmp_path: Path) -> None:
    saved(made_of(*all_solutions()), tmp_path / "ada.ipynb")
    done = run("check", tmp_path, "--json")
    assert done.exit_code == 0
    [printed] = json.loads(done.output)
    assert printed["complete"]


def test_check_ends_with_2_if_there_is_no_notebook(tmp_path: Path) -> None:
    (tmp_path / "broken.ipynb").write_text("no notebook")
    (tmp_path / "empty").mkdir()
    for path, words in (
        (tmp_path / "broken.ipynb", "it holds no JSON"),
        (tmp_path / "empty", "holds no notebook"),
        (tmp_path / "missing.ipynb", "does not exist"),
    ):
        done = run("check", path)
        assert done.exit_code == 2
        assert words in done.output


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [("--memory", "much", "memory"), ("--seconds", "0", "seconds"), ("--jobs", "0", "jobs")],
)
def test_check_explains_a_wrong_option(tmp_path: Path, option: str, value: str, words: str) -> None:
    done = run("check", saved(shipped(), tmp_path / "mine.ipynb"), option, value)
    assert done.exit_code == 2
    assert words in done.output


def test_a_class_is_printed_while_audits_run_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the audit of exercise 3 on, and with two notebooks at once: the default, which printed nothing."""
    monkeypatch.undo()
    for name in ("ada", "bob", "eve"):
        saved(made_of(*all_solutions()), tmp_path / f"{name}.ipynb")
    streams = sys.stdout, sys.stderr
    done = run("check", tmp_path)
    assert done.exit_code == 0, done.output
    assert (sys.stdout, sys.stderr) == streams
    assert "3 notebooks" in done.output
    as_json = run("check", tmp_path, "--json")
    assert [graded["passed"] for graded in json.loads(as_json.stdout)] == [10, 10, 10]
