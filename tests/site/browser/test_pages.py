"""Every page of the site in a browser: it opens, its formulas are drawn, it fits a phone, nothing fails."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.site.browser.conftest import DESKTOP, PHONE, SITE, Visit

ALL = sorted(
    path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html") if "_static" not in path.parts
)
GUIDES = ["index.html", "compute.html", "see.html", "check.html", "size.html"]
PAGES = [name for name in ALL if name[:2].isdigit()]
FORMULAS = [
    *PAGES,
    *(f"{each}.html" for each in ("overview", "theory", "exercises", "projects", "instructors")),
]
Open = Callable[..., Visit]

# Text as a reader sees it: without code, and without what MathJax keeps for screen readers
PLAIN_TEXT = """() => {
    const copy = document.querySelector('.bd-article').cloneNode(true)
    copy.querySelectorAll('pre, code, mjx-container, script, style').forEach(each => each.remove())
    return copy.textContent
}"""
# Blocks of code that scroll sideways, by their first words
WIDE_CODE = """[...document.querySelectorAll('.bd-article pre')]
    .filter(each => each.scrollWidth > each.clientWidth + 1).map(each => each.textContent.slice(0, 60))"""
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


def test_the_site_is_there() -> None:
    assert len(PAGES) == 10
    assert {*GUIDES, "theory.html", "exercises.html", "projects.html", "instructors.html"} <= set(ALL)
    assert sum(name.startswith("reference/") for name in ALL) >= 8


@pytest.mark.parametrize("name", ALL)
def test_a_page_opens_without_an_error_and_fits_a_desk_and_a_phone(visit: Open, name: str) -> None:
    """One visit per page: nothing fails or comes from elsewhere, all is drawn, nothing scrolls sideways."""
    seen = visit(name)
    page = seen.page
    assert seen.status == 200
    broken = page.evaluate(
        "[...document.images].filter(each => !each.complete || !each.naturalWidth).map(each => each.src)"
    )
    assert broken == []
    assert page.locator(".moving:has(svg)").count() == page.locator(".moving").count()
    if name in PAGES:
        assert page.locator(".moving:has([data-control])").count() >= 1
    if name in FORMULAS:
        every_formula_is_drawn(page)
    for size in (DESKTOP, PHONE):
        page.set_viewport_size(size)
        wide, shown = page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert wide <= shown, size
        assert page.evaluate(WIDE_CODE) == [], size
    assert page.evaluate("parseFloat(getComputedStyle(document.querySelector('.bd-main')).fontSize)") >= 15
    assert seen.errors == []
    assert seen.foreign == []


def every_formula_is_drawn(page: Any) -> None:
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


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["index.html", "03-masks.html", "theory.html", "reference/masks.html"])
def test_text_and_code_stand_out_from_what_is_behind_them(visit: Open, name: str, dark: bool) -> None:
    seen = visit(name, dark=dark)
    page = seen.page
    for selector in (".bd-article p", ".bd-article pre", ".bd-sidebar-primary a"):
        contrast, behind = page.evaluate(CONTRAST, selector)
        assert contrast >= 4.5
        assert (behind < 0.2) == dark
    assert seen.errors == []


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_a_reader_chooses_between_light_and_dark(visit: Open, theme: str) -> None:
    page = visit("index.html", dark=theme == "light").page
    page.locator("button.theme-switch-button").locator("visible=true").first.click()
    page.get_by_role("button", name=theme, exact=False).locator("visible=true").last.click()
    assert page.evaluate("document.documentElement.dataset.theme") == theme


def test_pages_lead_to_the_next_and_the_one_before(visit: Open) -> None:
    page = visit("overview.html").page
    for name in [*PAGES, "exercises.html"]:
        target = page.locator("a.right-next").first.get_attribute("href")
        assert target == name
        before = page.url
        page.goto(before.rsplit("/", 1)[0] + "/" + target, wait_until="domcontentloaded")
        assert page.locator("a.left-prev").first.get_attribute("href") == before.rsplit("/", 1)[1]


def test_a_static_page_says_how_to_run_its_code(visit: Open) -> None:
    page = visit("03-masks.html").page
    assert "attnscope learn" in page.locator(".live-banner").inner_text()
    assert page.locator(".live-cell").count() == 0
    page.wait_for_selector("fieldset.question")


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
