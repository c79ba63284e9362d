"""The theory notebook, run from top to bottom as JupyterLab would run it."""

import pytest

from attnscope.site.stage import LESSON

MOST_SECONDS = 120.0  # of this process's CPUs: half of what two cores have in two minutes
SPENT = "import time; print(time.process_time())"


def test_it_takes_less_than_two_minutes_of_a_cpu_and_warns_of_nothing() -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(LESSON / "theory.ipynb", as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(SPENT))
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(LESSON)}}).execute()
    *cells, last = notebook.cells
    assert float(last.outputs[0].text) < MOST_SECONDS
    for cell in cells:
        warned = [output for output in cell.get("outputs", []) if output.get("name") == "stderr"]
        assert not warned, cell.source
