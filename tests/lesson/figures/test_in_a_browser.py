"""Each figure in a real browser: every control moves it, and what it states is what attnscope computes."""

import re
from collections.abc import Iterator
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
    seen, tried = set(visible_controls(figure)), set[str]()
    while waiting := [each for each in visible_controls(figure) if each not in tried]:
        # A control that has just appeared may be gone after the next move, so it is tried first
        control = next((each for each in waiting if each not in seen), waiting[0])
        seen |= set(waiting)
        tried.add(control)
        for _ in moved_by(figure, control):
            agrees(figure, name)
    assert tried == set(figure.page.locator(".af [data-control]").evaluate_all(CONTROL_NAMES))
    assert figure.messages == []


@every_moving
def test_every_mark_that_can_be_clicked_moves_the_figure(show: Show, name: str) -> None:
    figure = show(name)
    marks = figure.page.evaluate_handle(
        "[...document.querySelectorAll('.af svg *')].filter(mark => mark.onclick)"
    )
    count = marks.evaluate("marks => marks.length")
    assert (count > 0) == (name in CLICKED)
    for place in (0, count // 3, count - 1) if count else ():
        before = figure.state
        marks.evaluate_handle("(marks, place) => marks[place]", place).as_element().click(force=True)
        assert figure.state != before, place
        agrees(figure, name)
    assert figure.messages == []


CLICKED = {"masks", "weights", "positions", "leaks", "segments"}
CONTROL_NAMES = "all => all.map(each => each.dataset.control)"


def visible_controls(figure: Shown) -> list[str]:
    """What can be tried in this state; a radio button itself is drawn by its label."""
    shown = "all => all.filter(each => (each.closest('label') ?? each).offsetParent)"
    controls = figure.page.locator(".af [data-control]")
    found: list[str] = controls.evaluate_all(f"all => ({CONTROL_NAMES})(({shown})(all))")
    return found


def moved_by(figure: Shown, name: str) -> Iterator[None]:
    """Moves of a control, one by one; the state after each is the one that the move asks for."""
    control = figure.page.locator(f'.af [data-control="{name}"]')
    kind = control.get_attribute("type")
    move = {"radio": chosen, "checkbox": switched, "range": slid, "button": stepped}[kind]
    yield from move(figure, control, name)


def chosen(figure: Shown, control: Any, name: str) -> Iterator[None]:
    """One of a few, after another one."""
    part, _, value = name.partition("=")
    if control.is_checked():
        group = control.get_attribute("name")
        figure.page.locator(f'input[name="{group}"]:not(:checked)').first.check(force=True)
    before = figure.state
    control.check(force=True)
    assert figure.state[part] != before[part], name
    assert figure.page.evaluate(f"String(JSON.parse({STATE})['{part}'])") == value
    yield


STATE = "document.querySelector('.af').dataset.state"


def switched(figure: Shown, control: Any, name: str) -> Iterator[None]:
    """On and off again."""
    for _ in range(2):
        before = figure.state
        control.click()
        assert figure.state == {**before, name: not before[name]}
        yield


def slid(figure: Shown, control: Any, name: str) -> Iterator[None]:
    """To both ends, and some steps."""
    low, high, step = (float(control.get_attribute(each)) for each in ("min", "max", "step"))
    for key in ("End", "Home", *["ArrowRight"] * 5, "PageUp"):
        place, before = float(control.input_value()), figure.state
        control.focus()
        control.press(key)
        reached = float(control.input_value())
        nearest = {"End": high, "Home": low, "ArrowRight": min(place + step, high)}.get(key)
        if nearest is None:
            assert reached > place or place == high, (name, key)
        else:
            assert reached == pytest.approx(nearest, abs=step / 2), (name, key)
        assert (figure.state[name] != before[name]) == (reached != place), (name, key)
        yield


def stepped(figure: Shown, control: Any, name: str) -> Iterator[None]:
    """One on, one back; or played to the end, begun again, and paused."""
    part, _, what = name.partition(" ")
    slider = figure.page.locator(f'.af [data-control="{part}"]')
    if what in ("on", "back"):
        slider.press("Home" if what == "on" else "End")
        before = figure.state[part]
        control.click()
        assert figure.state[part] == before + (1 if what == "on" else -1)
        yield
        return
    slider.press("End")
    last = figure.state[part]
    slider.press("ArrowLeft")
    assert figure.state[part] == last - 1
    control.click()
    assert control.inner_text() == "Pause"
    figure.page.wait_for_function(f"JSON.parse({STATE})['{part}'] === {last}", timeout=15_000)
    yield
    figure.page.wait_for_function("play => play.textContent === 'Play'", arg=control.element_handle())
    control.click()
    assert figure.state[part] == 0
    control.click()
    assert control.inner_text() == "Play"
    yield


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
                .filter(e => !e.disabled && (e.closest('label') ?? e).offsetParent)
                .filter(e => e.type !== 'radio' || e.checked).map(e => e.dataset.control)"""
        )
    )
    assert wanted
    assert wanted <= reached


@every_moving
def test_arrow_keys_choose_among_a_few(show: Show, name: str) -> None:
    figure = show(name)
    groups = figure.page.locator(".af fieldset").all()
    assert bool(groups) == (name not in ("cache", "flash", "training"))
    for group in groups:
        before = figure.state
        group.locator("input:checked").focus()
        figure.page.keyboard.press("ArrowRight")
        part = group.locator("input:checked").get_attribute("data-control").partition("=")[0]
        assert figure.state[part] != before[part]
        agrees(figure, name)


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
