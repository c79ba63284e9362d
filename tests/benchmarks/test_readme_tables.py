"""The tables of numbers in README and docs are what the stored JSON renders to."""

import json
from pathlib import Path

import pytest

from benchmarks import readme_tables
from benchmarks.readme_tables import MARKED, TABLES, Measured, documents, main, ratio, rendered

MEASURED = Measured.stored()


def test_every_document_is_what_the_stored_numbers_render_to() -> None:
    """If this fails: python -m benchmarks.readme_tables."""
    assert documents()
    for page in documents():
        text = page.read_text(encoding="utf-8")
        assert rendered(text, MEASURED) == text, f"{page.name}: run python -m benchmarks.readme_tables"


def test_readme_shows_the_machine_and_its_main_numbers() -> None:
    shown = {
        found["name"] for page in documents() for found in MARKED.finditer(page.read_text(encoding="utf-8"))
    }
    assert {"machine", "calls", "decode"} <= shown <= set(TABLES)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_as_many_cells_in_every_row(name: str) -> None:
    lines = TABLES[name](MEASURED).splitlines()
    assert len({line.count("|") for line in lines}) == 1


def test_a_table_follows_the_numbers() -> None:
    text = "before <!-- numbers: calls -->\nold\n<!-- end --> after <!-- numbers: machine -->\n<!-- end -->"
    once = rendered(text, MEASURED)
    assert once.startswith("before <!-- numbers: calls -->\n| work |")
    assert rendered(once, MEASURED) == once
    claims = json.loads(json.dumps(MEASURED.claims))
    for result in claims["prefill"]["results"]:
        result["times_ours"] = 17.25
    assert "17.2 x" in rendered(text, Measured(claims))
    assert "17.2 x" not in once


def test_an_unknown_table_is_refused() -> None:
    with pytest.raises(KeyError, match="nothing"):
        rendered("<!-- numbers: nothing -->\n<!-- end -->", MEASURED)


def test_what_was_measured_is_stored_and_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(readme_tables, "ROOT", tmp_path)
    monkeypatch.setattr(readme_tables, "STORED", tmp_path / "measured")
    (tmp_path / "bench").mkdir()
    (tmp_path / "README.md").write_text("<!-- numbers: other -->\n<!-- end -->\n", encoding="utf-8")
    results = [{"numpy_seconds": 0.05, "attnscope_seconds": 0.0375, "wheel_bytes": None}]
    written = json.dumps({"results": results, "floors": [], "machine": {}})
    (tmp_path / "bench" / "import_time.json").write_text(written, encoding="utf-8")
    main(["--store"])
    assert "| import, beyond NumPy's 50.0 ms | 37.5 ms | | |" in (tmp_path / "README.md").read_text(
        encoding="utf-8"
    )
    assert capsys.readouterr().out == "README.md written\n"


def test_ratios() -> None:
    assert [ratio(each) for each in (None, 0.7249, 2.859, 50.66, 104.2)] == [
        "",
        "0.72 x",
        "2.86 x",
        "50.7 x",
        "104 x",
    ]
