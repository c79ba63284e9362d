"""Each figure in a real browser: every control moves it, and what it states is what attnscope computes."""

import re
from typing import Any

import pytest

from attnscope.lesson.figure import FIGURES, Figure
from tests.lesson.figures.conftest import Show, Shown
from tests.lesson.figures.expected import EXPECTED
from tests.lesson.figures.scripts import DRAW

DRAWINGS = {"block", "flow", "cross", "pages"}
MOVING = [name for name in FIGURES if name not in DRAWINGS]
every_figure = pytest.mark.parametrize("name", FIGURES)
every_moving = pytest.mark.parametrize("name", MOVING)

# The rounding of a number, as JavaScript and Python may write it: half a unit of the last digit, and a little
SLACK = 0.5 + 1e-6
# float32 statistics of observe() stand beside float64 in the figures; stored numbers have six digits
RELATIVE, STORED = 2e-6, 0.5e-6


def agrees(figure: Shown, name: str) -> None:
    """All numbers of the figure are the library's, and their texts are their roundings."""
    stated, right = figure.numbers, EXPECTED[name](figure.state, Figure(name).data)
    assert stated
    for label, (value, text) in stated.items():
        assert value == pytest.approx(right[label], rel=RELATIVE, abs=STORED), (label, figure.state)
        digits = text.replace("\u2212", "-").replace(",", "")
        unit = 10.0 ** -len(digits.partition(".")[2])
        assert abs(float(digits) - value) <= SLACK * unit, (label, text)


@every_moving
def test_every_control_moves_the_figure_and_every_number_is_the_library_s(show: Show, name: str) -> None:
    figure = show(name)
    agrees(figure, name)
    for control in figure.page.locator("[data-control]").all():
        if not control.is_visible() and control.get_attribute("type") != "radio":
            continue
        for key in moves(control):
            before = figure.state
            if key == "click":
                control.check(force=True) if control.get_attribute("type") in (
                    "radio",
                    "checkbox",
                ) else control.click()
            else:
                control.focus()
                control.press(key)
            agrees(figure, name)
            assert key == "click" or figure.state != before or at_its_end(control), (name, key)
    assert figure.messages == []


def moves(control: Any) -> list[str]:
    """How a control is tried."""
    if control.get_attribute("type") == "range":
        return ["End", "Home", *["ArrowRight"] * 5, "PageUp"]
    if "play" in (control.get_attribute("data-control") or ""):
        return []
    return ["click"]


def at_its_end(control: Any) -> bool:
    return bool(control.evaluate("e => e.value === e.max || e.value === e.min"))


@every_figure
def test_a_figure_states_no_number_that_it_does_not_name(show: Show, name: str) -> None:
    """Ticks of axes and names are given; every other number has a name."""
    figure = show(name)
    texts = figure.page.evaluate(
        """() => [...document.querySelectorAll('.af svg text:not(.given), .af .caption')].map(text => {
            const copy = text.cloneNode(true)
            copy.querySelectorAll('[data-name]').forEach(each => each.remove())
            return copy.textContent
        })"""
    )
    assert [text for text in texts if re.search(r"\d", text)] == []


@every_figure
def test_a_figure_has_a_role_and_its_controls_have_names(show: Show, name: str) -> None:
    figure = show(name)
    host = figure.page.locator(".af")
    assert host.get_attribute("role") == "figure"
    assert len(host.get_attribute("aria-label")) > 20
    nameless = figure.page.evaluate(
        """() => [...document.querySelectorAll('.af input, .af button, .af [tabindex]')].filter(each =>
            !(each.getAttribute('aria-label') || each.textContent.trim()
                || each.closest('label')?.textContent.trim())).length"""
    )
    assert nameless == 0


