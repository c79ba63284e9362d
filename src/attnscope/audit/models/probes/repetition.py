"""The same question twice gives the same logits; calls share no state, rows are independent."""

from typing import Any

import numpy as np

from attnscope.audit.models.question import Question, Scenario, Where
from attnscope.audit.models.setting import Setting, finding_of, leak_of, token_in_words
from attnscope.audit.models.subject import Floats, distances
from attnscope.probing import Finding, NoAnswer, Severity, random_states

CHECK = "determinism"
REPEATS = 3


def scenarios(setting: Setting) -> list[Scenario]:
    found = [Scenario((5,), mask="none"), Scenario((7,) * 3), Scenario((37,) * 2)]
    if setting.claims.padding:
        found.append(Scenario((7, 4, 2), setting.claims.padding))
    return [each for each in found if each.width <= setting.longest]


def differing(
    setting: Setting,
    scenario: Scenario,
    question: Question,
    answers: tuple[Floats, Floats],
    when: str,
    cause: str,
    fix: str,
) -> Finding | None:
    """A finding of two answers to one question: wrong if they differ by more than rounding."""
    first, second = answers
    if not distances(first, second)[question.real].any():
        return None
    wrong = setting.rounding.move(first, second, question.real, same_shape=True) is not None
    by = "by more than rounding" if wrong else "in their last bits"
    return finding_of(
        CHECK,
        Severity.WRONG if wrong else Severity.UNSTABLE,
        f"the same call gives other logits {when}, different {by}, in {scenario.words}",
        scenario,
        question,
        {"logits": first, "logits_later": second},
        None,
        cause,
        fix,
    )


def again(setting: Setting, scenario: Scenario) -> Finding | None:
    """The same call, several times in a row."""
    question = setting.build(scenario)
    first = setting.ask(question, scenario)
    for _ in range(REPEATS):
        later = setting.ask(question, scenario)
        if first is None or later is None:
            return None
        found = differing(
            setting,
            scenario,
            question,
            (first, later),
            "when it is repeated",
            "random numbers, such as dropout that is still on, or sums whose order depends on threads",
            "Switch dropout off (eval mode), and sum in a fixed order.",
        )
        if found is not None:
            return found
    return None


def after_others(setting: Setting, scenario: Scenario) -> Finding | None:
    """Repeat a call after calls with other tokens, lengths and numbers of rows."""
    question = setting.build(scenario)
    first = setting.ask(question, scenario)
    rows, length = len(scenario.lengths), max(scenario.lengths)
    for other in (
        scenario.but(seed=9),
        Scenario((length + 3,) * (rows + 1), seed=5),
        Scenario((1,), mask="none"),
    ):
        setting.ask(setting.build(other))
        later = setting.ask(question, scenario)
        if first is None or later is None:
            return None
        found = differing(
            setting,
            scenario,
            question,
            (first, later),
            "after other calls",
            "state kept from an earlier call",
            "Keep no state between calls, or key it by everything that it depends on.",
        )
        if found is not None:
            return found
    return None


def kept_arrays(setting: Setting, scenario: Scenario) -> Finding | None:
    """Logits that were returned must not change, and the caller may reuse its arrays."""
    question, other = setting.build(scenario), setting.build(scenario.but(seed=9))
    subject = setting.subject
    arrays = {name: array.copy() for name, array in question.named_arrays().items()}
    arguments: list[Any] = [arrays["token_ids"], arrays.get("attention_mask")]
    arguments += [arrays["documents"]] if "documents" in arrays else []
    shape = question.token_ids.shape

    def kept() -> tuple[Any, Floats]:
        returned = subject.logits_fn(*arguments)
        return returned, subject.read(returned, shape)

    def again(returned: Any) -> Floats:
        subject.logits_fn(other.token_ids.copy(), *arguments[1:])
        return subject.read(returned, shape)

    try:
        returned, before = subject.run(kept, question)
        after = subject.run(lambda: again(returned), other)
        if any(not np.array_equal(arrays[name], array) for name, array in question.named_arrays().items()):
            return None  # inputs were written to, which another check reports
        arrays["token_ids"][...] = other.token_ids
        reused = subject.run(lambda: subject.read(subject.logits_fn(*arguments), shape), other)
    except NoAnswer:
        return None
    if distances(before, after).any():
        return finding_of(
            "mutation",
            Severity.WRONG,
            f"logits that were returned change when the model is called again, in {scenario.words}",
            scenario,
            question,
            {"logits": before, "logits_later": after},
            None,
            "logits that are a view of a buffer which the next call writes to",
            "Return an array of its own for each call.",
        )
    fresh = setting.ask(other)
    if fresh is None:
        return None
    return differing(
        setting,
        scenario,
        other,
        (fresh, reused),
        "if its arrays were used in an earlier call",
        "state kept from an earlier call by the identity of its arrays",
        "Keep no state between calls, or key it by content.",
    )


