"""The pages: they run, every number in them was computed by the code beside it, and every link holds."""

import re
from pathlib import Path

import pytest

from tests.lesson.links import code_links, corrected
from tests.lesson.page import FENCE, LESSON, LINK, Page, pages

OVERVIEW, *TEN = pages()
SECTIONS = [
    "The need",
    "An example",
    "Definition",
    "Proof",
    "Not this",
    "A common mistake",
    "In the library",
    "Pause",
    "References",
]
every_page = pytest.mark.parametrize("path", pages(), ids=lambda path: path.stem)
every_topic = pytest.mark.parametrize("path", TEN, ids=lambda path: path.stem)


def test_there_are_ten_pages_numbered_from_1() -> None:
    assert [Page.read(path).text.split("# ", 1)[1].split(".")[0] for path in TEN] == [
        str(number) for number in range(1, 11)
    ]


@every_page
def test_the_code_of_a_page_prints_what_the_page_shows(path: Path) -> None:
    page = Page.read(path)
    assert page.examples
    assert not page.run()


@every_page
def test_every_number_in_the_text_was_printed_by_code_on_the_page(path: Path) -> None:
    assert not Page.read(path).unproven_numbers()


@every_topic
def test_a_quoted_number_has_a_source(path: Path) -> None:
    quotations = re.findall(r"(?:^>.*\n)+", Page.read(path).prose, re.MULTILINE)
    assert all("](https://" in quotation for quotation in quotations)


@every_topic
def test_a_page_has_all_its_parts_in_order(path: Path) -> None:
    page = Page.read(path)
    headings = re.findall(r"^## (.*)$", page.text, re.MULTILINE)
    assert [heading for heading in headings if heading in SECTIONS] == SECTIONS
    assert re.search(r"\*\*(Definition|Theorem)", section(page, "Definition"))
    assert re.search(r"^\*Proof\b", section(page, "Proof"), re.MULTILINE)
    assert re.search(r"^\$\$$", page.text, re.MULTILINE), "no formula of its own"
    assert len(re.findall(r"^(?:\*\*|An? )", section(page, "Not this"), re.MULTILINE)) >= 2
    assert section(page, "Not this").count("```pycon") >= 1
    assert section(page, "An example").count("```pycon") >= 1
    assert re.search(r"!\[.{20,}\]\(figures/\w+\.svg\)", section(page, "An example"))
    assert code_links(section(page, "In the library"))
    assert section(page, "References").count("https://") >= 2


QUESTION = re.compile(
    r"\*\*Question \d( \(a number\))?\.\*\* .+?\n\n((?:<details>.*?</details>\n)+)", re.DOTALL
)
OPTION = re.compile(
    r"<details><summary>(.+?)</summary>\n\n(Right|Not quite)\. (.+?)\n\n</details>\n", re.DOTALL
)


@every_topic
def test_a_pause_has_three_questions_whose_options_explain_themselves(path: Path) -> None:
    found = QUESTION.findall(section(Page.read(path), "Pause") + "\n")
    assert len(found) == 3
    for number, text in found:
        options = OPTION.findall(text)
        assert len(options) == 3
        assert [verdict for _, verdict, _ in options].count("Right") == 1
        assert all(len(why.split()) >= 3 for *_, why in options)
        assert not number or all(re.fullmatch(r"-?[\d.]+", answer) for answer, *_ in options)


@every_topic
def test_the_sentence_goes_through_every_page(path: Path) -> None:
    assert re.search(r"trophy|our sentence|\"too\"", Page.read(path).text, re.IGNORECASE)


def test_sentences_are_short() -> None:
    """At most 18 words on average, formulas, tables and links taken out."""
    for path in pages():
        prose = re.sub(
            r"\$\$.*?\$\$|^\|.*?$|<[^>]*>|!?\[|\]\([^)]*\)",
            " ",
            Page.read(path).prose,
            flags=re.DOTALL | re.MULTILINE,
        )
        sentences = [each.split() for each in re.split(r"(?<=[.:?!])\s+", " ".join(prose.split()))]
        lengths = [len(words) for words in sentences if len(words) > 2]
        assert sum(lengths) / len(lengths) <= 18


