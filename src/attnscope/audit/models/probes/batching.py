"""A row's logits do not depend on the other rows, on how many there are, nor on where it stands among them."""

import numpy as np

from attnscope.audit.models.question import Question, Where
from attnscope.audit.models.scenario import Scenario
from attnscope.audit.models.setting import Setting, finding_of, leak_of, token_in_words
from attnscope.probing import Finding, Severity

CHECK = "batch invariance"
FIX = "Keep the batch axis apart in every reshape, mask and reduction: a row is a sequence of its own."


def scenarios(setting: Setting) -> list[Scenario]:
    found = [Scenario((length,) * rows, mask=mask) for length, rows in ((1, 2), (2, 2), (3, 3), (4, 4), (5, 2), (7, 5))
             for mask in ("none", "int")]  # fmt: skip
    found += [Scenario((length,) * 2) for length in (37, 70, 140)]
    if setting.claims.documents:
        found += [Scenario((7,) * 3, documents=(3, 4))]
    return found


def look(setting: Setting, scenario: Scenario) -> Finding | None:
    """Other rows' tokens, then their number, then their order."""
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
            return leak_of(CHECK, sentence, scenario, (question, changed), (base, answer), move, None, FIX)
    return None


def alone(setting: Setting, scenario: Scenario, question: Question) -> Finding | None:
    """Each row beside the others, and alone: equal up to rounding."""
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
                CHECK, Severity.WRONG,
                f"the logits of {token_in_words(question, row, move.slot)} differ by {move.size:.2g} from those of the "
                f"same row alone, in {scenario.words}", scenario, question,
                {"logits": whole, "logits_alone": single}, {"row": row, "token": move.slot},
                "rows of the batch that are left at zero" if zeros else None, FIX,
            )  # fmt: skip
    return None
