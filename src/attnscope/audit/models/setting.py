"""What all probes of a model share: the subject, its rounding, broken contexts, and what was not covered."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from attnscope.audit.models.claims import ModelClaims
from attnscope.audit.models.question import Question, Scenario, Where, build, smaller
from attnscope.audit.models.subject import Floats, Move, Rounding, Subject, Trouble
from attnscope.probing import Counterexample, Finding, Severity

MOST_TRIES = 60


@dataclass(eq=False)
class Setting:
    """The state of one audit.

    Parameters
    ----------
    subject : Subject
        The model under audit.
    seed : int
        Determines every question.
    rounding : Rounding
        What counts as rounding.
    lengths : tuple of int
        Row lengths that the model takes, as far as time permits.
    broken : set of str
        Contexts whose answers are known to be wrong: "plain", "batched", "padded", ...
    not_covered : list of str
        Sentences for the report.
    not_numbers : list of Trouble
        Questions whose real tokens have NaN logits.
    """

    subject: Subject
    seed: int
    rounding: Rounding
    lengths: tuple[int, ...] = (8,)
    broken: set[str] = field(default_factory=set)
    not_covered: list[str] = field(default_factory=list)
    not_numbers: list[Trouble] = field(default_factory=list)

    @property
    def claims(self) -> ModelClaims:
        return self.subject.claims

    @property
    def longest(self) -> int:
        return max(self.lengths)

    def build(self, scenario: Scenario) -> Question:
        return build(scenario, self.claims)

    def ask(self, question: Question, scenario: Scenario | None = None) -> Floats | None:
        """The logits of a question; NaN logits of real tokens are recorded."""
        when = "" if scenario is None else scenario.unusual or ""
        logits = self.subject.ask(question, when)
        if logits is not None:
            self.watch(question, logits)
        return logits

    def watch(self, question: Question, logits: Floats, when: str = "") -> None:
        """Record NaN logits of real tokens."""
        broken = np.isnan(logits).any(axis=-1) & question.real
        if broken.any():
            row, slot = (int(each) for each in np.argwhere(broken)[0])
            sentence = f"the logits of {token_in_words(question, row, slot)} are NaN"
            self.not_numbers.append(Trouble(question, "NaN", sentence, when))

    def moved(self, first: Floats | None, second: Floats | None, where: Where) -> Move | None:
        """The first slot in which answers of one shape differ beyond rounding, or None."""
        if first is None or second is None:
            return None
        return self.rounding.move(first, second, where, same_shape=True)

    def differ(self, first: Floats | None, second: Floats | None, where: Where) -> Move | None:
        """The first slot in which answers of different shapes differ beyond rounding, or None."""
        if first is None or second is None:
            return None
        return self.rounding.move(first, second, where, same_shape=False)

    def usable(self, scenarios: Iterable[Scenario], *, even_spoiled: bool = False) -> list[Scenario]:
        """The scenarios that the model takes, that there is time for, and whose context is not broken."""
        taken = [each for each in scenarios if each.width <= self.longest]
        return [each for each in taken if even_spoiled or not self.spoiled(each)]

    def spoiled(self, scenario: Scenario) -> bool:
        """Whether a scenario's context is known to give wrong answers."""
        batched = "batched" in self.broken and len(scenario.lengths) > 1
        padded = "padded" in self.broken and scenario.padded
        return batched or padded or "plain" in self.broken


def finding_of(  # noqa: PLR0913  # everything that a finding contains
    check: str,
    severity: Severity,
    sentence: str,
    scenario: Scenario,
    question: Question,
    answers: dict[str, Floats] | None = None,
    indices: dict[str, int] | None = None,
    cause: str | None = None,
    fix: str | None = None,
) -> Finding:
    """A finding with the question that shows it."""
    shown = Counterexample(
        str(scenario), question.named_arrays(), answers or {}, indices=indices or {}, seed=scenario.seed
    )
    return Finding(check, severity, sentence, shown, None if cause is None else f"agrees with: {cause}", fix)


def leak_of(
    check: str,
    sentence: str,
    scenario: Scenario,
    questions: tuple[Question, Question],
    answers: tuple[Floats, Floats],
    move: Move,
    cause: str | None,
    fix: str,
) -> Finding:
    """A leak: answers to one question before and after hidden tokens changed; `sentence` follows "when"."""
    before, after = questions
    token = token_in_words(before, move.row, move.slot)
    own = (
        ""
        if before.documents is None or check != "documents"
        else f", of document {before.documents[move.row, move.slot]},"
    )
    asked = {"token_ids_before": before.token_ids, **after.named_arrays()}
    came = {"logits_before": answers[0], "logits_after": answers[1]}
    places = {"row": move.row, "slot": move.slot, "token": int(before.places[move.row, move.slot])}
    return Finding(
        check,
        Severity.LEAK,
        f"the logits of {token}{own} move by {move.size:.2g} when {sentence}, in {scenario.words}",
        Counterexample(str(scenario), asked, came, indices=places, seed=scenario.seed),
        None if cause is None else f"agrees with: {cause}",
        fix,
    )


def token_in_words(question: Question, row: int, slot: int) -> str:
    """A token by its number in its row, and the row if there are several."""
    place = int(question.places[row, slot])
    name = f"token {place}" if place >= 0 else f"padded slot {slot}"
    return name if len(question.token_ids) == 1 else f"{name} of row {row}"


Look = Callable[[Setting, Scenario], Finding | None]


def first_found(setting: Setting, scenarios: Iterable[Scenario], look: Look) -> Finding | None:
    """The finding of the first scenario that has one, shrunk."""
    for scenario in scenarios:
        if setting.subject.given_up:
            return None
        found = look(setting, scenario)
        if found is not None:
            return shrunk(setting, scenario, look, found)
    return None


def shrunk(setting: Setting, scenario: Scenario, look: Look, found: Finding) -> Finding:
    """The finding of the smallest scenario that shows the same."""
    tries, again = 0, True
    troubles, numbers = len(setting.subject.troubles), len(setting.not_numbers)
    while again:
        again = False
        for candidate in smaller(scenario):
            tries += 1
            if tries > MOST_TRIES or setting.subject.given_up:
                break
            less = look(setting, candidate)
            if less is not None and (less.check, less.severity) == (found.check, found.severity):
                scenario, found, again = candidate, less, True
                break
    del setting.subject.troubles[troubles:], setting.not_numbers[numbers:]
    return found
