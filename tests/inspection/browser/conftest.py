"""An inspection's page, opened in a real browser."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from attnscope.inspection import Inspection, page


@dataclass
class Opened:
    """A page in the browser, with its messages and requests."""

    tab: Any
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def check(self) -> None:
        """No message on the console, and no request but for the file."""
        assert self.messages == []
        assert [url for url in self.requests if not url.startswith(("file:", "data:"))] == []
        assert len([url for url in self.requests if url.startswith("file:")]) == 1


Open = Callable[..., Opened]


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Open an inspection's page: open_page(found, theme="dark", width=390)."""
    contexts = []

    def open_(
        found: Inspection | str, *, theme: str = "light", width: int = 1440, height: int = 900
    ) -> Opened:
        path = tmp_path / "inspect.html"
        path.write_text(found if isinstance(found, str) else page(found), encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
        contexts.append(context)
        opened = Opened(context.new_page())
        opened.tab.on("console", lambda message: opened.messages.append(message.text))
        opened.tab.on("pageerror", lambda error: opened.messages.append(str(error)))
        opened.tab.on("request", lambda request: opened.requests.append(request.url))
        opened.tab.goto(path.as_uri())
        return opened

    yield open_
    for context in contexts:
        context.close()