@every_moving
def test_a_keyboard_reaches_every_control(show: Show, name: str) -> None:
    page = show(name).page
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "document.activeElement.dataset?.control ?? document.activeElement.getAttribute('role') ?? ''"
            )
        )
    wanted = set(
        page.evaluate(
            """() => [...document.querySelectorAll('.af [data-control]')]
                .filter(e => !e.disabled && e.offsetParent)
                .map(e => e.type === 'radio' ? null : e.dataset.control).filter(Boolean)"""
        )
    )
    assert wanted <= reached


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@every_figure
def test_text_stands_out_and_nothing_is_wider_than_a_phone(show: Show, name: str, dark: bool) -> None:
    figure = show(name, phone=True, dark=dark)
    wide, shown = figure.page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide <= shown
    inside = figure.page.evaluate(
        """() => { const card = document.querySelector('.af').getBoundingClientRect()
            return [...document.querySelectorAll('.af svg text')].filter(each => {
                const box = each.getBoundingClientRect()
                return box.left < card.left - 1 || box.right > card.right + 1
            }).map(each => each.textContent) }"""
    )
    assert inside == []
    smallest = figure.page.evaluate(
        """() => Math.min(...[...document.querySelectorAll('.af svg text')].map(each =>
            parseFloat(getComputedStyle(each).fontSize) * each.ownerSVGElement.getBoundingClientRect().width
                / each.ownerSVGElement.viewBox.baseVal.width))"""
    )
    assert smallest >= 8.5
    contrasts = figure.page.evaluate(CONTRASTS)
    assert min(contrasts) >= 4.5
    assert figure.page.evaluate("document.querySelector('.af').classList.contains('dark')") == dark


CONTRASTS = """() => {
    const luminance = color => {
        const [r, g, b] = color.match(/[\\d.]+/g).map(Number).map(c => c / 255)
            .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b
    }
    const card = luminance(getComputedStyle(document.querySelector('.af')).backgroundColor)
    return [...document.querySelectorAll('.af svg text')].map(each => luminance(getComputedStyle(each).fill))
        .map(text => (Math.max(text, card) + 0.05) / (Math.min(text, card) + 0.05))
}"""


@every_moving
def test_no_mark_moves_by_itself_for_readers_who_asked_for_less_motion(show: Show, name: str) -> None:
    page = show(name, still=True).page
    page.wait_for_selector(".af.ready")
    durations = page.evaluate(
        "[...document.querySelectorAll('.af svg *')]"
        ".map(each => parseFloat(getComputedStyle(each).transitionDuration))"
    )
    assert max(durations) == 0


@every_figure
def test_the_drawing_that_does_not_move_is_the_figure_as_it_begins(show: Show, name: str) -> None:
    assert DRAW.drawing(show(name).page, Figure(name)) == Figure(name).svg, "run make figures"


def test_the_query_is_dragged_and_moved_by_arrow_keys(show: Show) -> None:
    figure = show("retrieval")
    handle = figure.page.locator(".handle")
    box = handle.bounding_box()
    figure.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    figure.page.mouse.down()
    figure.page.mouse.move(box["x"] - 60, box["y"] + 90, steps=4)
    figure.page.mouse.up()
    dragged = figure.state["query"]
    assert dragged[0] < 1.0
    assert dragged[1] < 1.5
    agrees(figure, "retrieval")
    handle.press("Shift+ArrowUp")
    assert figure.state["query"][1] > dragged[1]
    agrees(figure, "retrieval")


def test_a_cell_of_the_mask_is_pressed_by_mouse_and_by_keyboard(show: Show) -> None:
    figure = show("masks")
    figure.page.locator('[data-cell="3 9"]').click()
    assert figure.state["cells"][3][9]
    assert figure.state["mask"] == "own"
    figure.page.keyboard.press("ArrowRight")
    figure.page.keyboard.press("Space")
    assert figure.state["cells"][3][10]
    agrees(figure, "masks")
    figure.page.locator('[data-control="late"]').check()
    agrees(figure, "masks")
    assert figure.numbers["leak"][0] > 0


def test_a_key_is_removed_and_put_back(show: Show) -> None:
    figure = show("weights")
    for removed in (2, None):
        figure.page.locator('[data-cell="2 0"]').click()
        assert figure.state["removed"] == removed
        agrees(figure, "weights")


def test_a_story_plays_by_itself_and_stops_at_its_end(show: Show) -> None:
    figure = show("heads")
    play = figure.page.locator('[data-control="step play"]')
    play.click()
    figure.page.wait_for_function(
        "JSON.parse(document.querySelector('.af').dataset.state).step === 5", timeout=15_000
    )
    figure.page.wait_for_function(
        "document.querySelector('[data-control=\"step play\"]').textContent === 'Play'", timeout=5_000
    )
    agrees(figure, "heads")
