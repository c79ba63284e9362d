"""The judge: ask an answer every question, and show the first failure on the smallest call that has it."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol

from numpy.typing import NDArray

from attnscope.errors import AttentionError
from attnscope.lesson.calling import NoAnswerError, Outcome
from attnscope.lesson.comparing import (
    agree,
    close,
    first_difference,
    is_wrong,
    kind_that_fails,
    relative_error,
    wrong_shape,
)
from attnscope.lesson.question import Arguments, Arrays, Exercise, Expected, Misconception, Question, Task
from attnscope.lesson.verdict import Verdict, internal_error, named
from attnscope.probing import Counterexample, captured, shrink

MOST_TRIES = 150  # simpler questions while an example shrinks
MOST_SECONDS = 5.0  # for them
# An example keeps an error that one can see, relative to the largest number, if the first failure had one
VISIBLE_ERROR = 0.1
SHOWN_BY_A_CALL = ("raised", "wrote", "form")


class OutOfTimeError(Exception):
    """The time for an exercise is over, in which the judge's own computing counts too."""


class Asked(Protocol):
    """Something that can call a learner's functions: in this process, or in another one."""

    def ask(self, task: Task, arguments: Arguments, *, measured: bool = False) -> Outcome:
        """Call the task's function."""


@dataclass(frozen=True, eq=False)
class Reply:
    """A question, the outcome of the call, and what was expected."""

    question: Question
    arguments: Arguments
    outcome: Outcome
    expected: tuple[Expected, ...]

    @property
    def wrong(self) -> bool:
        """Whether the outcome is not what was expected."""
        return is_wrong(self.outcome.arrays, self.expected)

    def agrees(self, misconception: Misconception) -> bool:
        """Whether the outcome is what this misconception returns."""
        return agree(misconception, self.arguments, self.outcome.arrays)


def judge(exercise: Exercise, asked: Asked, *, stretch: bool = False, until: float = math.inf) -> Verdict:
    """Judge an exercise's tasks until one fails, or `monotonic()` reaches `until`.

    An error of the judge costs only this exercise.
    """
    try:
        return first_failure(exercise, asked, stretch, until)
    except OutOfTimeError:
        return Verdict(
            False, f"{named(exercise.number)} could not be judged to its end in the time it may take."
        )
    except Exception as error:  # noqa: BLE001  # answers are foreign and may cause anything
        return Verdict(False, f"{named(exercise.number)} could not be judged: {internal_error(error)}")


def first_failure(exercise: Exercise, asked: Asked, stretch: bool, until: float) -> Verdict:
    """The verdict on the first task that fails, or that all passed."""
    tasks = exercise.stretch if stretch else exercise.tasks
    for task in tasks:
        verdict = TaskJudge(task, asked, until).verdict()
        if verdict is not None:
            return verdict
    questions = sum(len(task.questions) for task in tasks)
    part = f"the stretch part of {named(exercise.number)}" if stretch else named(exercise.number)
    how = f"right in all {questions} questions that were asked" if questions > 1 else "right"
    return Verdict(True, f"{part}, {exercise.title}: {how}.")


