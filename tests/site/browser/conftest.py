"""The built site, served, and a browser: `make test-browser` builds the site and runs these tests."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

pytest.importorskip("playwright", reason="needs playwright: make test-browser")

SITE = Path(__file__).parents[3] / "build" / "site"
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 800}


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a log."""

    def log_message(self, format: str, *args: Any) -> None:  # the base class's name
        pass


@dataclass
class Visit:
    """One page, open, and all that went wrong while it opened."""

    page: Any
    status: int
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    assert (SITE / "index.html").exists(), "the site is not built: run make test-browser"
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(SITE)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Any]:
    """visit("03-masks.html", phone=True, dark=True) opens a page, waits for formulas, and notes errors."""
    contexts = []

    def opened(path: str, *, phone: bool = False, dark: bool = False) -> Visit:
        scheme = "dark" if dark else "light"
        context = browser.new_context(viewport=PHONE if phone else DESKTOP, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        seen = Visit(page, 0)
        page.on("console", lambda said: seen.errors.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        page.on("requestfailed", lambda request: seen.errors.append(f"not found: {request.url}"))
        context.route("**/*", lambda route: answered(route, address, seen))
        response = page.goto(f"{address}/{path}", wait_until="load")
        seen.status = response.status
        page.evaluate("window.MathJax && MathJax.startup ? MathJax.startup.promise : null")
        return seen

    yield opened
    for context in contexts:
        context.close()


def answered(route: Any, address: str, seen: Visit) -> None:
    """Let through what the site itself serves; note and refuse requests to other servers."""
    url = route.request.url
    if url.startswith((address, "data:")):
        route.continue_()
    else:
        seen.foreign.append(url)
        route.abort()
