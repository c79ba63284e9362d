"""The viewer in a real browser: it opens, pointer and keyboard work, and nothing is fetched."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from attnscope.inspection import Inspection, Request, inspect
from attnscope.inspection.viewer.data import top_keys_kept
from tests.inspection.browser.conftest import Open, Opened
from tests.inspection.made import random_inspection

pytest.importorskip("playwright", reason="needs playwright: make test-browser")

THEMES = ["light", "dark"]
WIDTHS = [1440, 900, 390]
INDUCTION, BACKGROUND = 6, 7


@pytest.fixture(scope="module")
def example() -> Inspection:
    return inspect(Request())


@pytest.fixture
def opened(open_page: Open, example: Inspection) -> Opened:
    return ready(open_page(example))


def ready(opened: Opened) -> Opened:
    opened.tab.wait_for_selector("html[data-ready=true]")
    return opened


def text_of(opened: Opened, selector: str) -> str:
    return " ".join(opened.tab.locator(selector).inner_text().split())


def colour(opened: Opened, selector: str) -> str:
    found: str = opened.tab.locator(selector).first.evaluate("e => getComputedStyle(e).backgroundColor")
    return found


def pixels(opened: Opened, selector: str) -> str:
    found: str = opened.tab.locator(selector).evaluate("canvas => canvas.toDataURL()")
    return found


def focused(opened: Opened) -> Any:
    return opened.tab.evaluate(
        "document.activeElement.getAttribute('aria-label') || document.activeElement.id"
    )


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_it_opens_in_every_theme_and_width(
    open_page: Open, example: Inspection, theme: str, width: int
) -> None:
    opened = ready(open_page(example, theme=theme, width=width))
    assert opened.tab.evaluate("document.documentElement.dataset.theme") == theme
    assert opened.tab.locator(".cell").count() == 8
    assert opened.tab.locator(".t").count() == len(example.tokens.ids)
    assert text_of(opened, "h1") == "Example chat"
    assert "Attention weights show what a head reads, not what it changes" in text_of(opened, "footer")
    too_wide = opened.tab.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert too_wide == 0
    opened.check()


def test_the_theme_can_be_changed_and_everything_follows(opened: Opened) -> None:
    before = (
        colour(opened, "body"),
        colour(opened, ".cell"),
        pixels(opened, "#map"),
        pixels(opened, "#entropy"),
    )
    opened.tab.locator("#theme").click()
    after = (
        colour(opened, "body"),
        colour(opened, ".cell"),
        pixels(opened, "#map"),
        pixels(opened, "#entropy"),
    )
    assert opened.tab.evaluate("document.documentElement.dataset.theme") == "dark"
    assert all(one != other for one, other in zip(before, after, strict=True))
    opened.tab.emulate_media(color_scheme="dark")  # the system's theme no longer matters
    opened.tab.locator("#theme").click()
    assert opened.tab.evaluate("document.documentElement.dataset.theme") == "light"
    opened.check()


def test_the_system_s_theme_is_followed_until_the_reader_chooses_one(opened: Opened) -> None:
    def look() -> tuple[str, ...]:
        theme = opened.tab.evaluate("document.documentElement.dataset.theme")
        return (theme, text_of(opened, "#theme"), colour(opened, "body"), pixels(opened, "#map"))

    def system(theme: str) -> None:
        opened.tab.emulate_media(color_scheme=theme)
        opened.tab.wait_for_function(f"matchMedia('(prefers-color-scheme: {theme})').matches")
        # The page receives the change before the next frame
        opened.tab.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    light = look()
    system("dark")
    dark = look()
    assert light[:2] == ("light", "Dark theme")
    assert dark[:2] == ("dark", "Light theme")
    assert all(one != other for one, other in zip(light, dark, strict=True))
    system("light")
    assert look() == light
    opened.tab.locator("#theme").click()
    assert look() == dark
    system("dark")
    system("light")  # a chosen theme stays
    assert look() == dark
    opened.check()


def test_choosing_a_head_shows_it_everywhere(opened: Opened) -> None:
    assert text_of(opened, "#head-title") == "Layer 1, induction"
    before = pixels(opened, "#map"), text_of(opened, "#reads")
    opened.tab.locator(".cell").nth(BACKGROUND).click()
    assert text_of(opened, "#head-title") == "Layer 1, background"
    assert opened.tab.locator(".cell[aria-selected=true]").count() == 1
    assert (pixels(opened, "#map"), text_of(opened, "#reads")) != before
    assert "normalized entropy 100 %" in text_of(opened, "#head-facts")
    opened.check()


def test_hovering_a_token_shows_its_keys_until_the_pointer_leaves(
    opened: Opened, example: Inspection
) -> None:
    opened.tab.locator(".cell").first.click()  # "1 back"
    token = "".join(example.tokens.pieces).index("Analytical")
    opened.tab.locator(f"#t{token}").scroll_into_view_if_needed()
    opened.tab.locator(f"#t{token}").hover()
    assert text_of(opened, "#token-title") == "A"
    assert text_of(opened, "#reads").startswith(f"{token - 1} ")
    assert text_of(opened, "#read-by").startswith(f"{token + 1} ")
    assert colour(opened, f"#t{token - 1}") != "rgba(0, 0, 0, 0)"
    assert opened.tab.locator(f"#t{token + 1}").evaluate("e => e.style.boxShadow") != ""
    opened.tab.mouse.move(5, 5)
    assert text_of(opened, "#token-place").startswith(f"token {len(example.tokens.ids) - 1}")
    assert colour(opened, f"#t{token - 1}") == "rgba(0, 0, 0, 0)"
    opened.check()


def test_a_click_keeps_a_token_and_a_ranking_leads_to_others(opened: Opened) -> None:
    opened.tab.locator(".cell").first.click()
    opened.tab.locator("#t100").click()
    opened.tab.mouse.move(5, 5)
    assert text_of(opened, "#token-place").startswith("token 100,")
    opened.tab.locator("#reads button").first.click()
    assert text_of(opened, "#token-place").startswith("token 99,")


def test_the_grid_is_walked_by_arrow_keys_with_a_visible_focus(opened: Opened) -> None:
    opened.tab.locator(".cell[aria-selected=true]").focus()
    opened.tab.keyboard.press("ArrowRight")
    assert focused(opened).startswith("layer 1, background: normalized entropy")
    assert opened.tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    opened.tab.keyboard.press("ArrowUp")
    assert focused(opened).startswith("layer 0, 2 back")
    for _ in range(9):
        opened.tab.keyboard.press("ArrowRight")
    assert focused(opened).startswith("layer 0, 6 back")  # and not beyond
    opened.tab.keyboard.press("ArrowDown")
    assert focused(opened).startswith("layer 1, background")  # a shorter layer: its last
    opened.tab.keyboard.press("ArrowLeft")
    assert text_of(opened, "#head-title") == "Layer 1, induction"
    opened.check()


def test_the_text_is_walked_by_keys(opened: Opened, example: Inspection) -> None:
    last = len(example.tokens.ids) - 1

    def after(key: str) -> int:
        opened.tab.keyboard.press(key)
        return int(opened.tab.locator("#text").get_attribute("aria-activedescendant").removeprefix("t"))

    opened.tab.locator("#text").focus()
    assert after("ArrowLeft") == last - 1
    assert after("Home") == 0
    assert after("ArrowLeft") == 0
    assert after("PageDown") == 50
    below = after("ArrowDown")
    assert below > 51
    assert 0 < after("ArrowUp") < below
    assert after("End") == last
    assert after("PageUp") == last - 50
    assert after("Escape") == last
    assert after("Tab") == last
    assert opened.tab.locator(f"#t{last}").get_attribute("aria-selected") == "true"
    assert opened.tab.locator(f"#t{last}").get_attribute("aria-label") == f"token {last}: ."
    opened.check()


def test_every_control_is_reached_by_tab_and_has_a_name(opened: Opened) -> None:
    reached = set()
    opened.tab.evaluate("document.body.focus()")
    for _ in range(40):
        opened.tab.keyboard.press("Tab")
        reached.add(opened.tab.evaluate("document.activeElement.id || document.activeElement.className"))
    assert {"theme", "measure", "cell", "text", "map", "entropy", "reader"} <= reached
    unnamed = opened.tab.evaluate(
        "[...document.querySelectorAll('button, [role=gridcell], select, [role=listbox]')]"
        ".filter(e => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length)).length"
    )
    assert unnamed == 0


def test_a_measure_colours_the_grid_and_is_defined(opened: Opened) -> None:
    opened.tab.locator("#measure").select_option("induction")
    assert text_of(opened, "#measure-meaning").startswith("the weight on the tokens that followed earlier")
    assert opened.tab.locator(".cell").nth(INDUCTION).inner_text() == ".98"
    opened.tab.locator("#measure").select_option(label="hopper.txt")
    assert "the weight that the tokens of generated give to hopper.txt" in text_of(opened, "#measure-meaning")
    share = opened.tab.locator(".cell").nth(INDUCTION).inner_text()
    opened.tab.locator("#reader").select_option(label="lovelace.txt")
    assert "the weight that the tokens of lovelace.txt give to hopper.txt" in text_of(
        opened, "#measure-meaning"
    )
    assert opened.tab.locator(".cell").nth(INDUCTION).inner_text() == "0" != share  # it comes later: hidden
    opened.tab.locator("#measure").select_option("mean_distance")
    assert opened.tab.locator(".cell").first.inner_text() == "1.0"
    opened.check()


def test_segments_are_bars_of_the_reader_s_weights(opened: Opened, example: Inspection) -> None:
    assert example.segments is not None
    masses = example.layers[1].by_segment
    assert masses is not None
    row = opened.tab.locator("#segments tr", has_text="hopper.txt")
    expected = masses[
        0, example.segments.names.index("generated"), example.segments.names.index("hopper.txt")
    ]
    assert row.locator(".number").first.inner_text() == f"{expected:.0%}".replace("%", " %")
    whole = row.locator(".bar").evaluate("e => e.getBoundingClientRect().width")
    opened.tab.wait_for_timeout(200)  # the bar is animated
    width = row.locator(".bar i").evaluate("e => e.getBoundingClientRect().width")
    assert width / whole == pytest.approx(float(expected), abs=0.01)


@pytest.mark.parametrize("shading", ["received", "entropy", "sink"])
def test_tokens_can_be_shaded_by_other_values(opened: Opened, shading: str) -> None:
    opened.tab.locator(f"#shading input[value={shading}]").check(force=True)
    filled = opened.tab.evaluate(
        "[...document.querySelectorAll('.t')].filter(e => e.style.background).length"
    )
    assert filled == opened.tab.locator(".t").count()
    opened.tab.locator("#shading input[value=reads]").check(force=True)
    filled = opened.tab.evaluate(
        "[...document.querySelectorAll('.t')].filter(e => e.style.background).length"
    )
    assert 0 < filled < 20
    opened.check()


def test_the_map_describes_the_block_under_the_pointer_or_the_arrow_keys(opened: Opened) -> None:
    assert "Outlined: the row of the chosen token, with tokens" in text_of(opened, "#map-value")
    before = pixels(opened, "#map")
    opened.tab.locator("#map").hover(position={"x": 60, "y": 120})
    assert "→ tokens" in text_of(opened, "#map-value")
    assert pixels(opened, "#map") != before
    opened.tab.mouse.move(5, 5)
    opened.tab.locator("#map").focus()
    opened.tab.keyboard.press("ArrowRight")
    first = text_of(opened, "#map-value")
    opened.tab.keyboard.press("ArrowUp")
    assert text_of(opened, "#map-value") != first
    opened.tab.keyboard.press("Enter")
    assert text_of(opened, "#token-place").startswith("token 694,")
    opened.tab.locator("#map").click(position={"x": 60, "y": 30})
    assert int(text_of(opened, "#token-place").split()[1].rstrip(",")) < 60
    opened.check()


def test_the_entropy_chooses_a_token_by_pointer_and_by_keys(opened: Opened) -> None:
    opened.tab.locator("#entropy").hover(position={"x": 200, "y": 60})
    hovered = text_of(opened, "#entropy-value")
    assert not hovered.startswith("token 705")
    opened.tab.mouse.move(5, 5)
    assert text_of(opened, "#entropy-value").startswith("token 705: ")
    opened.tab.locator("#entropy").click(position={"x": 200, "y": 60})
    opened.tab.keyboard.press("Home")
    assert text_of(opened, "#entropy-value") == "token 0: 0.00 nats of at most 0.00"
    opened.tab.keyboard.press("ArrowRight")
    assert text_of(opened, "#entropy-value").startswith("token 1: ")
    opened.check()


def test_a_hostile_text_is_only_text(open_page: Open) -> None:
    hostile = "</script><img src=x onerror=console.log(1)><script>console.log(2)</script>"
    pieces = (hostile, "\n", "\u202e", "${1}", "<!--", "\x00")
    found = random_inspection(1, 2, 6, pieces=pieces)
    assert found.segments is not None
    segments = replace(found.segments, names=(hostile, "b", "<b>c"))
    opened = open_page(
        replace(found, text_name=hostile, model_name=hostile, segments=segments, facts={hostile: hostile})
    )
    ready(opened)
    assert opened.tab.locator("img").count() == 0
    assert opened.tab.locator("#t0").inner_text() == hostile
    assert opened.tab.locator("#t1").inner_text() == "⏎"
    assert opened.tab.locator("#t2").inner_text() == "⟨U+202E⟩"
    assert text_of(opened, "h1") == hostile
    opened.check()


@pytest.mark.parametrize(
    ("layers", "heads", "tokens", "segments", "causal"),
    [(1, 1, 1, 1, True), (30, 32, 40, 3, True), (2, 12, 70, 20, False)],
    ids=["a token", "many heads", "an encoder"],
)
def test_it_opens_for_other_sizes(
    open_page: Open, layers: int, heads: int, tokens: int, segments: int, causal: bool
) -> None:
    found = random_inspection(layers, heads, tokens, segments=segments, causal=causal)
    opened = ready(open_page(found))
    assert opened.tab.locator(".cell").count() == layers * heads
    assert opened.tab.locator("#segments tbody tr").count() == segments
    opened.tab.locator(".cell").last.click()
    assert text_of(opened, "#head-title") == f"Layer {layers - 1}, head {heads - 1}"
    opened.check()


@pytest.mark.parametrize("small", [65536, 10], ids=["16 bits", "32 bits, as for long texts"])
def test_keys_behind_their_reader_are_shown_where_they_are(
    open_page: Open, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Distances wrap around: an encoder's tokens read later ones, too."""
    monkeypatch.setattr("attnscope.inspection.viewer.data.SMALL", small)
    found = random_inspection(1, 1, 60, causal=False)
    opened = ready(open_page(found))
    opened.tab.locator("#text").focus()
    opened.tab.keyboard.press("Home")
    shown = [int(each) for each in opened.tab.locator("#reads .place").all_inner_texts()]
    assert shown == found.layers[0].top_keys[0, 0, : len(shown)].tolist()


