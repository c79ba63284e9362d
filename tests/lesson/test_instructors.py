"""The instructor's guide quotes diagnoses that the checks make, and links to pages that exist."""

import re

import pytest

from attnscope.lesson.check import EXERCISES, PROJECTS, exercise_of
from tests.lesson.page import LESSON, LINK

GUIDE = (LESSON / "instructors.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"^\| (\d+|[A-C]) \| .* \| \"(.+)\" \|$", GUIDE, re.MULTILINE)


def test_the_guide_quotes_diagnoses_of_most_exercises() -> None:
    assert len({number for number, _ in QUOTED}) >= 8


@pytest.mark.parametrize(("number", "words"), QUOTED)
def test_a_quoted_diagnosis_is_one_that_the_exercise_makes(number: str, words: str) -> None:
    exercise = exercise_of(int(number) if number.isdigit() else number)
    messages = [each.name for task in (*exercise.tasks, *exercise.stretch) for each in task.misconceptions]
    assert any(message.startswith(words) for message in messages)


def test_the_plan_has_every_page_and_every_exercise() -> None:
    days = re.findall(r"^\| (\d+) \| \[(\d+)\]\(.*?\) \| .* \| (\d+) \| .* \|$", GUIDE, re.MULTILINE)
    assert days == [(str(number),) * 3 for number in EXERCISES]
    named = re.findall(r"\bprojects? ([A-Z])(?: and ([A-Z]))?\b", GUIDE)
    assert {letter for pair in named for letter in pair if letter} == set(PROJECTS)


def test_links_of_the_guide_hold() -> None:
    assert all((LESSON / target).exists() for _, target in LINK.findall(GUIDE))
