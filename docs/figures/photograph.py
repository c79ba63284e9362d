"""Small pictures of the pages: run `make site`, then this file, which writes docs/pages/*.png."""

from pathlib import Path

from draw import browser

ROOT = Path(__file__).parents[2]
SITE, FOLDER = ROOT / "build" / "site", ROOT / "docs" / "pages"
WINDOW, SCALE = {"width": 1280, "height": 860}, 0.5
PAGES = ["index", "compute", "see", "check", "size", "exercises"]


def photograph() -> None:
    """A picture of every guide from its top, and of every page of the lesson from its first moving figure."""
    from playwright.sync_api import sync_playwright

    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as driver:
        opened = browser(driver)
        page = opened.new_context(viewport=WINDOW, device_scale_factor=SCALE).new_page()
        for path in sorted([*(SITE / f"{name}.html" for name in PAGES), *SITE.glob("[0-9][0-9]-*.html")]):
            page.goto(path.as_uri())
            page.evaluate("window.MathJax && MathJax.startup ? MathJax.startup.promise : null")
            if path.name[0].isdigit():
                page.evaluate(
                    "document.querySelector('.af [data-control]').closest('.moving').scrollIntoView()"
                )
            page.wait_for_timeout(400)
            page.screenshot(path=FOLDER / f"{path.stem}.png")
        opened.close()


if __name__ == "__main__":
    photograph()
