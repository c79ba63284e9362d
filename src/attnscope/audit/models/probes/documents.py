"""Packed documents do not know of each other: each has the logits that it has alone."""

import numpy as np

from attnscope.audit.models.question import Question
from attnscope.audit.models.rounding import distances
from attnscope.audit.models.scenario import Scenario
from attnscope.audit.models.setting import Setting, finding_of, leak_of
from attnscope.probing import Finding, Severity

CHECK = "documents"
ISOLATE = "Let a token see tokens of its own document only, in every layer and on every path."
RESTART = "Count positions from each document's first token."


def content(setting: Setting, scenario: Scenario) -> Finding | None:
    """Change one document: the others may not move."""
    question = setting.build(scenario)
    if question.documents is None or len(scenario.documents) < 2:
        return None
    base = setting.ask(question, scenario)
    for changed in range(len(scenario.documents)):
        inside = question.documents == changed
        other = question.changed(inside, setting.claims)
        answer = setting.ask(other, scenario)
        move = setting.moved(base, answer, question.real & ~inside)
        if move is not None and base is not None and answer is not None:
            sentence, cause = f"document {changed} changes", ignored(setting, question)
            return leak_of(CHECK, sentence, scenario, (question, other), (base, answer), move, cause, ISOLATE)
    return None


def ignored(setting: Setting, question: Question) -> str | None:
    """Whether the last token sees all documents."""
    base = setting.ask(question)
    for slot in range(min(question.real.shape[1], 12)):
        where = np.zeros_like(question.real)
        where[:, slot] = True
        answer = setting.ask(question.changed(where, setting.claims))
        if base is None or answer is None or not distances(base, answer)[:, -1].all():
            return None
    return "documents ignored"


def invariance(setting: Setting, scenario: Scenario) -> Finding | None:
    """Each document packed, and alone."""
    question = setting.build(scenario)
    if question.documents is None or len(scenario.documents) < 2:
        return None
    packed = setting.ask(question, scenario)
    if packed is None:
        return None
    for document in range(len(scenario.documents)):
        slots = np.flatnonzero(question.documents[0] == document)
        single = Question(
            question.token_ids[:1, slots], question.real[:1, slots], None, np.zeros((1, len(slots)), np.int64)
        )
        alone = setting.ask(single)
        move = setting.differ(alone, packed[:1, slots], single.real)
        if move is not None and alone is not None:
            lone = setting.differ(alone[:, :1], packed[:1, slots[:1]], single.real[:, :1]) is not None
            return finding_of(
                CHECK, Severity.WRONG,
                f"the logits of token {move.slot} of document {document} differ by {move.size:.2g} from those of the "
                f"same document alone, in {scenario.words}", scenario, question,
                {"logits": packed, "logits_alone": alone}, {"document": document, "token": move.slot},
                "positions that go on from one document to the next" if lone and document else None,
                RESTART if lone and document else ISOLATE,
            )  # fmt: skip
    return None


def renamed(setting: Setting, scenario: Scenario) -> Finding | None:
    """Other numbers for the same documents change nothing."""
    question = setting.build(scenario)
    if question.documents is None or len(scenario.documents) < 2:
        return None
    base = setting.ask(question, scenario)
    others = Question(
        question.token_ids, question.real, question.attention_mask, 7 - 2 * question.documents + 60
    )
    answer = setting.ask(others)
    move = setting.moved(base, answer, question.real)
    if move is None or base is None or answer is None:
        return None
    return finding_of(
        CHECK, Severity.WRONG,
        f"the logits of token {move.slot} move by {move.size:.2g} when the documents are numbered otherwise, in "
        f"{scenario.words}", scenario, others, {"logits_before": base, "logits_after": answer},
        {"row": move.row, "token": move.slot}, "documents whose numbers are counted on to be 0, 1, 2, ...",
        "Compare documents for equality only.",
    )  # fmt: skip
