"""The executed theory notebook on the site: its figures are drawn, and a reader can move them."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.lesson.test_theory import CODE, FIGURE_CELLS
from tests.site.browser.conftest import Visit

SHOWN = [FIGURE_CELLS[source] for source in CODE if source in FIGURE_CELLS]
Open = Callable[..., Visit]


@pytest.fixture
def theory(visit: Open) -> Visit:
    return visit("theory.html")


def state(figure: Any) -> dict[str, Any]:
    """What the figure shows now."""
    found: dict[str, Any] = json.loads(figure.get_attribute("data-state"))
    return found


def test_the_page_shows_the_figures_of_the_notebook_in_its_order(theory: Visit) -> None:
    drawn = theory.page.locator(".cell_output .af:has(svg)").evaluate_all(
        "all => all.map(each => each.dataset.figure)"
    )
    assert drawn == SHOWN
    assert theory.errors == []
    assert theory.foreign == []


def test_in_dark_mode_a_figure_has_no_light_frame(visit: Open) -> None:
    page = visit("theory.html", dark=True).page
    grounds = page.locator(".cell_output > .text_html:has(.af)").evaluate_all(
        "all => all.map(each => getComputedStyle(each).backgroundColor)"
    )
    assert grounds == ["rgba(0, 0, 0, 0)"] * len(SHOWN)


def test_every_figure_can_be_moved(theory: Visit) -> None:
    """By its first slider, from end to end, or by its first choice that is not chosen."""
    for name in SHOWN:
        figure = theory.page.locator(f'.cell_output .af[data-figure="{name}"]')
        slider = figure.locator("input[type=range]:enabled >> visible=true")
        if slider.count():
            slider.first.press("Home")
            before = state(figure)
            slider.first.press("End")
        else:
            before = state(figure)
            figure.locator("input[type=radio]:not(:checked)").first.check(force=True)
        assert state(figure) != before, name
    assert theory.errors == []


def test_a_moved_figure_shows_other_numbers(theory: Visit) -> None:
    figure = theory.page.locator('.cell_output .af[data-figure="retrieval"]')
    best = figure.locator('.caption [data-name="best"]')
    before = float(best.get_attribute("data-value"))
    figure.locator('input[data-control="beta"]').press("End")
    assert state(figure)["beta"] == 8
    assert float(best.get_attribute("data-value")) > before
