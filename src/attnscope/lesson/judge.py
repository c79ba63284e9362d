"""The judge: puts every question to an answer, and says of the first failure what it is, as small as it can be shown."""

import re
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from numpy.typing import NDArray

import attnscope as at
from attnscope.lesson.calling import Outcome
from attnscope.lesson.comparing import agree, close, differences, gap, misshapen
from attnscope.lesson.question import Arguments, Arrays, Exercise, Expected, Mistake, Question, Task
from attnscope.lesson.verdict import Counterexample, Verdict
from attnscope.lesson.wording import amiss, elsewhere, where
from attnscope.probing import captured

MOST_TRIES = 150  # smaller questions, while an example shrinks
MOST_SECONDS = 5.0  # for them
PLAIN_TO_SEE = 0.1  # of the largest number: so far off an example should be, where the first one was
SHOWN_WHERE_IT_HAPPENS = ("raised", "wrote", "form")


class Asked(Protocol):
    """Whatever can call a learner's functions: here, or in a process far away."""

    def ask(self, task: Task, arguments: Arguments, *, measured: bool = False) -> Outcome:
        """Call the function that a task is about."""


@dataclass(frozen=True, eq=False)
class Put:
    """A question that was put, and what came."""

    question: Question
    arguments: Arguments
    outcome: Outcome
    expected: tuple[Expected, ...]

    @property
    def wrong(self) -> bool:
        """Whether the answer is not what was expected."""
        return differences(self.outcome.arrays, self.expected) is not None


def judge(exercise: Exercise, asked: Asked, *, stretch: bool = False) -> Verdict:
    """Judge an exercise's tasks until one fails. An error of the judge is a verdict too: it costs this exercise alone."""
    try:
        return first_failure(exercise, asked, stretch)
    except Exception as error:  # noqa: BLE001  # answers are foreign: no list of what they can cause is complete
        return Verdict(False, f"exercise {exercise.number} could not be judged: {internal_error(error)}")


