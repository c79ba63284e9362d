"""Shrink a question that shows a mistake to the smallest one that still shows it."""

from collections.abc import Callable, Iterable
from time import process_time
from typing import TypeVar

Question = TypeVar("Question")
MOST_TRIES = 200


def shrink(
    question: Question,
    simpler: Callable[[Question], Iterable[Question]],
    same: Callable[[Question], bool],
    *,
    seconds: float = 1.5,
    most_tries: int = MOST_TRIES,
) -> Question:
    """Replace a question by a simpler one that shows the same, until there is none.

    Parameters
    ----------
    question : Question
        A question that shows a mistake; it is not asked again.
    simpler : callable
        question -> simpler questions, the largest steps first.
    same : callable
        question -> whether it shows the same mistake. The result is the last question for which it returned
        True.
    seconds, most_tries : float, int
        Limits, of this process's CPU time and of questions. When one is reached, the smallest question so far is
        returned.

    Returns
    -------
    Question
        The smallest question found.

    Examples
    --------
    >>> shrink(100, lambda n: (n // 2, n - 1), lambda n: n >= 7)
    7
    """
    tries, deadline = 0, process_time() + seconds
    smaller = True
    while smaller:
        smaller = False
        for candidate in simpler(question):
            tries += 1
            if tries > most_tries or process_time() > deadline:
                return question
            if same(candidate):
                question, smaller = candidate, True
                break
    return question