@dataclass(frozen=True, eq=False)
class TaskJudge:
    """Judges one function. The clock is read between its calls and the judge's own computations."""

    task: Task
    asked: Asked
    until: float = math.inf

    def ask(self, arguments: Arguments, *, measured: bool = False) -> Outcome:
        """Call the function."""
        self.check_clock()
        return self.asked.ask(self.task, arguments, measured=measured)

    def check_clock(self) -> None:
        """Raise OutOfTimeError if the time is over."""
        if monotonic() >= self.until:
            raise OutOfTimeError

    def verdict(self) -> Verdict | None:
        """What is wrong, or None."""
        replies: list[Reply] = []
        for question in self.task.questions:
            arguments = question.arguments
            outcome = self.ask(arguments)
            self.check_clock()
            if outcome.trouble is not None:
                if any(each.wrong for each in replies):
                    break
                unsteady = self.unsteady(replies)  # a failed verdict is false, so `or` would skip it
                return self.troubled(question, outcome) if unsteady is None else unsteady
            if self.task.judged is not None:
                message = judgement(self.task, arguments, outcome.arrays)
                if message is not None:
                    return self.of(message, arguments, outcome)
                continue
            replies.append(Reply(question, arguments, outcome, self.expected(arguments)))
        wrong = [each for each in replies if each.wrong]
        if wrong:
            unsteady = self.unsteady(replies)
            return self.diagnosed(replies, wrong) if unsteady is None else unsteady
        too_much = self.too_much_memory()
        return self.audited() if too_much is None else too_much

    def expected(self, arguments: Arguments) -> tuple[Expected, ...]:
        """The right results."""
        assert self.task.expected is not None, "a task has expected results or a judgement of its own"
        return self.task.expected(*arguments.values())

    def reply(self, question: Question) -> Reply:
        """Ask one more question."""
        arguments = question.arguments
        outcome = self.ask(arguments)
        return Reply(question, arguments, outcome, self.expected(arguments))

    def of(self, message: str, arguments: Arguments, outcome: Outcome) -> Verdict:
        """A verdict with the call that shows it, without an expected result."""
        results = dict(zip(self.task.results, outcome.arrays, strict=True))
        return Verdict(
            False, f"{self.task.name}: {message}", Counterexample(self.task.call, arguments, results)
        )

    def unsteady(self, replies: list[Reply]) -> Verdict | None:
        """Whether the first question gets another answer when it is asked again."""
        if not replies:
            return None
        first = replies[0]
        again = self.ask(first.question.arguments)
        if again.trouble in ("time", "ended"):  # no evidence of memory between calls
            return None
        if again.trouble is None and all(map(close, again.arrays, first.outcome.arrays)):
            return None
        message = (
            f"{self.task.name} returns another result when it is called again with the same arguments. Does "
            "it keep something between calls, in a global variable or a default argument, or draw random "
            "numbers?"
        )
        return Verdict(False, message, Counterexample(self.task.call, first.arguments, self.results(first)))

    def troubled(self, question: Question, outcome: Outcome) -> Verdict:
        """No result at all, shown on the smallest call that fails alike, if a call can show it."""
        if outcome.trouble not in SHOWN_BY_A_CALL or not question.arguments:
            return Verdict(False, outcome.message)
        found = outcome

        def fails_alike(simpler: Question) -> bool:
            nonlocal found
            if monotonic() >= self.until:
                return False
            tried = self.ask(simpler.arguments)
            alike = same_trouble(tried, outcome)
            found = tried if alike else found
            return alike

        smallest = simplest(question, fails_alike)
        return Verdict(False, found.message, Counterexample(self.task.call, smallest.arguments))

    def diagnosed(self, replies: list[Reply], wrong: list[Reply]) -> Verdict:
        """Name the cause, if it is known, and show it on the smallest call that fails alike."""
        if constant(replies):
            arguments = "its argument" if len(self.task.parameters) == 1 else "its arguments"
            message = (
                f"{self.task.name} returns the same result for all calls: it does not depend on {arguments}."
            )
            return Verdict(False, message, self.example(wrong[0]))
        cause, always = self.likeliest(replies, wrong)
        first = next(each for each in wrong if cause is None or each.agrees(cause))
        shown = self.smallest(first, cause)
        if cause is None:
            message = self.symptom(shown) + kind_that_fails(shown.question, len(wrong), len(replies))
        else:
            message = cause.name + ("" if always else " (This call looks like that; others differ.)")
        return Verdict(False, f"{self.task.name}: {message}", self.example(shown))

    def likeliest(self, replies: list[Reply], wrong: list[Reply]) -> tuple[Misconception | None, bool]:
        """The misconception that agrees with most wrong replies, and whether it agrees with all replies."""
        best, most = None, 0
        for misconception in self.task.misconceptions:
            self.check_clock()
            hits = sum(each.agrees(misconception) for each in wrong)
            if hits == len(wrong) and all(each.agrees(misconception) for each in replies):
                return misconception, True
            if hits > most and hits >= min(2, len(wrong)):
                best, most = misconception, hits
        return best, False

    def smallest(self, first: Reply, cause: Misconception | None) -> Reply:
        """Shrink the call while it stays wrong in the same way, and one can see it."""
        found = first
        visible = min(VISIBLE_ERROR, relative_error(first.outcome.arrays, first.expected))
        well_shaped = wrong_shape(first.outcome.arrays, first.expected) is None

        def fails_alike(simpler: Question) -> bool:
            nonlocal found
            if monotonic() >= self.until:
                return False
            tried = self.reply(simpler)
            came = tried.outcome.arrays
            alike = tried.outcome.trouble is None and tried.wrong
            alike = alike and relative_error(came, tried.expected) >= visible
            if cause is not None:
                alike = alike and tried.agrees(cause)
            elif well_shaped:
                alike = alike and wrong_shape(came, tried.expected) is None
            found = tried if alike else found
            return alike

        simplest(first.question, fails_alike)
        return found

    def symptom(self, reply: Reply) -> str:
        """A description of the wrong result, for an unknown cause."""
        came = reply.outcome.arrays
        shape = wrong_shape(came, reply.expected)
        if shape is not None:
            return f"{self.task.results[shape.part]} has shape {shape.came}, expected {shape.expected}."
        right = tuple(each.value for each in reply.expected)
        for symptom in self.task.symptoms:
            if symptom.shows(reply.arguments, came, right):
                return symptom.message
        return first_difference(came, reply.expected, self.task.results)

    def example(self, reply: Reply) -> Counterexample:
        """The call, its results and the right ones."""
        right = dict(zip(self.task.results, (each.value for each in reply.expected), strict=True))
        return Counterexample(self.task.call, reply.arguments, self.results(reply), right)

    def results(self, reply: Reply) -> dict[str, NDArray[Any]]:
        """The results by name."""
        return dict(zip(self.task.results, reply.outcome.arrays, strict=True))

    def too_much_memory(self) -> Verdict | None:
        """Measure the peak of a call, if the task limits it."""
        memory = self.task.memory
        if memory is None:
            return None
        question = Question(memory.draw, memory.draw.sizes, 7)
        outcome = self.ask(question.arguments, measured=True)
        if outcome.trouble is not None:
            return Verdict(False, f"{outcome.message} The call had {question.shown_sizes}.")
        peak = outcome.peak_bytes or 0
        if peak <= memory.most_bytes:
            return None
        measured = (
            f"At {question.shown_sizes} the call held {peak / 2**20:.1f} MiB at once, and "
            f"{memory.most_bytes / 2**20:.1f} MiB are enough."
        )
        return Verdict(False, f"{self.task.name}: {memory.message} {measured}")

    def audited(self) -> Verdict | None:
        """Ask the library's audit, if the task has one."""
        if self.task.audited is None:
            return None
        report = self.task.audited(self.answer)
        if report.ok:
            return None
        self.check_clock()  # an answer that came too late is no finding
        finding = report.findings[0]
        cause = "" if finding.cause is None else f" It {finding.cause.replace('agrees with:', 'looks like')}."
        message = f"{self.task.name}: {finding.sentence}.{cause}"
        if finding.counterexample is None:
            return Verdict(False, message)
        arrays = finding.counterexample.arrays
        names = {"query": "query", "key": "key", "value": "value", "visible": "mask"}
        given = {name: arrays[theirs] for name, theirs in names.items() if theirs in arrays}
        came = {name: arrays[name] for name in ("output",) if name in arrays}
        right = {name: arrays[f"expected_{name}"] for name in ("output",) if f"expected_{name}" in arrays}
        return Verdict(False, message, Counterexample(self.task.call, given, came, right))

    def answer(self, *arguments: Any) -> Any:
        """The learner's function as the audit calls it. Raises NoAnswerError if there is no result."""
        outcome = self.ask(dict(zip(self.task.parameters, arguments, strict=True)))
        if outcome.trouble is not None:
            raise NoAnswerError(outcome.message)
        return outcome.arrays[0]


