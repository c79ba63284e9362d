"""The same question twice: the same logits, whatever was asked between, and nothing drawn, kept or handed out twice."""

from typing import Any

import numpy as np

from attnscope.audit.models.question import Question
from attnscope.audit.models.rounding import Floats, distances
from attnscope.audit.models.scenario import Scenario
from attnscope.audit.models.setting import Setting, finding_of
from attnscope.probing import Finding, NoAnswer, Severity, random_states

CHECK = "determinism"
REPEATS = 3


def scenarios(setting: Setting) -> list[Scenario]:
    found = [Scenario((5,), mask="none"), Scenario((7,) * 3), Scenario((37,) * 2)]
    if setting.claims.padding:
        found.append(Scenario((7, 4, 2), setting.claims.padding))
    return [each for each in found if each.width <= setting.longest]


def differing(
    setting: Setting, scenario: Scenario, question: Question, answers: tuple[Floats, Floats], when: str,
    cause: str, fix: str,
) -> Finding | None:  # fmt: skip
    """Two answers to one question: wrong where rounding does not explain it."""
    first, second = answers
    if not distances(first, second)[question.real].any():
        return None
    wrong = setting.rounding.move(first, second, question.real, same_shape=True) is not None
    by = "by more than rounding" if wrong else "in their last bits"
    return finding_of(
        CHECK, Severity.WRONG if wrong else Severity.UNSTABLE,
        f"the same call gives other logits {when}, {by}, in {scenario.words}", scenario, question,
        {"logits": first, "logits_later": second}, None, cause, fix,
    )  # fmt: skip


def again(setting: Setting, scenario: Scenario) -> Finding | None:
    """The same call, several times in a row."""
    question = setting.build(scenario)
    first = setting.ask(question, scenario)
    for _ in range(REPEATS):
        later = setting.ask(question, scenario)
        if first is None or later is None:
            return None
        found = differing(
            setting, scenario, question, (first, later), "the next time",
            "something random, as dropout that is not switched off, or sums in an order that threads decide",
            "Switch dropout off (eval mode), and sum in a fixed order.",
        )  # fmt: skip
        if found is not None:
            return found
    return None


def after_others(setting: Setting, scenario: Scenario) -> Finding | None:
    """Calls of other tokens, other lengths and another number of rows between."""
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
            setting, scenario, question, (first, later), "after other calls", "something kept from an earlier call",
            "Keep nothing between calls, or key it by all that it depends on.",
        )  # fmt: skip
        if found is not None:
            return found
    return None


def kept_arrays(setting: Setting, scenario: Scenario) -> Finding | None:
    """Logits that were handed out do not change, and arrays may be filled anew by the caller."""
    question, other = setting.build(scenario), setting.build(scenario.but(seed=9))
    subject = setting.subject
    arrays = {name: array.copy() for name, array in question.named_arrays().items()}
    arguments: list[Any] = [arrays["token_ids"], arrays.get("attention_mask")]
    arguments += [arrays["documents"]] if "documents" in arrays else []
    try:
        returned = subject.run(lambda: subject.logits_fn(*arguments), question)
        before = subject.read(returned, question.token_ids.shape)
        subject.run(lambda: subject.logits_fn(other.token_ids.copy(), *arguments[1:]), other)
        after = subject.read(returned, question.token_ids.shape)
        if any(not np.array_equal(arrays[name], array) for name, array in question.named_arrays().items()):
            return None  # inputs were written to, which is told elsewhere
        arrays["token_ids"][...] = other.token_ids
        reused = subject.read(
            subject.run(lambda: subject.logits_fn(*arguments), other), question.token_ids.shape
        )
    except NoAnswer:
        return None
    if distances(before, after).any():
        return finding_of(
            "mutation", Severity.WRONG, f"logits that were returned change when the model is called again, in "
            f"{scenario.words}", scenario, question, {"logits": before, "logits_later": after}, None,
            "logits that are a view of a buffer which the next call writes to", "Return an array of its own for each call.",
        )  # fmt: skip
    fresh = setting.ask(other)
    if fresh is None:
        return None
    return differing(
        setting, scenario, other, (fresh, reused), "when its arrays were used in an earlier call",
        "something kept from an earlier call by the identity of its arrays", "Keep nothing between calls, or key it by content.",
    )  # fmt: skip


def drawn_numbers(setting: Setting, scenario: Scenario) -> Finding | None:
    """The global random states are left alone."""
    question = setting.build(scenario)
    before = random_states()
    if setting.ask(question) is None or random_states() == before:
        return None
    return finding_of(
        CHECK, Severity.UNSTABLE, f"a call draws from the global random state, in {scenario.words}", scenario, question,
        None, None, "dropout, or random numbers that are not used",
        "Draw nothing where nothing is random, or from a generator of one's own.",
    )  # fmt: skip


def noise_of(setting: Setting) -> float:
    """The largest difference, relative to the largest logit, that another order of the same sums makes."""
    noise = 0.0
    for length in (3, 8, min(37, setting.longest)):
        single = setting.build(Scenario((length,)))
        base = setting.ask(single)
        if base is None or not np.isfinite(base).all() or not base.any():
            continue
        scale = float(np.abs(base).max())
        for rows in (2, 3, 8):
            copies = setting.ask(single.rows([0] * rows))
            if copies is not None:
                noise = max(noise, *(rounding_only(base[0], each, scale) for each in copies))
    return noise


def rounding_only(first: Floats, second: Floats, scale: float) -> float:
    """A relative difference, as far as it may be rounding: less than the square root of float32's unit."""
    size = float(distances(first, second).max()) / scale
    return size if size < 2.0**-12 else 0.0
