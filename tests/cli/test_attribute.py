"""attnscope attribute on the command line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from attnscope.cli import main
from attnscope.cli.attribute import ABLATIONS, LEVELS, METHODS, NEW_TOKENS
from attnscope.inspection.attribution import request

QUESTION = "The two is"


def run(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(main, ["attribute", *arguments], input=given)


@pytest.fixture
def documents(tmp_path: Path) -> list[str]:
    texts = {"one.txt": "One was red.", "two.txt": "The two is green. It is wide."}
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return [part for name in texts for part in ("--document", str(tmp_path / name))]


def test_it_runs_at_once_without_anything() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "attnscope", "attribute"],
        capture_output=True,
        encoding="utf-8",
        check=False,
        env=os.environ | {"COLUMNS": "80"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("attnscope attribute: the hand-written model, 5 sources")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", done.stdout)


def test_the_help_has_examples_and_lists_the_command() -> None:
    done = run("--help")
    assert (
        "attnscope attribute --chat chat.json --by sentence --model path/to/model --html why.html"
        in done.output
    )
    assert "attribute" in CliRunner().invoke(main, ["--help"]).output


def test_the_choices_are_those_of_the_library() -> None:
    assert (METHODS, LEVELS, NEW_TOKENS) == (request.METHODS, request.LEVELS, request.NEW_TOKENS)
    assert ABLATIONS == request.ABLATIONS
    assert f"x>={request.FEWEST_SAMPLES}" in run("--samples", "1").output
    assert f"[default: {request.SAMPLES}]" in " ".join(run("--help").output.split())


def test_sampled_effects_are_printed_with_their_errors(documents: list[str]) -> None:
    done = run(*documents, "--question", QUESTION, "--method", "sampled", "--samples", "16")
    assert done.exit_code == 0, done.output
    assert "method: sampled, random subsets are ablated" in done.output
    assert re.search(r"two\.txt +[0-9.]+ .*± [0-9.]+", done.output)


def test_sources_drops_and_sentences_of_the_answer_are_printed(documents: list[str]) -> None:
    done = run(*documents, "--question", QUESTION, "--answer", " green. One was red.")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert any("1. green." in line for line in lines)
    assert any(re.match(r"source +drop +of 1\. +of 2\. +attention", line) for line in lines)
    assert re.search(r"two\.txt +\d+\.\d\d .*%", done.output)
    assert "method: knockout, the source is hidden" in done.output


def test_removal_is_compared_if_asked_for(documents: list[str]) -> None:
    done = run(*documents, "--question", QUESTION, "--answer", " green.", "--through-others")
    assert done.exit_code == 0, done.output
    assert "through other" in " ".join(done.output.split())


def test_roles_are_reported_if_asked_for(tmp_path: Path) -> None:
    chat = tmp_path / "chat.json"
    messages = [
        ("system", "Be brief."),
        ("user", "The two is green. Is it? The two is"),
        ("assistant", "green."),
    ]
    chat.write_text(json.dumps([{"role": role, "content": text} for role, text in messages]))
    done = run("--chat", str(chat), "--role-report")
    assert done.exit_code == 0, done.output
    assert re.search(r"All sources of a role together.*system.*user.*template", done.output, re.DOTALL)


def test_json_is_printed_or_written(documents: list[str], tmp_path: Path) -> None:
    given = [*documents, "--question", QUESTION, "--answer", " green.", "--by", "sentence"]
    printed = json.loads(run(*given, "--json", "-").output)
    done = run(*given, "--json", str(tmp_path / "out.json"))
    written = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert done.output.startswith("attnscope attribute")
    assert [each["name"] for each in printed["sources"]] == [
        "one.txt, sentence 1",
        "two.txt, sentence 1",
        "two.txt, sentence 2",
    ]
    assert printed["sources"] == written["sources"]
    assert printed["answer"]["text"] == " green."


def test_a_text_is_read_from_standard_input() -> None:
    done = run("-", "--answer", " green.", given="The two is green.\n\nThe two is")
    assert done.exit_code == 0, done.output
    assert "paragraph 1" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--question", "Who?"], "--question needs sources"),
        (["--chat", "nowhere.json"], "nowhere.json cannot be read"),
        (["--model", "nowhere"], "no such folder or file"),
        (["x y. z", "--source", "a:0-9"], "expected START < END <= 6"),
        (["--json", "nowhere/out.json"], "the folder nowhere does not exist"),
        (["--method", "shapley"], "'shapley' is not one of"),
    ],
)
def test_input_that_cannot_be_used_ends_with_exit_code_2(arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.output
    assert "Traceback" not in done.output
