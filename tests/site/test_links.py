"""Every link within the site leads to a page that is there, and to a place on it that is there."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.site.browser.conftest import SITE

ALL = sorted(path for path in SITE.rglob("*.html") if "_static" not in path.parts)


class Anchors(HTMLParser):
    """Where a page links to, and the places that it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, given in attrs:
            if name == "id" and given:
                self.places.add(given)
            elif name in ("href", "src") and given:
                self.links.append(given)


@pytest.fixture(scope="module")
def anchors() -> dict[Path, Anchors]:
    return {path.resolve(): Anchors(path) for path in ALL}


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.relative_to(SITE).as_posix())
def test_links_hold(path: Path, anchors: dict[Path, Anchors]) -> None:
    for link in anchors[path.resolve()].links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
        assert target.exists(), f"{link} leads nowhere"
        if parts.fragment and target in anchors:
            assert unquote(parts.fragment) in anchors[target].places, f"{link}: there is no such place"


def test_nothing_is_loaded_from_elsewhere(anchors: dict[Path, Anchors]) -> None:
    """Links may lead elsewhere; scripts, styles and pictures may not."""
    for path, found in anchors.items():
        text = path.read_text(encoding="utf-8")
        loaded = [link for link in found.links if f'src="{link}"' in text and link.startswith("http")]
        assert loaded == [], path.name
