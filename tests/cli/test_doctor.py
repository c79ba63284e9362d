"""attnscope doctor: what it prints, its exit code, and that it writes nothing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from attnscope import kernels
from attnscope.cli import main
from attnscope.doctor import EXPECTED_DIGEST
from tests.conventions.source_tree import PACKAGE


def test_every_finding_is_a_row_and_a_sound_installation_ends_with_code_0() -> None:
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == 0
    for subject in (
        "Python",
        "attnscope",
        "level",
        "threads",
        "numpy",
        "torch",
        "BLAS variables",
        "self-test",
    ):
        assert f" {subject} " in done.output
    assert EXPECTED_DIGEST in done.output


def test_the_json_holds_the_findings_and_the_digest_of_each_level() -> None:
    done = CliRunner().invoke(main, ["doctor", "--json"])
    facts = json.loads(done.output)
    assert facts["is_sound"] is True
    assert facts["digests"] == dict.fromkeys(kernels.usable_levels(), EXPECTED_DIGEST)
    assert facts["expected_digest"] == EXPECTED_DIGEST
    assert {finding["status"] for finding in facts["findings"]} <= {"ok", "warning", "problem"}


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("ATTNSCOPE_LEVEL", "abacus", 1),
        ("ATTNSCOPE_THREADS", "many", 1),
        ("OPENBLAS_CORETYPE", "Prescott", 0),
    ],
)
def test_a_problem_ends_with_code_1_and_a_warning_with_0(name: str, value: str, code: int) -> None:
    command = [sys.executable, "-m", "attnscope", "doctor"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {name: value}
    )
    assert done.returncode == code, done.stderr
    assert f"{name}" in done.stdout.replace("\n", " ")
    assert ("problem" if code else "warning") in done.stdout


def test_nothing_is_written_where_attnscope_is_installed(tmp_path: Path) -> None:
    """So a read-only site-packages is enough."""
    shutil.copytree(
        PACKAGE, tmp_path / "attnscope", ignore=shutil.ignore_patterns("__pycache__", "_core.*.so")
    )
    shutil.copy(str(kernels._core.__file__), tmp_path / "attnscope" / "kernels")
    before = sorted(tmp_path.rglob("*"))
    program = (
        f"import sys; sys.path[:0] = {[str(tmp_path), *sys.path]}; sys.dont_write_bytecode = True; "
        "from attnscope.cli import main; main(['doctor'])"
    )
    command = [sys.executable, "-S", "-c", program]
    assert subprocess.run(command, capture_output=True, check=False, cwd=tmp_path).returncode == 0
    assert sorted(tmp_path.rglob("*")) == before
