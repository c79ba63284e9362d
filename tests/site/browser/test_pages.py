"""Every page of the site in a browser: it opens, its formulas are drawn, it fits a phone, nothing fails."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.site.browser.conftest import SITE, Visit

ALL = sorted(
    path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html") if "_static" not in path.parts
)
LESSON = [name for name in ALL if "/" not in name and name not in ("genindex.html", "search.html")]
PAGES = [name for name in LESSON if name[0].isdigit()]
Open = Callable[..., Visit]

# Text as a reader sees it: without code, and without what MathJax keeps for screen readers
PLAIN_TEXT = """() => {
    const copy = document.querySelector('.bd-article').cloneNode(true)
    copy.querySelectorAll('pre, code, mjx-container, script, style').forEach(each => each.remove())
    return copy.textContent
}"""
CONTRAST = """(selector) => {
    const luminance = color => {
        const [r, g, b] = color.match(/[\\d.]+/g).map(Number).map(c => c / 255)
            .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b
    }
    const shown = document.querySelector(selector)
    let behind = shown
    while (/rgba\\(.*, 0\\)/.test(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement
    const pair = [getComputedStyle(shown).color, getComputedStyle(behind).backgroundColor].map(luminance)
    return [(Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05), pair[1]]
}"""


def test_the_lesson_is_there() -> None:
    assert len(PAGES) == 10
    assert {"index.html", "theory.html"} <= set(LESSON)
    assert sum(name.startswith("reference/") for name in ALL) >= 8


@pytest.mark.parametrize("name", ALL)
def test_a_page_opens_without_an_error_and_without_a_network(visit: Open, name: str) -> None:
    seen = visit(name)
    assert seen.status == 200
    assert seen.errors == []
    assert seen.foreign == []
    broken = seen.page.evaluate(
        "[...document.images].filter(each => !each.naturalWidth).map(each => each.src)"
    )
    assert broken == []


@pytest.mark.parametrize("name", LESSON)
def test_every_formula_is_drawn(visit: Open, name: str) -> None:
    page = visit(name).page
    formulas, drawn = (
        page.locator(f".bd-article {each}").count() for each in (".math", ".math mjx-container svg")
    )
    assert drawn >= formulas > 0
    assert page.locator("mjx-merror, [data-mjx-error], .MathJax_Error").count() == 0
    assert page.locator(".bd-article mjx-container [data-c='5C']").count() == 0, "a backslash is drawn"
    text = page.evaluate(PLAIN_TEXT)
    for raw in ("$", "\\(", "\\[", "\\frac", "\\sum"):
        assert raw not in text
    height = page.locator(".bd-article .math mjx-container").first.bounding_box()["height"]
    assert height > 8, "formulas are drawn, and not of no size"


@pytest.mark.parametrize("name", ALL)
def test_a_phone_shows_a_page_without_scrolling_sideways(visit: Open, name: str) -> None:
    page = visit(name, phone=True).page
    wide, shown = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide <= shown
    body = page.evaluate("parseFloat(getComputedStyle(document.querySelector('.bd-main')).fontSize)")
    assert body >= 15


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["index.html", "03-masks.html", "theory.html", "reference/masks.html"])
def test_text_and_code_stand_out_from_what_is_behind_them(visit: Open, name: str, dark: bool) -> None:
    page = visit(name, dark=dark).page
    for selector in (".bd-article p", ".bd-article pre", ".bd-sidebar-primary a"):
        contrast, behind = page.evaluate(CONTRAST, selector)
        assert contrast >= 4.5
        assert (behind < 0.2) == dark


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_a_reader_chooses_between_light_and_dark(visit: Open, theme: str) -> None:
    page = visit("index.html", dark=theme == "light").page
    page.locator("button.theme-switch-button").locator("visible=true").first.click()
    page.get_by_role("button", name=theme, exact=False).locator("visible=true").last.click()
    assert page.evaluate("document.documentElement.dataset.theme") == theme


@pytest.mark.parametrize("name", PAGES)
def test_an_answer_is_folded_until_it_is_asked_for(visit: Open, name: str) -> None:
    page = visit(name).page
    answer = page.locator("details > p").first
    assert not answer.is_visible()
    page.locator("details > summary").click()
    assert answer.is_visible()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_leads_to_the_next_and_the_one_before(visit: Open, name: str) -> None:
    page = visit(name).page
    order = ["index.html", *PAGES, "theory.html"]
    here = order.index(name)
    for side, neighbour in (("left-prev", order[here - 1]), ("right-next", order[here + 1])):
        target = page.locator(f"a.{side}").first.get_attribute("href")
        assert target == neighbour


def test_the_search_finds_a_page(visit: Open) -> None:
    page = visit("search.html?q=perturbation").page
    page.wait_for_selector("#search-results li a", timeout=10_000)
    found = page.locator("#search-results li a").evaluate_all(
        "all => all.map(each => each.getAttribute('href'))"
    )
    assert any("09-leaks" in href for href in found)


def test_the_theory_was_executed_and_its_pictures_are_in(visit: Open) -> None:
    page = visit("theory.html").page
    assert page.locator(".cell_output img").count() >= 25
    assert page.locator(".cell_output .output.traceback, .cell_output .stderr").count() == 0


def test_a_link_to_code_leads_to_the_line(visit: Open) -> None:
    page = visit("01-soft-retrieval.html").page
    page.locator("a", has_text="softmax").last.click()
    page.wait_for_selector(":target")
    line: Any = page.locator(":target").inner_text()
    assert line.startswith("def softmax(")
