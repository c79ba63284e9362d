"""The theory notebook, run from top to bottom as JupyterLab would run it."""

import time

import pytest

from tests.lesson.page import LESSON

MOST_SECONDS = 120.0


def test_it_runs_in_under_two_minutes_and_warns_of_nothing() -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(LESSON / "theory.ipynb", as_version=4)
    start = time.monotonic()
    nbclient.NotebookClient(
        notebook, timeout=MOST_SECONDS, resources={"metadata": {"path": str(LESSON)}}
    ).execute()
    assert time.monotonic() - start < MOST_SECONDS
    for cell in notebook.cells:
        said = [output for output in cell.get("outputs", []) if output.get("name") == "stderr"]
        assert not said, cell.source
