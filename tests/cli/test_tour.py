"""attnscope tour on the command line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from attnscope.cli import main

SENTENCE = b"Zebras quietly jump over the lazy brown fox, whose big vexed puppy waltzes home. "
TEXT = b"[bold]markup[/] and :smile: stay as they are.\n" + SENTENCE + b"[red]1, 2, 3[/red]. " + SENTENCE


@pytest.fixture(scope="module")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("tour") / "some [bold] text.txt"
    path.write_bytes(TEXT)
    return str(path)


@pytest.fixture(scope="module")
def page(text_file: str) -> str:
    """The page, by a process of its own, on no terminal."""
    command = [sys.executable, "-m", "attnscope", "tour", text_file]
    environment = os.environ | {"COLUMNS": "80"}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.fixture(scope="module")
def facts(text_file: str) -> dict[str, Any]:
    done = CliRunner().invoke(main, ["tour", "--json", text_file])
    assert done.exit_code == 0, done.output
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def test_the_page_has_its_six_sections(page: str) -> None:
    assert re.findall(r"^(\d)  (.*?) ─", page, re.MULTILINE) == [
        ("1", "What the model generates"),
        ("2", "What its heads read"),
        ("3", "Without its induction head"),
        ("4", "A planted leak"),
        ("5", "The kernel and plain NumPy"),
        ("6", "The size of the KV cache"),
    ]


def test_a_page_that_is_piped_has_no_control_characters_and_fits_80_columns(page: str) -> None:
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", page)
    assert max(map(len, page.splitlines())) <= 80
    assert len(page.splitlines()) < 90


def test_foreign_text_is_not_read_as_markup(page: str) -> None:
    assert "some [bold] text.txt" in " ".join(page.split())  # the path may be wrapped
    assert "Traceback" not in page


def test_the_model_copies_the_sentence_and_without_its_head_it_does_not(facts: dict[str, Any]) -> None:
    assert facts["writing"]["right_bytes"] >= 50
    assert facts["ablated"]["right_bytes"] == 0
    assert facts["writing"]["predicted"] > facts["ablated"]["predicted"]


def test_the_shown_rows_are_peaked_mixed_and_uniform(facts: dict[str, Any]) -> None:
    rows = {row["kind"]: row for row in facts["looking"]["rows"]}
    peaked, mixed, uniform = (rows[kind]["effective_keys"] for kind in ("peaked", "mixed", "uniform"))
    assert peaked < 1.1
    assert uniform == pytest.approx(rows["uniform"]["visible_keys"], rel=1e-6)
    assert peaked <= mixed <= uniform


def test_the_maps_show_one_back_and_the_copied_bytes(facts: dict[str, Any]) -> None:
    one_back, induction, background = facts["looking"]["maps"]
    assert [one_back["weights"][n][n] for n in range(12)] == pytest.approx([1.0] * 12)
    assert min(induction["weights"][n][n] for n in range(12)) > 0.5
    row = background["first_row"] + 3
    assert background["weights"][3][:4] == pytest.approx([1 / (row + 1)] * 4)
    assert background["weights"][0][2] is None  # the future


def test_the_leak_is_found_and_the_causal_mask_changes_nothing(facts: dict[str, Any]) -> None:
    leak = facts["leak"]
    assert leak["rows_moved_causal"] == 0
    assert leak["rows_moved_leaking"] == 1
    assert leak["last_row_moved"] == leak["changed_byte"] - 1
    assert leak["predicted_leaking"] > leak["predicted_causal"]


def test_the_race_and_the_cache_are_in_the_facts(facts: dict[str, Any]) -> None:
    assert facts["race"]["numpy_seconds"] > 0
    assert facts["race"]["attnscope_seconds"] > 0
    assert facts["cache_sizes"][1]["total_bytes"] == 131_072 * facts["text_bytes"]


def test_a_cpu_without_a_kernel_level_has_a_tour(monkeypatch: pytest.MonkeyPatch, text_file: str) -> None:
    monkeypatch.setattr(sys.modules["attnscope.kernels.level"], "_from_environment", lambda: None)
    monkeypatch.setattr(sys.modules["attnscope.kernels.run"], "why_no_level", lambda: "this CPU lacks AVX2")
    facts = CliRunner().invoke(main, ["tour", "--json", text_file])
    assert json.loads(facts.stdout)["race"] is None
    page = CliRunner().invoke(main, ["tour", text_file])
    assert "no kernel level: the reference runs" in page.stdout
    assert "No kernel level runs on this CPU" in page.stdout


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty. Give a text of 64 bytes or more."),
        (bytes(100), "looks binary: byte 0x00 at 0. Give a text file."),
    ],
)
def test_other_than_a_text_ends_with_a_message_and_code_2(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "input"
    path.write_bytes(content)
    done = CliRunner().invoke(main, ["tour", str(path)])
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("name", ["missing.txt", "."])
def test_a_missing_file_or_a_folder_ends_with_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["tour", name])
    assert done.exit_code == 2
    assert re.search(r"does not exist|is a directory", done.stderr)