def internal_error(error: Exception) -> str:
    """Name an error of attnscope itself, and its place, for the report of a class."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split())[:160]
    return (
        f"internal error of attnscope, {type(error).__name__}{f': {text}' if text else ''}, in {frame.name} "
        f"({Path(frame.filename).name}, line {frame.lineno}). Please report it. Other exercises are not affected."
    )


def first_failure(exercise: Exercise, asked: Asked, stretch: bool) -> Verdict:
    """The verdict on the first task that fails, or that all passed."""
    tasks = exercise.stretch if stretch else exercise.tasks
    for task in tasks:
        verdict = TaskJudge(task, asked).verdict()
        if verdict is not None:
            return verdict
    questions = sum(len(task.questions) for task in tasks)
    part = "the stretch part of exercise" if stretch else "exercise"
    how = f"right in all {questions} questions that were asked" if questions > 1 else "right"
    return Verdict(True, f"{part} {exercise.number}, {exercise.title}: {how}.")


@dataclass(frozen=True, eq=False)
class TaskJudge:
    """One function, judged."""

    task: Task
    asked: Asked

    def verdict(self) -> Verdict | None:
        """What is wrong, or None."""
        put: list[Put] = []
        for question in self.task.questions:
            arguments = question.arguments
            outcome = self.asked.ask(self.task, arguments)
            if outcome.trouble is not None:
                if any(each.wrong for each in put):
                    break
                unsteady = self.unsteady(
                    put
                )  # a verdict is false where it did not pass, so `or` would not do
                return self.troubled(question, outcome) if unsteady is None else unsteady
            if self.task.judged is not None:
                says = judgement(self.task, arguments, outcome.arrays)
                if says is not None:
                    return self.of(says, arguments, outcome)
                continue
            put.append(Put(question, arguments, outcome, self.expected(arguments)))
        wrong = [each for each in put if each.wrong]
        if wrong:
            unsteady = self.unsteady(put)
            return self.diagnosed(put, wrong) if unsteady is None else unsteady
        too_much = self.too_much_memory()
        return self.audited() if too_much is None else too_much

    def expected(self, arguments: Arguments) -> tuple[Expected, ...]:
        """The right results."""
        assert self.task.expected is not None, (
            "a task is judged by what it expects, or by a judgement of its own"
        )
        return self.task.expected(*arguments.values())

    def put(self, question: Question) -> Put:
        """Ask one question more."""
        arguments = question.arguments
        return Put(question, arguments, self.asked.ask(self.task, arguments), self.expected(arguments))

    def of(self, says: str, arguments: Arguments, outcome: Outcome) -> Verdict:
        """A verdict with the call that shows it; what is right is not one thing."""
        came = dict(zip(self.task.gives, outcome.arrays, strict=True))
        return Verdict(False, f"{self.task.name}: {says}", Counterexample(self.task.call, arguments, came))

    def unsteady(self, put: list[Put]) -> Verdict | None:
        """Whether the first question, asked again, is answered otherwise."""
        if not put:
            return None
        first = put[0]
        again = self.asked.ask(self.task, first.question.arguments)
        if again.trouble in ("time", "ended"):  # which says nothing about memories
            return None
        if again.trouble is None and all(map(close, again.arrays, first.outcome.arrays)):
            return None
        says = (
            f"{self.task.name} gives another result when it is asked the same again. Does it keep something from one call "
            "to the next, in a global variable or a default argument, or draw random numbers?"
        )
        return Verdict(False, says, Counterexample(self.task.call, first.arguments, self.came(first)))

    def troubled(self, question: Question, outcome: Outcome) -> Verdict:
        """No answer at all, shown by the smallest call that gives none, where it depends on the call."""
        if outcome.trouble not in SHOWN_WHERE_IT_HAPPENS or not question.arguments:
            return Verdict(False, outcome.says)
        for smaller in self.shrunk(question):
            with captured():  # what it prints was printed once; not also for each try
                tried = self.asked.ask(self.task, smaller.question.arguments)
            if smaller.keep(alike_in_words(tried, outcome)):
                outcome, question = tried, smaller.question
        return Verdict(False, outcome.says, Counterexample(self.task.call, question.arguments))

    def diagnosed(self, put: list[Put], wrong: list[Put]) -> Verdict:
        """Name the cause, as far as it is known, and show it on the smallest call that fails alike."""
        first = wrong[0]
        if constant(put):
            says = (
                f"{self.task.name} gives the same result whatever it is given: it does not depend on "
                f"{'its argument' if len(self.task.takes) == 1 else 'its arguments'}."
            )
            return Verdict(False, says, self.example(first))
        mistake, always = self.likeliest(put, wrong)
        shown = self.smallest(
            next(each for each in wrong if mistake is None or alike(mistake, each)), mistake
        )
        if mistake is not None:
            says = (
                mistake.says
                if always
                else f"{mistake.says} (That is what this call looks like; others differ.)"
            )
        else:
            says = self.symptom(shown) + elsewhere(shown.question, len(wrong), len(put))
        return Verdict(False, f"{self.task.name}: {says}", self.example(shown))

    def likeliest(self, put: list[Put], wrong: list[Put]) -> tuple[Mistake | None, bool]:
        """The mistake that answers alike, and whether it does so in all calls."""
        best, most = None, 0
        for mistake in self.task.mistakes:
            hits = sum(alike(mistake, each) for each in wrong)
            if hits == len(wrong) and all(alike(mistake, each) for each in put):
                return mistake, True
            if hits > most and hits >= min(2, len(wrong)):
                best, most = mistake, hits
        return best, False

    def smallest(self, first: Put, mistake: Mistake | None) -> Put:
        """Shrink while it stays wrong in the same way, and the eye can see it."""
        found, visible = first, min(PLAIN_TO_SEE, gap(first.outcome.arrays, first.expected))
        for smaller in self.shrunk(first.question):
            with captured():
                tried = self.put(smaller.question)
            same = tried.outcome.trouble is None and tried.wrong
            same = same and gap(tried.outcome.arrays, tried.expected) >= visible
            if mistake is not None:
                same = same and alike(mistake, tried)
            elif misshapen(first.outcome.arrays, first.expected) is None:
                same = same and misshapen(tried.outcome.arrays, tried.expected) is None
            if smaller.keep(same):
                found = tried
        return found

    def shrunk(self, question: Question) -> Iterator["Step"]:
        """Simpler questions, each made from the last one that was kept."""
        tries, smaller, until = 0, True, monotonic() + MOST_SECONDS
        while smaller:
            smaller = False
            for candidate in question.simpler():
                tries += 1
                if tries > MOST_TRIES or monotonic() > until:
                    return
                step = Step(candidate)
                yield step
                if step.kept:
                    question, smaller = candidate, True
                    break

    def symptom(self, put: Put) -> str:
        """What one sees, without a known cause."""
        shape = misshapen(put.outcome.arrays, put.expected)
        if shape is not None:
            return f"{self.task.gives[shape.part]} has shape {shape.came}, expected {shape.expected}."
        right = tuple(each.value for each in put.expected)
        for symptom in self.task.symptoms:
            if symptom.shows(put.arguments, put.outcome.arrays, right):
                return symptom.says
        return amiss(put.outcome.arrays, put.expected, self.task.gives)

    def example(self, put: Put) -> Counterexample:
        """The call, what came and what is right."""
        right = dict(zip(self.task.gives, (each.value for each in put.expected), strict=True))
        return Counterexample(self.task.call, put.arguments, self.came(put), right)

    def came(self, put: Put) -> dict[str, NDArray[Any]]:
        """The results by their names."""
        return dict(zip(self.task.gives, put.outcome.arrays, strict=True))

    def too_much_memory(self) -> Verdict | None:
        """Measure, where memory was promised."""
        memory = self.task.memory
        if memory is None:
            return None
        question = Question(memory.draw, memory.draw.sizes, 7)
        outcome = self.asked.ask(self.task, question.arguments, measured=True)
        if outcome.trouble is not None:
            return Verdict(False, f"{outcome.says} That was at {where(question)}.")
        peak = outcome.peak_bytes or 0
        if peak <= memory.most_bytes:
            return None
        measured = (
            f"{peak / 2**20:.1f} MiB were held at once, where {memory.most_bytes / 2**20:.1f} MiB are enough"
        )
        return Verdict(False, f"{self.task.name}: {memory.says} At {where(question)} {measured}.")

    def audited(self) -> Verdict | None:
        """Ask the library's audit, where the task has one."""
        if self.task.audited is None:
            return None
        report = self.task.audited(self.answer)
        if report.ok:
            return None
        finding = report.findings[0]
        cause = "" if finding.cause is None else f" It {finding.cause.replace('agrees with:', 'looks like')}."
        says = f"{self.task.name}: {finding.sentence}.{cause}"
        if finding.counterexample is None:
            return Verdict(False, says)
        arrays = finding.counterexample.arrays
        names = {"query": "query", "key": "key", "value": "value", "visible": "mask"}
        given = {name: arrays[theirs] for name, theirs in names.items() if theirs in arrays}
        came = {name: arrays[name] for name in ("output",) if name in arrays}
        right = {name: arrays[f"expected_{name}"] for name in ("output",) if f"expected_{name}" in arrays}
        return Verdict(False, says, Counterexample(self.task.call, given, came, right))

    def answer(self, *arguments: Any) -> Any:
        """The learner's function as the audit calls it.

        Errors
            NoAnswerError for whatever keeps it from answering.
        """
        outcome = self.asked.ask(self.task, dict(zip(self.task.takes, arguments, strict=True)))
        if outcome.trouble is not None:
            raise NoAnswerError(outcome.says)
        return outcome.arrays[0]


