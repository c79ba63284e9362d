"""Findings of audits and checks: a broken promise, its known mistake, and the smallest call."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from inspect import Parameter, Signature
from pathlib import Path
from time import process_time
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Question = TypeVar("Question")
MOST_TRIES = 200
MOST_PRINTED = 36  # entries of an array; longer ones are printed as their shape


class Severity(StrEnum):
    """Rank how bad a finding is; the worst comes first.

    Parameters
    ----------
    value : {"leak", "wrong", "unstable", "inexact"}
        "leak": hidden slots, or other items of the batch, move the output.
        "wrong": the answer is not what the contract states.
        "unstable": right within rounding, but not repeatable or not free of side effects.
        "inexact": only rounding, but more of it than careful arithmetic in this format makes.

    Examples
    --------
    >>> Severity("leak").rank, Severity.INEXACT.rank
    (0, 3)
    """

    # The arguments that create new enumerations are none of a reader's concern.
    __signature__ = Signature([Parameter("value", Parameter.POSITIONAL_ONLY)])

    LEAK = "leak"
    WRONG = "wrong"
    UNSTABLE = "unstable"
    INEXACT = "inexact"

    @property
    def rank(self) -> int:
        """Position in the order of severities: 0 for the worst."""
        return list(Severity).index(self)


@dataclass(frozen=True, eq=False)
class Counterexample:
    """The smallest call that shows what is wrong, with everything that is needed to repeat it.

    It prints its arguments, what came, and what was expected.

    Parameters
    ----------
    call : str
        The call in one line: ``"softmax(scores)"``, or sizes, options and seed.
    arguments : mapping
        The inputs, by name.
    came : mapping
        The results, by name; empty if there were none.
    expected : mapping
        The right results, by name; empty if there is no single right result.
    indices : mapping
        Where the results differ: batch, head, query, key, ...
    seed : int, optional
        The seed that the arrays were drawn from.
    """

    call: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    came: Mapping[str, Any] = field(default_factory=dict)
    expected: Mapping[str, Any] = field(default_factory=dict)
    indices: Mapping[str, int] = field(default_factory=dict)
    seed: int | None = None

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays by name; those of `expected` begin with ``expected_``."""
        expected = {f"expected_{name}": each for name, each in self.expected.items()}
        found = {**self.arguments, **self.came, **expected}
        return {name: each for name, each in found.items() if isinstance(each, np.ndarray)}

    def save(self, path: str | Path) -> Path:
        """Write the arrays as a .npz file; formats that NumPy does not know, such as bfloat16, as float32.

        Parameters
        ----------
        path : str or Path
            The file to write.

        Returns
        -------
        Path
            The file that was written.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     shown = Counterexample("one key", {"key": np.ones(2)}, indices={"key": 0}, seed=7)
        ...     path = shown.save(f"{folder}/a.npz")
        ...     float(np.load(path)["key"].sum()), int(np.load(path)["index_of_key"])
        (2.0, 0)
        """
        path = Path(path)
        kept = {
            name: array if array.dtype.isbuiltin == 1 else array.astype(np.float32)
            for name, array in self.arrays.items()
        }
        more = {f"index_of_{name}": np.array(index) for name, index in self.indices.items()}
        more |= {} if self.seed is None else {"seed": np.array(self.seed)}
        with path.open("wb") as file:
            np.savez(file, **kept, **more, description=np.array(self.call))  # type: ignore[arg-type]
        return path

    def __str__(self) -> str:
        lines = [f"{name} = {written(value, len(name) + 3)}" for name, value in self.arguments.items()]
        lines.append(self.call)
        for verb, results in (("gives", self.came), ("expected", self.expected)):
            for name, value in results.items():
                start = f"  {verb} {name} = "
                lines.append(start + written(value, len(start)))
        return "\n".join(lines)

    __repr__ = __str__


@dataclass(frozen=True)
class KnownMistake:
    """A known wrong implementation, compared with an answer to name the cause.

    Parameters
    ----------
    name : str
        What it does, as a finding states it: "causal aligned to the start".
    wrong : callable
        Returns what an implementation with this mistake returns. Its arguments are those of whatever is
        probed.
    check : str
        The promise that it breaks.
    fix : str
        What to do instead.
    """

    name: str
    wrong: Callable[..., Any]
    check: str = ""
    fix: str = ""


@dataclass(frozen=True, eq=False)
class Finding:
    """Describe one broken promise.

    Parameters
    ----------
    check : str
        The promise: "alignment", "window", "poison", ...
    severity : Severity
        How bad it is: leak, wrong, unstable or inexact.
    sentence : str
        What happens, and in which row: "query 3 reads key 4, which causal hides (...)".
    counterexample : Counterexample, optional
        The smallest call that shows it.
    cause : str, optional
        The likely cause, such as a known mistake that gives the same results.
    fix : str, optional
        How to repair it.
    cases : int
        The number of calls that showed it.
    """

    check: str
    severity: Severity
    sentence: str
    counterexample: Counterexample | None = None
    cause: str | None = None
    fix: str | None = None
    cases: int = 1

    def __str__(self) -> str:
        lines = [f"{self.severity.upper()}  {self.check}: {self.sentence}"]
        if self.cause:
            lines.append(f"  likely cause  {self.cause}")
        if self.fix:
            lines.append(f"  fix           {self.fix}")
        if self.counterexample:
            lines.append(f"  smallest      {self.counterexample.call}")
        if self.cases > 1:
            lines.append(f"  seen in       {self.cases} of the calls")
        return "\n".join(lines)


def listed(words: list[str]) -> str:
    """Join words by commas and "and".

    >>> listed(["a bias"]), listed(["a bias", "sinks", "causal"])
    ('a bias', 'a bias, sinks and causal')
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def written(value: Any, indent: int = 0) -> str:
    """Write an array as one would type it, or its shape if it is long.

    >>> written(np.array([[1.0, -np.inf]]))
    '[[1, -inf]]'
    """
    if not isinstance(value, np.ndarray):
        return repr(value)
    if value.size > MOST_PRINTED:
        return f"<{value.dtype} array of shape {value.shape}>"
    if value.ndim == 0:
        return spelled(value[()])
    rows = np.array2string(
        value, separator=", ", prefix=" " * indent, formatter={"all": spelled}, max_line_width=100
    )
    return str(rows)


def spelled(entry: Any) -> str:
    """Write a number in as many digits as a reader compares.

    >>> spelled(0.1 + 0.2), spelled(np.True_), spelled(12345678)
    ('0.3', 'True', '12345678')
    """
    if isinstance(entry, bool | np.bool_):
        return str(bool(entry))
    if isinstance(entry, int | np.integer):
        return str(int(entry))
    return f"{float(entry) + 0.0:.6g}"  # -0 becomes 0


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
        Limits, of this process's CPU time and of questions. When one is reached, the smallest question so
        far is returned.

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