def test_without_segments_there_is_no_card_for_them(open_page: Open) -> None:
    opened = ready(open_page(inspect(Request("the cat sat. the cat"))))
    assert not opened.tab.locator("#segments-card").is_visible()
    assert opened.tab.locator("#measure optgroup").count() == 0
    opened.check()


def test_a_browser_that_is_too_old_gets_a_message(open_page: Open, example: Inspection) -> None:
    opened = ready(open_page(example))
    opened.tab.add_init_script("delete window.DecompressionStream")
    opened.tab.reload()
    opened.tab.wait_for_selector("#trouble:not([hidden])")
    assert "This browser is too old" in text_of(opened, "#trouble")


def test_a_hover_on_a_long_text_changes_only_the_tokens_that_it_shows(open_page: Open) -> None:
    """With 72 heads and 2,000 tokens, a hover must not touch other tokens: they would be laid out anew."""
    opened = ready(open_page(random_inspection(2, 36, 2000)))
    touched: list[int] = opened.tab.evaluate(
        """async () => {
            const counts = [];
            const text = document.getElementById("text");
            for (let token = 0; token < 100; token++) {
                const observer = new MutationObserver(() => {});
                observer.observe(text, {
                    subtree: true, attributes: true, childList: true, characterData: true,
                });
                const hovered = document.getElementById(`t${token * 7}`);
                hovered.dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
                const changed = new Set(observer.takeRecords().map((record) => record.target));
                changed.delete(text);
                const shown = changed.size;
                observer.disconnect();
                counts.push(shown);
            }
            return counts;
        }"""
    )
    assert len(touched) == 100
    assert min(touched) > 0
    readers = max_readers(random_inspection(2, 36, 2000))
    # Of the token before and of this one: itself, its keys, its readers.
    assert max(touched) <= 2 * (2 + 8 + readers)
    opened.check()


def max_readers(found: Inspection) -> int:
    """The largest number of tokens, in one head, that share one of the strongest keys that the page keeps."""
    kept = top_keys_kept(found)
    return max(
        int(np.bincount(head[head >= 0], minlength=1).max())
        for layer in found.layers
        for head in layer.top_keys[..., :kept]
    )
