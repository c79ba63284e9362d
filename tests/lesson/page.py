"""A page of the lesson as a test reads it: fences, prose, what the code prints, and the numbers it states."""

import doctest
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

LESSON = Path(__file__).parents[2] / "src" / "attnscope" / "lesson"

FENCE = re.compile(r"^```([\w-]*)[^\n]*\n(.*?)^```\s*$", re.DOTALL | re.MULTILINE)
# A number that is no part of a word, a version or a name: not the 2 of GPT-2, not the 32 of float32
NUMBER = re.compile(r"(?<![\w.^_{-])-?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?(?![\w]|\.\d)")
PRINTED = re.compile(r"\d+(?:,\d{3})*(?:\.\d*)?(?:e[+-]?\d+)?")
MATH = re.compile(r"\$\$.*?\$\$|\$[^$\n]+\$", re.DOTALL)
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]*)\)")
# A number that has a unit is a result, and never passes as a size that the code was given
UNIT = re.compile(r"\s*(?:[TGM]B|[GM]iB|%|ms|nats|times)(?!\w)")
OF_A_FORMULA = 10  # smaller integers in a formula are its structure: indices, exponents


@dataclass(frozen=True)
class Page:
    """A page, from its file or from text that a test has changed."""

    name: str
    text: str

    @classmethod
    def read(cls, path: Path) -> "Page":
        return cls(path.name, path.read_text(encoding="utf-8"))

    @property
    def code(self) -> list[str]:
        """The Python sessions, in order."""
        return [body for language, body in FENCE.findall(self.text) if language == "pycon"]

    @property
    def other_fences(self) -> set[str]:
        return {language for language, _ in FENCE.findall(self.text)} - {"pycon"}

    @property
    def examples(self) -> list[doctest.Example]:
        parser = doctest.DocTestParser()
        return [example for session in self.code for example in parser.get_examples(session, self.name)]

    @property
    def prose(self) -> str:
        """What is left when code, the list of references and the targets of links are taken out."""
        text = FENCE.sub("\n", self.text)
        text = re.sub(r"^## References\n.*?(?=^## |\Z)", "", text, flags=re.DOTALL | re.MULTILINE)
        # a table of contents and a list count their rows
        return re.sub(r"^\| \d+ \|.*$|^\d+\. ", "", text, flags=re.MULTILINE)

    def run(self) -> str:
        """Run all sessions in one namespace; what disagrees with the page, as doctest reports it."""
        test = doctest.DocTest(self.examples, {}, self.name, self.name, 0, "")
        said: list[str] = []
        with np.printoptions():  # what a page sets is its own
            doctest.DocTestRunner(verbose=False).run(test, out=said.append)
        return "".join(said)

    def printed_numbers(self) -> set[str]:
        """Every number in an output, with its unit. run() checks the outputs against the code."""
        found: set[str] = set()
        for example in self.examples:
            output = without_words(example.want)
            for number in PRINTED.finditer(output):
                found |= {canonical(number[0]), canonical(number[0] + unit_after(example.want, number.end()))}
        return found

    def given_numbers(self) -> set[str]:
        """Integers that the code is given: sizes, positions, what an example is about."""
        return {
            canonical(number.replace("_", ""))
            for example in self.examples
            for number in re.findall(r"(?<![\w.])\d[\d_]*(?![\w.])", example.source)
        }

    def stated_numbers(self) -> list[str]:
        """The numbers in the prose, as they are written; quotations have a source instead."""
        prose = "\n".join(line for line in self.prose.splitlines() if not line.startswith((">", "# ", "[")))
        formulas = " ".join(MATH.findall(prose)).replace("{,}", ",")
        words = LINK.sub(words_of_link, MATH.sub(" ", prose))
        words = re.sub(r"`[^`]*`|<[^>]*>", " ", words)
        of_formulas = [
            number
            for number in re.findall(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?!\d|\^)", formulas)
            if "." in number or float(canonical(number)) >= OF_A_FORMULA
        ]
        of_words = [number[0] + unit_after(words, number.end()) for number in NUMBER.finditer(words)]
        return of_words + of_formulas

    def unproven_numbers(self) -> list[str]:
        """Numbers of the prose that no code on this page printed or contains; quantities must be printed."""
        known = self.printed_numbers() | self.given_numbers()
        return [number for number in self.stated_numbers() if canonical(number) not in known]


def pages() -> list[Path]:
    """The overview and the ten pages."""
    return [LESSON / "overview.md", *sorted(LESSON.glob("[0-9][0-9]-*.md"))]


def words_of_link(link: re.Match[str]) -> str:
    """A link's words, without the numbers by which its target is known: "page 3", "pytorch 103082"."""
    words, target = link.groups()
    return (
        " "
        if target.endswith((".md", ".ipynb"))
        else re.sub(r"\d+", lambda n: "" if n[0] in target else n[0], words)
    )


def unit_after(text: str, end: int) -> str:
    unit = UNIT.match(text, end)
    return f" {unit[0].strip()}" if unit else ""


def canonical(number: str) -> str:
    """One way to write a number, with its unit: "8,192" and "8192.0" are alike, and so are -3 and 3."""
    digits, *unit = number.split()
    return " ".join([repr(abs(float(digits.replace(",", "").rstrip(".")))), *unit])


def without_words(output: str) -> str:
    """The output with every name blanked out, letter for letter: the 32 of float32 is no number."""
    return re.sub(r"(?<![\w.])[A-Za-z_]\w*", lambda name: " " * len(name[0]), output)
