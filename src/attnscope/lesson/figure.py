"""The figures of the lesson: plain JavaScript, as one script for a notebook or a page, and as a drawing."""

import json
import re
from dataclasses import dataclass
from importlib.resources import files
from itertools import count

from attnscope.lesson.verdict import LessonError

FOLDER = files("attnscope.lesson").joinpath("figures")
SHARED = ("attention", "draw", "controls", "figure")  # in this order; the figures are built from them
FIGURES = (
    "retrieval", "scale", "masks", "weights", "heads", "positions", "cache", "flash", "leaks", "induction",
    "segments", "block", "flow", "cross", "pages", "training",
)  # fmt: skip
IMPORT = re.compile(r"^import .*?;\n", re.MULTILINE)
EXPORT = re.compile(r"^export (?=const|function|class)|^export \{[^}]*\};\n", re.MULTILINE)
numbers = count(1)


@dataclass(frozen=True)
class Figure:
    """A figure of the lesson. A notebook shows it; `svg` is the same as a drawing that does not move.

    Parameters
    ----------
    name : str
        Which one.

    Examples
    --------
    >>> figure("retrieval").data["words"][0]
    'trophy'
    """

    name: str

    @property
    def data(self) -> dict[str, object]:
        """What the figure shows: arrays that the library computed, or that were chosen by hand."""
        data: dict[str, object] = json.loads(self._read("json")) if self._has("json") else {}
        return data

    @property
    def svg(self) -> str:
        """The figure as it begins, as SVG."""
        return self._read("svg")

    @property
    def script(self) -> str:
        """The program: one classic script, which draws the figure into every element that asks for it."""
        modules = [FOLDER.joinpath(f"{name}.js").read_text(encoding="utf-8") for name in (*SHARED, self.name)]
        program = "\n".join(EXPORT.sub("", IMPORT.sub("", module)) for module in modules)
        data = json.dumps(self.data, separators=(",", ":")).replace("<", "\\u003c")
        return (
            f'(() => {{\n"use strict";\n{program}\n'
            f"for (const host of document.querySelectorAll('[data-draw=\"{self.name}\"]')) {{\n"
            f"  delete host.dataset.draw;\n  {self.name}(host, {data});\n}}\n}})();\n"
        )

    def _has(self, kind: str) -> bool:
        """Whether there is such a file."""
        return FOLDER.joinpath(f"{self.name}.{kind}").is_file()

    def _read(self, kind: str) -> str:
        """One of the figure's files."""
        return FOLDER.joinpath(f"{self.name}.{kind}").read_text(encoding="utf-8")

    def _repr_html_(self) -> str:
        place = f'<div data-draw="{self.name}"></div>'  # the script draws here
        return f"<style>{style()}</style>{place}<script>{self.script}</script>"


def figure(name: str) -> Figure:
    """Return a figure of the lesson, which a notebook shows as one that can be moved.

    Parameters
    ----------
    name : str
        Which one: "retrieval", "scale", ...

    Returns
    -------
    Figure
        The figure.

    Raises
    ------
    LessonError
        If there is no such figure.

    Examples
    --------
    >>> figure("retrieval")
    Figure(name='retrieval')
    """
    if name not in FIGURES:
        raise LessonError(f"name={name!r} is no figure. Use one of {', '.join(FIGURES)}.")
    return Figure(name)


def style() -> str:
    """The style of all figures."""
    return FOLDER.joinpath("figure.css").read_text(encoding="utf-8")
