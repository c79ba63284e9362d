"""attnscope inspect on the command line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from attnscope.cli import main
from attnscope.cli.inspect import MEASURES
from attnscope.inspection.measures import BY_KEY

TEXT = "the cat sat on the mat. the cat sat"


def run(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(main, ["inspect", *arguments], input=given)


def test_it_runs_at_once_without_anything() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "attnscope", "inspect"],
        capture_output=True,
        encoding="utf-8",
        check=False,
        env=os.environ | {"COLUMNS": "80"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("attnscope inspect: Example chat")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", done.stdout)


def test_the_help_has_examples() -> None:
    done = run("--help")
    assert "attnscope inspect --chat chat.json --model path/to/model" in done.output
    assert "inspect" in CliRunner().invoke(main, ["--help"]).output


def test_the_help_lists_all_measures() -> None:
    assert tuple(BY_KEY) == MEASURES


def test_text_a_file_and_standard_input_are_read(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text(TEXT, encoding="utf-8")
    for done in (run(TEXT), run(str(path)), run("-", given=TEXT)):
        assert done.exit_code == 0, done.output
        assert f"{len(TEXT)} tokens" in " ".join(done.output.split())


def test_the_page_and_the_json_are_written(tmp_path: Path) -> None:
    done = run(
        TEXT, "--html", str(tmp_path / "a.html"), "--json", str(tmp_path / "a.json"), "--measure", "induction"
    )
    assert done.exit_code == 0, done.output
    assert "Heads by induction" in done.output
    assert "Open it in a browser" in done.output
    assert (tmp_path / "a.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["model"] == "the hand-written model"


def test_json_on_standard_output_is_json_alone(tmp_path: Path) -> None:
    done = run(TEXT, "--json", "-", "--html", str(tmp_path / "a.html"))
    assert len(json.loads(done.stdout)["tokens"]) == len(TEXT)
    assert (tmp_path / "a.html").exists()


def test_segments_are_repeated_or_joined_by_commas() -> None:
    for given in (["--segments", "a:0-10", "--segments", "b:10-"], ["--segments", "a:0-10,b:10-"]):
        facts = json.loads(run(TEXT, *given, "--json", "-").stdout)
        assert facts["segments"]["names"] == ["a", "b"]
    assert json.loads(run(TEXT, "--segments", "a:0-9", "--rest", "r", "--json", "-").stdout)["segments"][
        "names"
    ] == ["a", "r"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([""], "is empty"),
        (["nowhere/notes.txt"], "no such file"),
        ([TEXT, "--segments", "a:0-9"], "Name the rest: --rest NAME"),
        ([TEXT, "--segments", "a:0-9,b:5-"], "overlap at token 5"),
        ([TEXT, "--layers", "9"], "expected layers from 0 to 1"),
        ([TEXT, "--chat", "c.json"], "exclude each other"),
        (["--chat", "c.json"], "c.json cannot be read"),
        ([TEXT, "--document", "d.txt"], "d.txt cannot be read"),
        ([TEXT, "--model", "nowhere"], "Models are never downloaded"),
        ([TEXT, "--html", "nowhere/a.html"], "the folder nowhere does not exist"),
        ([TEXT, "--measure", "beauty"], "is not one of"),
        ([TEXT, "--new-tokens", "-1"], "-1 is not in the range"),
    ],
)
def test_what_cannot_be_used_ends_with_2_and_the_way_out(arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())
    assert "Traceback" not in done.output


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.html").mkdir()
    assert run(TEXT, "--html", str(tmp_path / "a.html")).exit_code == 2
    done = run(TEXT, "--html", str(tmp_path / ("x" * 300)))
    assert done.exit_code == 2
    assert "cannot be written: File name too long" in done.output
