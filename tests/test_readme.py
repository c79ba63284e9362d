"""What the README shows is run: its Python, its commands' names, and the names it speaks of."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import attnscope as at
from attnscope.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
(SHOWN,) = re.findall(r"```sh\n(attnscope size [^\n]*)\n```\n\n```text\n(.*?)\n```", README, re.DOTALL)


@pytest.mark.parametrize("code", PYTHON, ids=[f"block {i}" for i in range(len(PYTHON))])
def test_the_python_runs_and_prints_what_it_says(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    if "import torch" in code:
        for tool in ("torch", "transformers"):
            pytest.importorskip(tool, reason=f"needs {tool}: make test-models")
    exec(compile(code, "README.md", "exec"), {})
    said = re.findall(r"print\(.*\)\s+# (.*)", code)
    assert capsys.readouterr().out.splitlines() == said


def test_the_command_begins_with_what_it_says() -> None:
    """A table of other engines follows."""
    command, said = SHOWN
    done = CliRunner().invoke(
        main, [str(ROOT / word) if "/" in word else word for word in command.split()[1:]]
    )
    assert done.exit_code == 0
    shown, engines = done.output.split("\n\n")
    assert shown == said
    assert engines.startswith("engine ")


def test_the_first_example_is_about_ten_lines() -> None:
    assert 8 <= len(PYTHON[0].splitlines()) <= 13


def test_every_name_it_gives_exists() -> None:
    for name in set(re.findall(r"`at\.([a-zA-Z_]+)", README)):
        assert hasattr(at, name), f"README speaks of at.{name}"


def test_every_make_target_it_gives_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"make ([a-z]+)", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"README speaks of make {target}"


def test_every_file_it_links_to_exists() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / link).exists(), f"README links to {link}"
