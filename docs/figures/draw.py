"""The figures as drawings that do not move: python docs/figures/draw.py writes them anew, in a real browser.

Each is the figure as it begins, its panels side by side, with the style for light and for dark.
"""

import os
import re
import shutil
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from attnscope.lesson.figure import FIGURES, Figure, style

FOLDER = Path(__file__).parents[2] / "src" / "attnscope" / "lesson" / "figures"
WIDTH, MARGIN, GAP = 880, 20, 28
COLOUR = re.compile(r"(--\w+): (#[0-9a-f]{6})")
# What a still drawing shows: the size of each panel, and its marks without what only a program reads
PANELS = """() => {
    const kept = new Set([
        'x', 'y', 'x1', 'y1', 'width', 'height', 'rx', 'cx', 'cy', 'r', 'd', 'class', 'transform',
        'opacity', 'fill', 'fill-opacity', 'text-decoration', 'style', 'data-name', 'data-value'
    ])
    return [...document.querySelectorAll('.af svg.panel')].map(panel => {
        const copy = panel.cloneNode(true)
        for (const mark of copy.querySelectorAll('*'))
            for (const { name } of [...mark.attributes]) if (!kept.has(name)) mark.removeAttribute(name)
        const [, , width, height] = panel.getAttribute('viewBox').split(' ').map(Number)
        return { width, height, marks: copy.innerHTML.replaceAll(' xmlns="http://www.w3.org/2000/svg"', '') }
    })
}"""


def drawing(page: Any, figure: Figure) -> str:
    """A figure as one SVG."""
    page.set_content(f"<!doctype html><html lang=en><body>{figure._repr_html_()}</body></html>")
    host = page.locator(".af")
    label, state = (escape(host.get_attribute(name)) for name in ("aria-label", "data-state"))
    parts, y = [], MARGIN
    placed = page.evaluate(PANELS)
    for line in lines(placed):
        x = (WIDTH - sum(panel["width"] for panel in line) - GAP * (len(line) - 1)) / 2
        for panel in line:
            parts.append(f'<g transform="translate({x:g} {y})">{panel["marks"]}</g>')
            x += panel["width"] + GAP
        y += max(panel["height"] for panel in line) + GAP
    height = y - GAP + MARGIN
    marks = "\n".join(parts).replace("><", ">\n<")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img">\n'
        f"<title>{label}</title>\n<metadata>{state}</metadata>\n<style>\n{still_style()}</style>\n"
        f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="12"/>\n'
        f"{marks}\n</svg>\n"
    )


def lines(panels: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The panels in lines, as many as fit beside each other."""
    line: list[dict[str, Any]] = []
    for panel in panels:
        if line and sum(each["width"] + GAP for each in line) + panel["width"] > WIDTH - 2 * MARGIN:
            yield line
            line = []
        line.append(panel)
    yield line


def still_style() -> str:
    """The style of marks alone, with plain colours: not every program that shows an SVG knows variables."""
    text = style()
    light, dark = (
        dict(COLOUR.findall(block))
        for block in re.findall(r"^\.af(?:\.dark)? \{(.*?)^\}", text, re.DOTALL | re.MULTILINE)
    )
    marks = text.split("/* marks */")[1].split("/* the page around them */")[0]
    rules = re.sub(r"\.af ", "", marks).strip()
    of_theme = ["\n".join(coloured(rules, theme)) for theme in (light, dark)]
    shapes = re.sub(r"(?:fill|stroke): var\(--\w+\);?", "", rules)
    shapes = re.sub(r"[^{}\n]*\{\s*\}", "", shapes)
    return f"{shapes}\n{of_theme[0]}\n@media (prefers-color-scheme: dark) {{\n{of_theme[1]}\n}}\n"


def coloured(rules: str, theme: dict[str, str]) -> Iterator[str]:
    """The rules' colours in a theme."""
    for selector, body in re.findall(r"([^{}\n]+?) \{([^}]*)\}", rules):
        colours = re.findall(r"(fill|stroke): var\((--\w+)\)", body)
        if colours:
            values = " ".join(f"{name}: {theme[colour]};" for name, colour in colours)
            yield f"{selector.strip()} {{ {values} }}"


def browser(driver: Any) -> Any:
    """The browser that ATTNSCOPE_CHROMIUM names, or an installed one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("ATTNSCOPE_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    return driver.chromium.launch(executable_path=found, args=["--no-sandbox"])


if __name__ == "__main__":
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = browser(driver)
        page = opened.new_page(viewport={"width": 960, "height": 800})
        for name in FIGURES:
            (FOLDER / f"{name}.svg").write_text(drawing(page, Figure(name)), encoding="utf-8")
        opened.close()
