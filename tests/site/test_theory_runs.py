"""The theory notebook, run from top to bottom as JupyterLab would run it."""

from typing import Any

import pytest

from attnscope.site.stage import LESSON


@pytest.fixture(scope="module")
def cells() -> list[dict[str, Any]]:
    """The code cells, executed: a cell that fails is an error here."""
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(LESSON / "theory.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(LESSON)}}).execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_it_runs_from_top_to_bottom(cells: list[dict[str, Any]]) -> None:
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))


def test_it_warns_of_nothing(cells: list[dict[str, Any]]) -> None:
    warned = [cell["source"] for cell in cells for each in cell["outputs"] if each.get("name") == "stderr"]
    assert warned == []