@every_topic
def test_python_stands_in_sessions_that_are_run(path: Path) -> None:
    assert not Page.read(path).other_fences


@every_page
def test_links_between_pages_hold(path: Path) -> None:
    for _, target in LINK.findall(FENCE.sub("", Page.read(path).text)):
        if not target.startswith("https://"):
            assert (LESSON / target.split("#")[0]).exists(), f"{path.name} links to {target}"


@every_page
def test_links_to_code_are_the_lines_where_the_symbol_stands(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text == corrected(text), "code has moved: run `make format`, which writes the right lines"


def test_every_page_leads_to_the_next_the_one_before_and_the_overview() -> None:
    for number, path in enumerate(TEN):
        lines = path.read_text(encoding="utf-8").strip().splitlines()
        neighbours = {TEN[near].name for near in (number - 1, number + 1) if 0 <= near < len(TEN)}
        for line in (lines[0], lines[-1]):
            assert set(re.findall(r"\]\(([^)]*)\)", line)) == neighbours | {"overview.md"}


def test_the_overview_leads_to_every_page_and_to_a_graded_exercise() -> None:
    text = OVERVIEW.read_text(encoding="utf-8")
    assert re.findall(r"^\| \d+ \| \[.*?\]\((.*?)\)", text, re.MULTILINE) == [path.name for path in TEN]
    steps = (
        "pip install",
        "attnscope learn",
        "exercises.ipynb",
        "check(1, softmax, soft_lookup)",
        "attnscope check",
    )
    assert [step for step in steps if step not in text] == []


@every_page
def test_lines_of_code_fit_a_window(path: Path) -> None:
    too_long = [line for session in Page.read(path).code for line in session.splitlines() if len(line) > 110]
    assert not too_long


def section(page: Page, heading: str) -> str:
    """What stands under a heading, up to the next one."""
    return page.text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0].strip()


# Every one of these tests must be able to fail.


@every_page
def test_a_shown_output_that_was_changed_is_caught(path: Path) -> None:
    page = Page.read(path)
    shown = (line for session in page.code for line in session.splitlines() if line[:3] not in (">>>", "..."))
    line = next(line for line in shown if re.search(r"\d", line))
    other = re.sub(r"\d", lambda digit: str((int(digit[0]) + 1) % 10), line, count=1)
    assert Page(page.name, page.text.replace(f"\n{line}\n", f"\n{other}\n", 1)).run()


@pytest.mark.parametrize(
    "claim",
    [
        "The cache takes 17.2 GB.",
        "That is 100 TB.",
        "About 83 % of the weight lies on one key.",
        "It holds $0.731$ of it.",
        "They are 268 GiB, and $m = 1{,}056$.",
        "Twice as many: 2 GiB.",
    ],
)
@every_topic
def test_a_number_that_nothing_computed_is_caught(path: Path, claim: str) -> None:
    page = Page.read(path)
    changed = page.text.replace("\n## An example\n", f"\n## An example\n\n{claim}\n")
    assert Page(page.name, changed).unproven_numbers()


@pytest.mark.parametrize(
    "word", ["GPT-2 and float32", "[page 3](03-masks.md)", "`Window(left=99)`", "$x_{17}$"]
)
def test_a_number_that_is_a_name_is_no_claim(word: str) -> None:
    assert Page("a page", f"Here is {word}.").stated_numbers() in ([], ["17"])


def test_a_link_to_the_wrong_lines_is_caught() -> None:
    moved = "[`mix`](../reference/definition.py#L1-L2)"
    assert corrected(moved) != moved
    with pytest.raises(AssertionError, match="defines vanished 0 times"):
        corrected("[`vanished`](../reference/definition.py#L1-L2)")
