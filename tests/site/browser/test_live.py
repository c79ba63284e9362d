"""The page of `attnscope learn` in a browser: code runs, answers get verdicts, progress survives a reload."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPCookieProcessor, Request, build_opener, urlopen

import pytest

from attnscope.cli.learn import copy_lesson
from tests.lesson.page import LESSON
from tests.site.browser.conftest import SITE

pytest.importorskip("jupyter_server", reason="needs a Jupyter server: make test-browser")

START = """
import sys; from pathlib import Path; from attnscope.site.live import serve
serve(Path(sys.argv[1]), Path(sys.argv[2]), first="index.html", port=None, browser=False)
"""
RIGHT = """
def softmax(scores):
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def soft_lookup(query, keys, values, beta):
    return softmax(beta * (keys @ query)) @ values
"""
WRONG = RIGHT.replace("scores - scores.max(axis=-1, keepdims=True)", "scores")
A_MINUTE = 60_000  # a kernel starts, on a busy machine


@dataclass
class Live:
    """A running server, and the learner's folder."""

    address: str
    token: str
    folder: Path


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("learner")
    assert all(copy.done == "copied" for copy in copy_lesson(folder))
    command = [sys.executable, "-c", START, str(SITE), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        found = next(
            filter(
                None, (re.search(r"(http://\S+/)index\.html\?token=(\w+)", line) for line in server.stdout)
            )
        )
        yield Live(found[1], found[2], folder)
        server.terminate()


@pytest.fixture
def page(browser: Any, live: Live) -> Iterator[Any]:
    """A learner's browser: it has opened the address that was printed."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    messages: list[str] = []
    opened.on("console", lambda message: messages.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: messages.append(str(error)))
    opened.goto(f"{live.address}index.html?token={live.token}")
    yield opened
    context.close()
    assert messages == []


def cell(page: Any, words: str) -> Any:
    """The cell whose code contains these words."""
    index = page.locator(".live-cell textarea").evaluate_all(
        "(all, words) => all.findIndex(each => each.value.includes(words))", words
    )
    assert index >= 0, words
    return page.locator(".live-cell").nth(index)


def opened(page: Any, address: str) -> None:
    """Open a page, and wait until its code can be edited."""
    page.goto(address)
    page.wait_for_selector("html.live")


def typed(page: Any, words: str, code: str) -> None:
    cell(page, words).locator("textarea").fill(code)


def verdict(page: Any, words: str) -> str:
    """Run a cell with Shift and Enter, and wait for its verdict."""
    checking = cell(page, words)
    checking.locator("textarea").press("Shift+Enter")
    page.wait_for_function(
        "cell => !cell.classList.contains('running')", arg=checking.element_handle(), timeout=A_MINUTE
    )
    return str(checking.locator(".verdict").inner_text(timeout=A_MINUTE))


def test_a_wrong_answer_is_diagnosed_and_the_right_one_passes_and_both_survive_a_reload(
    page: Any, live: Live
) -> None:
    opened(page, f"{live.address}exercises.html")
    typed(page, "def softmax(", WRONG)
    diagnosis = verdict(page, "check(1, softmax")
    assert diagnosis.startswith("not yet: softmax: ")
    assert "maximum" in diagnosis or "large" in diagnosis
    typed(page, "def softmax(", RIGHT)
    assert verdict(page, "check(1, softmax").startswith("passed: ")
    page.wait_for_function("document.querySelector('.bd-links a[data-done=\"1 of 10\"]')")
    wait_until_saved(live.folder / "exercises.ipynb", RIGHT)
    page.reload()
    page.wait_for_selector("html.live")
    assert cell(page, "def softmax(").locator("textarea").input_value().strip() == RIGHT.strip()
    assert page.locator('.bd-links a[data-done="1 of 10"]').count() >= 1


def wait_until_saved(notebook: Path, answer: str) -> None:
    """What was typed is saved after a pause. While the server writes, the file is not whole."""
    until = monotonic() + A_MINUTE / 1000
    while answer.strip() not in cells_of(notebook):
        assert monotonic() < until, "the answer was not saved"
        sleep(0.05)


def cells_of(notebook: Path) -> list[str]:
    """The cells of a notebook, or none while it is being written."""
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except json.JSONDecodeError:
        return []
    return ["".join(cell["source"]).strip() for cell in cells]


def test_an_empty_answer_is_no_error_of_the_page(page: Any, live: Live) -> None:
    opened(page, f"{live.address}exercises.html")
    assert "is not written yet" in verdict(page, "check(9,")


def test_the_code_of_a_page_runs_and_prints_what_the_page_shows(page: Any, live: Live) -> None:
    opened(page, f"{live.address}01-soft-retrieval.html")
    cells = page.locator(".live-cell")
    assert cells.count() >= 3
    second = cells.nth(1)
    shown = second.locator(".outputs").inner_text()
    second.locator("button.run").click()
    page.wait_for_selector(".live-cell.running", timeout=A_MINUTE)
    page.wait_for_selector(".live-cell.running", state="detached", timeout=A_MINUTE)
    printed = second.locator(".outputs").inner_text()
    assert re.findall(r"\S+", printed) == re.findall(r"\S+", shown)


def test_a_pause_explains_a_wrong_option_and_remembers_the_right_ones(page: Any, live: Live) -> None:
    opened(page, f"{live.address}03-masks.html")
    page.wait_for_selector("fieldset.question")
    numbers = re.findall(
        r"<summary>([\d.]+)</summary>\n\nRight\.", (LESSON / "03-masks.md").read_text(encoding="utf-8")
    )
    for question in page.locator("fieldset.question").all():
        reply, seen = question.locator(".reply"), set()
        for answer in answers(question, numbers):
            answer()
            seen.add(reply.get_attribute("class"))
            assert len(reply.inner_text()) > 20
            if "reply right" in seen and len(seen) == 2:
                break
        assert seen == {"reply right", "reply wrong"}
    assert page.locator('.bd-links .current a[data-done="✓"]').count() >= 1
    page.reload()
    page.wait_for_selector("fieldset.question .reply.right")
    assert page.locator("fieldset.question .reply.right").count() == 3
    assert page.locator('.bd-links .current a[data-done="✓"]').count() >= 1


def answers(question: Any, numbers: list[str]) -> list[Callable[[], None]]:
    """Ways to answer: every option and then the first again, or a wrong number and the right one."""
    if question.locator("input[type=text]").count():
        return [partial(entered, question, number) for number in ("123456", *numbers)]
    options = question.locator("input[type=radio]").all()
    return [option.check for option in (*options, *options)]


def entered(question: Any, number: str) -> None:
    question.locator("input[type=text]").fill(number)
    question.get_by_role("button", name="Check").click()


@pytest.mark.parametrize("path", ["index.html", "_static/server.json"])
def test_without_the_token_there_is_a_question_for_it_and_nothing_else(live: Live, path: str) -> None:
    with urlopen(f"{live.address}{path}") as answer:
        assert "/login?" in answer.url
        assert live.token not in answer.read().decode()


def test_another_site_cannot_read_the_token(live: Live) -> None:
    """A browser sends its cookie with every request; where the request comes from decides."""
    browser = build_opener(HTTPCookieProcessor())
    browser.open(f"{live.address}index.html?token={live.token}").close()
    own = Request(f"{live.address}_static/server.json", headers={"Referer": f"{live.address}index.html"})
    with browser.open(own) as answer:
        assert json.load(answer)["token"] == live.token
    foreign = Request(f"{live.address}_static/server.json", headers={"Referer": "http://example.com/"})
    with pytest.raises(HTTPError, match="403"):
        browser.open(foreign)


def test_it_listens_on_one_address_of_this_machine_alone(live: Live) -> None:
    """127.0.0.2 is this machine, too: who listens on all addresses answers there."""
    address = urlsplit(live.address)
    assert address.hostname == "127.0.0.1"
    socket.create_connection(("127.0.0.1", address.port), timeout=10).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", address.port), timeout=10)
