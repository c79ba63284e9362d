"""The figures as files: small, self-contained, their data current, their drawings' numbers the library's."""

import json
import re
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from attnscope.lesson import LessonError, figure
from attnscope.lesson.figure import FIGURES, FOLDER, Figure, style
from tests.lesson.figures.expected import EXPECTED
from tests.lesson.figures.scripts import DATA

MOST_BYTES = 12 * 1024
SVG = "{http://www.w3.org/2000/svg}"
MODULES = [path for path in FOLDER.iterdir() if path.name.endswith((".js", ".css"))]
every_figure = pytest.mark.parametrize("name", FIGURES)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_a_module_is_small_and_asks_for_nothing_from_elsewhere(path: Any) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < MOST_BYTES
    assert (
        re.findall(r"https?://(?!www\.w3\.org/2000/svg)|\bfetch\(|XMLHttpRequest|\beval\(|innerHTML", text)
        == []
    )


@every_figure
def test_a_figure_is_one_script_without_imports(name: str) -> None:
    script = Figure(name).script
    assert not re.search(r"^(import|export)\b", script, re.MULTILINE)
    assert f'[data-draw="{name}"]' in script
    html = Figure(name)._repr_html_()
    assert style() in html
    assert script in html


def test_an_unknown_figure_is_refused() -> None:
    with pytest.raises(
        LessonError, match=r"^name='masques' is no figure\. Use one of retrieval, scale, masks, "
    ):
        figure("masques")


def close(stored: Any, computed: Any) -> bool:
    """The same, up to the last of six digits."""
    if isinstance(stored, dict):
        return list(stored) == list(computed) and all(close(stored[name], computed[name]) for name in stored)
    if isinstance(stored, list):
        return len(stored) == len(computed) and all(map(close, stored, computed))
    if isinstance(stored, float):
        return bool(np.isclose(stored, computed, rtol=1e-5, atol=3e-6))
    return bool(stored == computed)


@pytest.mark.parametrize("name", DATA.DATA)
def test_stored_data_are_what_the_library_computes(name: str) -> None:
    assert close(Figure(name).data, DATA.plain(DATA.DATA[name]())), "run make figures"


def numbers(drawing: str) -> dict[str, tuple[float, str]]:
    """The named numbers of a drawing."""
    return {
        each.attrib["data-name"]: (float(each.attrib["data-value"]), "".join(each.itertext()))
        for each in ET.fromstring(drawing).iter()
        if "data-name" in each.attrib
    }


@pytest.mark.parametrize("name", EXPECTED)
def test_a_drawing_states_what_the_library_computes(name: str) -> None:
    """As in the browser, for the state in which a figure begins."""
    drawing = Figure(name).svg
    state = json.loads(ET.fromstring(drawing).findtext(f"{SVG}metadata") or "")
    right = EXPECTED[name](state, Figure(name).data)
    stated = numbers(drawing)
    assert stated
    for label, (value, text) in stated.items():
        assert value == pytest.approx(right[label], rel=2e-6, abs=0.5e-6), label
        digits = text.replace("\u2212", "-").replace(",", "")
        assert abs(float(digits) - value) <= 0.5000001 * 10.0 ** -len(digits.partition(".")[2]), label


@every_figure
def test_a_drawing_has_a_title_colours_for_both_themes_and_nothing_that_runs(name: str) -> None:
    drawing = Figure(name).svg
    root = ET.fromstring(drawing)
    assert len(root.findtext(f"{SVG}title") or "") > 20
    assert "prefers-color-scheme: dark" in drawing
    assert not re.search(r"var\(|<script|onclick|https?://(?!www\.w3\.org)", drawing)
