"""The command line as a whole: help, version, and what it imports."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

import attnscope as at
from attnscope.cli import main
from attnscope.cli.terminal import terminal


@pytest.mark.parametrize("verb", [[], ["tour"], ["inspect"], ["bench"], ["audit"], ["size"]])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_help_has_examples(verb: list[str], option: str) -> None:
    done = CliRunner().invoke(main, [*verb, option])
    assert done.exit_code == 0
    assert "Examples:\n    attnscope " in done.output


def test_the_version_states_level_and_threads() -> None:
    done = CliRunner().invoke(main, ["--version"])
    assert done.exit_code == 0
    level = at.kernels.level()
    assert done.output.startswith("attnscope ")
    assert (f"kernel level {level}," if level else "no kernel level") in done.output
    assert f"{at.kernels.default_threads()} thread" in done.output


@pytest.mark.parametrize("arguments", [["--version"], ["bench"], ["tour"]])
def test_a_level_that_cannot_run_here_ends_with_a_message_and_code_2(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "attnscope", *arguments]
    environment = os.environ | {"ATTNSCOPE_LEVEL": "abacus"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ATTNSCOPE_LEVEL='abacus' cannot run on this CPU. Usable levels:")


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert not terminal().no_color
    monkeypatch.setenv("NO_COLOR", "1")
    assert terminal().no_color


def test_an_unknown_subcommand_is_a_usage_error() -> None:
    done = CliRunner().invoke(main, ["tuor"])
    assert done.exit_code == 2
    assert "No such command 'tuor'" in done.stderr


def test_the_command_line_imports_no_large_module_before_a_subcommand_runs() -> None:
    program = (
        "import sys, attnscope.cli; print(*{'rich', 'attnscope.tour', 'attnscope.bench'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    "arguments", [["inspect", "no/\x1b[31m.txt"], ["size", "no\x1b[31m.json"], ["check", "\x1b[31m"]]
)
def test_no_escape_sequence_of_an_argument_reaches_the_terminal(arguments: list[str]) -> None:
    done = CliRunner().invoke(main, arguments, color=True)  # as a terminal, from which nothing is stripped
    assert done.exit_code == 2
    assert "\x1b" not in done.output
    assert "x1b" in done.output
