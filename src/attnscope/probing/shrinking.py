"""From a question that shows something to the smallest one that still shows it."""

from collections.abc import Callable, Iterable
from time import monotonic
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
    """Replace a question by a simpler one that shows the same, as long as there is one.

    Parameters
    ----------
    question : Question
        Shows something; it is not asked again.
    simpler : callable
        question -> simpler questions, the boldest steps first.
    same : callable
        question -> whether it shows the same. The last question for which it returned True is the result.
    seconds, most_tries : float, int
        Limits; the smallest question so far is returned when one is reached.

    Returns
    -------
    Question
        The smallest question found.

    Examples
    --------
    >>> shrink(100, lambda n: (n // 2, n - 1), lambda n: n >= 7)
    7
    """
    tries, deadline = 0, monotonic() + seconds
    smaller = True
    while smaller:
        smaller = False
        for candidate in simpler(question):
            tries += 1
            if tries > most_tries or monotonic() > deadline:
                return question
            if same(candidate):
                question, smaller = candidate, True
                break
    return question
