"""A Sphinx extension: each figure of a page as one that moves, with the drawing where no script runs."""

from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util.fileutil import copy_asset_file

from attnscope.lesson.figure import FIGURES, Figure

FOLDER = Path(__file__).parents[1] / "figures"


def write_scripts(app: Sphinx, error: Exception | None) -> None:
    """Write a script per figure, and copy its drawing."""
    if error is not None or app.builder.format != "html":
        return
    target = Path(app.outdir) / "_static" / "figures"
    target.mkdir(parents=True, exist_ok=True)
    for name in FIGURES:
        (target / f"{name}.js").write_text(Figure(name).script, encoding="utf-8")
        copy_asset_file(str(FOLDER / f"{name}.svg"), str(target))


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls this."""
    app.connect("build-finished", write_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
