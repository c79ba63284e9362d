"""A figure, alone on a page of a real browser."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from attnscope.lesson.figure import Figure

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 800}


@dataclass
class Shown:
    """A figure in the browser, with all that the page complains of or asks for."""

    page: Any
    messages: list[str] = field(default_factory=list)

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.page.evaluate("JSON.parse(document.querySelector('.af').dataset.state)")
        return state

    @property
    def numbers(self) -> dict[str, tuple[float, str]]:
        """Each number that is stated: its value in full, and its text."""
        found = self.page.evaluate(
            "[...document.querySelectorAll('.af [data-name]')]"
            ".map(e => [e.dataset.name, Number(e.dataset.value), e.textContent])"
        )
        return {name: (value, text) for name, value, text in found}


Show = Callable[..., Shown]


@pytest.fixture
def show(browser: Any) -> Iterator[Show]:
    """show("masks", phone=True, dark=True) draws a figure."""
    contexts = []

    def shown(name: str, *, phone: bool = False, dark: bool = False, still: bool = False) -> Shown:
        context = browser.new_context(
            viewport=PHONE if phone else DESKTOP,
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce" if still else "no-preference",
        )
        contexts.append(context)
        figure = Shown(context.new_page())
        figure.page.on("console", lambda said: figure.messages.append(said.text))
        figure.page.on("pageerror", lambda error: figure.messages.append(str(error)))
        figure.page.on("request", lambda request: figure.messages.append(request.url))
        figure.page.set_content(
            f"<!doctype html><html lang=en><body>{Figure(name)._repr_html_()}</body></html>"
        )
        return figure

    yield shown
    for context in contexts:
        context.close()
