"""An attribution's page in a real browser: the text is coloured by effect, or by weight if chosen."""

import pytest

from attnscope.inspection import Attribution, AttributionRequest, attribute
from tests.inspection.browser.conftest import Open, Opened

pytest.importorskip("playwright", reason="needs playwright: make test-browser")


@pytest.fixture(scope="module")
def found() -> Attribution:
    return attribute(AttributionRequest(inspected=True))


@pytest.fixture
def opened(open_page: Open, found: Attribution) -> Opened:
    made = open_page(found)
    made.tab.wait_for_selector("html[data-ready=true]")
    return made


def background(opened: Opened, token: int) -> str:
    colour: str = opened.tab.locator(f"#t{token}").evaluate("e => e.style.background")
    return colour


def of_source(found: Attribution, name: str) -> int:
    """The first token of a source."""
    number = [each.name for each in found.sources].index(name)
    return int((found.owners == number).argmax())


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_sources_are_listed_with_their_drops(
    open_page: Open, found: Attribution, theme: str, width: int
) -> None:
    opened = open_page(found, theme=theme, width=width)
    opened.tab.wait_for_selector("html[data-ready=true]")
    rows = opened.tab.locator("#effects li").all_inner_texts()
    assert len(rows) == len(found.sources)
    assert f"{found.sources[1].drop:.0f}" in rows[1]
    assert rows[2].startswith("sentence 1")
    assert opened.tab.locator("#effects-meaning").inner_text().startswith("By how many nats the log prob")
    opened.check()


def test_the_text_is_coloured_by_effect_and_switchable(opened: Opened, found: Attribution) -> None:
    best, other = of_source(found, "hopper.txt, sentence 1"), of_source(found, "hopper.txt, sentence 2")
    assert background(opened, best) != ""
    assert background(opened, other) != background(opened, best)
    opened.tab.check("input[value=reads]", force=True)
    assert background(opened, best) == ""
    opened.tab.check("input[value=effect]", force=True)
    assert background(opened, best) != ""


def test_a_token_of_the_answer_shows_its_own_drops(opened: Opened, found: Attribution) -> None:
    before = opened.tab.locator("#effects .share").all_inner_texts()
    last = len(found.owners) + len(found.answer.ids) - 1
    opened.tab.locator(f"#t{last}").click()
    assert "of the answer's token ." in opened.tab.locator("#effects-meaning").inner_text()
    after = opened.tab.locator("#effects .share").all_inner_texts()
    assert after != before
    assert float(after[1].replace("−", "-")) == pytest.approx(found.sources[1].drops[-1], abs=0.01)
    opened.check()