def drawn_numbers(setting: Setting, scenario: Scenario) -> Finding | None:
    """A call must not draw from the global random states."""
    question = setting.build(scenario)
    before = random_states()
    if setting.ask(question) is None or random_states() == before:
        return None
    return finding_of(
        CHECK,
        Severity.UNSTABLE,
        f"a call draws from the global random state, in {scenario.words}",
        scenario,
        question,
        None,
        None,
        "dropout, or random numbers that are not used",
        "Draw no random numbers, or use a generator of your own.",
    )


# rows of a batch

OF_BATCHES = "batch invariance"
FIX_OF_BATCHES = (
    "Keep the batch axis apart in every reshape, mask and reduction: a row is a sequence of its own."
)


def batches(setting: Setting) -> list[Scenario]:
    found = [
        Scenario((length,) * rows, mask=mask)
        for length, rows in ((1, 2), (2, 2), (3, 3), (4, 4), (5, 2), (7, 5))
        for mask in ("none", "int")
    ]
    found += [Scenario((length,) * 2) for length in (37, 70, 140)]
    if setting.claims.documents:
        found += [Scenario((7,) * 3, documents=(3, 4))]
    return found


def in_batches(setting: Setting, scenario: Scenario) -> Finding | None:
    """Change other rows' tokens, then ask each row alone."""
    if len(scenario.lengths) < 2:
        return None
    question = setting.build(scenario)
    return other_rows(setting, scenario, question) or alone(setting, scenario, question)


def row_only(question: Question, row: int) -> Where:
    where = np.zeros_like(question.real)
    where[row] = question.real[row]
    return where


def other_rows(setting: Setting, scenario: Scenario, question: Question) -> Finding | None:
    base = setting.ask(question, scenario)
    rows = range(len(question.real))
    for changed_row in {0, len(rows) - 1}:
        changed = question.changed(row_only(question, changed_row), setting.claims)
        answer = setting.ask(changed, scenario)
        move = setting.moved(base, answer, question.real & ~row_only(question, changed_row))
        if move is not None and base is not None and answer is not None:
            sentence = f"the tokens of row {changed_row} change"
            return leak_of(
                OF_BATCHES,
                sentence,
                scenario,
                (question, changed),
                (base, answer),
                move,
                None,
                FIX_OF_BATCHES,
            )
    return None


def alone(setting: Setting, scenario: Scenario, question: Question) -> Finding | None:
    """Compare each row beside the others with the same row alone: equal up to rounding."""
    whole = setting.ask(question, scenario)
    if whole is None:
        return None
    for row in range(len(question.real)):
        single = setting.ask(question.rows([row]), scenario)
        if single is None:
            continue
        where = question.real[row : row + 1]
        move = setting.differ(single, whole[row : row + 1], where)
        if move is not None:
            zeros = not whole[row].any()
            return finding_of(
                OF_BATCHES,
                Severity.WRONG,
                f"the logits of {token_in_words(question, row, move.slot)} differ by {move.size:.2g} from "
                f"those of the same row alone, in {scenario.words}",
                scenario,
                question,
                {"logits": whole, "logits_alone": single},
                {"row": row, "token": move.slot},
                "rows of the batch that are never written" if zeros else None,
                FIX_OF_BATCHES,
            )
    return None