def simplest(question: Question, fails_alike: Callable[[Question], bool]) -> Question:
    """The simplest question that still fails alike. What an answer prints there is dropped."""

    def quietly(simpler: Question) -> bool:
        with captured():
            return fails_alike(simpler)

    return shrink(question, Question.simpler, quietly, seconds=MOST_SECONDS, most_tries=MOST_TRIES)


def judgement(task: Task, arguments: Arguments, came: Arrays) -> str | None:
    """A task's own judgement of results."""
    assert task.judged is not None
    try:
        return task.judged(arguments, came)
    except AttentionError as error:
        return f"attention over these arrays cannot be computed: {error}"


def same_trouble(one: Outcome, other: Outcome) -> bool:
    """Whether two calls failed in the same way, at whatever sizes."""
    numberless = [re.sub(r"\d+(, *)?", "", each.message) for each in (one, other)]
    return one.trouble == other.trouble and numberless[0] == numberless[1]


def constant(replies: list[Reply]) -> bool:
    """Whether all results are the same, although the right ones are not."""
    came = {tuple(map(content, each.outcome.arrays)) for each in replies}
    right = {repr([part.value.tolist() for part in each.expected]) for each in replies}
    return len(replies) > 1 and len(came) == 1 and len(right) > 1


def content(array: NDArray[Any]) -> tuple[tuple[int, ...], bytes | str]:
    """The shape and the numbers of an array."""
    return array.shape, str(array) if array.dtype.kind == "O" else array.tobytes()