class NoAnswerError(Exception):
    """What a call came to that gave no result."""


@dataclass
class Step:
    """A simpler question, which whoever tries it keeps or not."""

    question: Question
    kept: bool = False

    def keep(self, good: bool) -> bool:
        """Go on from here, if it is good."""
        self.kept = good
        return good


def judgement(task: Task, arguments: Arguments, came: Arrays) -> str | None:
    """A task's own judgement of results that nobody expected."""
    assert task.judged is not None
    try:
        return task.judged(arguments, came)
    except at.AttentionError as error:
        return f"these arrays are none that can be attended to: {error}"


def alike(mistake: Mistake, put: Put) -> bool:
    """Whether an answer is what this mistake gives."""
    return agree(mistake, put.arguments, put.outcome.arrays)


def alike_in_words(one: Outcome, other: Outcome) -> bool:
    """Whether two troubles are the same one, at whatever sizes."""
    numberless = [re.sub(r"\d+(, *)?", "", each.says) for each in (one, other)]
    return one.trouble == other.trouble and numberless[0] == numberless[1]


def constant(put: list[Put]) -> bool:
    """Whether all answers are the same, although the right ones are not."""
    came = {repr([array.tolist() for array in each.outcome.arrays]) for each in put}
    right = {repr([part.value.tolist() for part in each.expected]) for each in put}
    return len(put) > 1 and len(came) == 1 and len(right) > 1
