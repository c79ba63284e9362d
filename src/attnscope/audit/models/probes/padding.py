"""Padding has no effect: the logits of a padded row are those of the same row alone."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from attnscope.audit.models.question import Question, Scenario, Where, mask_of
from attnscope.audit.models.setting import Setting, finding_of, leak_of, token_in_words
from attnscope.audit.models.subject import Floats, distances
from attnscope.probing import Finding, Severity

CHECK = "padding invariance"
HIDE = "Hide padded slots as keys in every layer and in every branch, in each row by its own mask."
SHIFT = "Count positions from each row's first real token, as cumsum(attention_mask) - 1 does."


def content(setting: Setting, scenario: Scenario) -> Finding | None:
    """Change the tokens in padded slots: no real token may move."""
    if not scenario.padded:
        return None
    question = setting.build(scenario)
    base = setting.ask(question, scenario)
    for draw in range(2):
        changed = question.changed(~question.real, setting.claims, draw)
        answer = setting.ask(changed, scenario)
        move = setting.moved(base, answer, question.real)
        if move is not None and base is not None and answer is not None:
            return leak_of(
                CHECK,
                "only padded slots change",
                scenario,
                (question, changed),
                (base, answer),
                move,
                mask_mistake(setting),
                HIDE,
            )
    return None


def invariance(setting: Setting, scenario: Scenario) -> Finding | None:
    """Compare each padded row with the same row alone."""
    if not scenario.padded or (setting.claims.prefix and scenario.side == "left"):
        return None
    question = setting.build(scenario)
    together = setting.ask(question, scenario)
    if together is None:
        return None
    for row, length in enumerate(scenario.lengths):
        single = setting.ask(question.alone(row)) if length else None
        if single is None:
            continue
        real = question.real[row]
        inside = together[row : row + 1, real]
        move = setting.differ(single, inside, np.ones((1, length), bool))
        if move is not None:
            slot = int(np.flatnonzero(real)[move.slot])
            return finding_of(
                CHECK,
                Severity.WRONG,
                f"the logits of {token_in_words(question, row, slot)} differ by {move.size:.2g} from those "
                f"of the same row without padding, in {scenario.words}",
                scenario,
                question,
                {"logits": together, "logits_alone": single},
                {"row": row, "token": move.slot},
                *cause_of(setting, question, inside),
            )
    return None


def cause_of(setting: Setting, question: Question, inside: Floats) -> tuple[str | None, str]:
    """A known mistake that gives the same logits, and its fix."""
    if np.isnan(inside).any():
        return "a fully masked row becomes NaN, and NaN times 0 is NaN in the next layer", (
            "Return 0 if a query sees no key, or let padded queries see themselves."
        )
    found = mask_mistake(setting)
    if found is not None:
        return found, HIDE
    if question.side == "left" and shifted(setting):
        return "positions that count the padded slots", SHIFT
    return (
        None,
        "Join the padding mask and the causal mask by `and`, and count positions of real tokens only.",
    )


def shifted(setting: Setting) -> bool:
    """Whether a row of a single token, which sees only itself, depends on the padding before it."""
    for token in range(3):
        question = setting.build(Scenario((1,), "left", extra=2, seed=token))
        padded, alone = setting.ask(question), setting.ask(question.alone(0))
        if padded is None or alone is None or np.isnan(padded[question.real]).any():
            return False
        if setting.differ(alone, padded[:, -1:], np.ones((1, 1), bool)) is not None:
            return True
    return False


def mask_mistake(setting: Setting) -> str | None:
    """A wrong interpretation of the mask that shows the same slots to each row's last token, or None."""
    claims = setting.claims
    scenario = Scenario((5, 7, 2), claims.padding, extra=1)
    question = setting.build(scenario)
    base, seen = setting.ask(question), np.zeros_like(question.real)
    last = question.places.max(axis=1, keepdims=True)
    own = question.places == last
    for slot in range(scenario.width):
        where = np.zeros_like(seen)
        where[:, slot] = True
        answer = setting.ask(question.changed(where, claims))
        if base is None or answer is None:
            return None
        seen[:, slot] = (distances(base, answer) > 0)[own]
    compared = ~own
    if claims.causal:
        compared &= np.cumsum(own[:, ::-1], axis=1)[:, ::-1] > 0  # causal hides all later slots
    if claims.window is not None:
        slots = np.arange(scenario.width)
        compared &= np.abs(slots - np.argmax(own, axis=1)[:, None]) <= claims.window
    for name, mask in mask_mistakes(question.real):
        differs = not np.array_equal(mask & compared, question.real & compared)
        if differs and np.array_equal(mask & compared, seen & compared):
            return name
    return None


def mask_mistakes(real: Where) -> Iterator[tuple[str, Where]]:
    """Known mistakes about masks, and the mask that each makes of this one."""
    yield "the attention mask ignored", np.ones_like(real)
    yield "the mask of row 0 for every row", np.broadcast_to(real[:1], real.shape).copy()
    yield "the mask of the last row for every row", np.broadcast_to(real[-1:], real.shape).copy()
    yield (
        "a mask filled through a flat buffer, row 0 first",
        (np.arange(real.size) < real.sum()).reshape(real.shape),
    )
    yield "the mask read from the other side", real[:, ::-1].copy()
    yield (
        "the mask shifted by one to the right",
        np.concatenate([np.ones_like(real[:, :1]), real[:, :-1]], axis=1),
    )
    yield (
        "the mask shifted by one to the left",
        np.concatenate([real[:, 1:], np.ones_like(real[:, :1])], axis=1),
    )
    yield "every row padded as the longest", np.broadcast_to(real.any(axis=0), real.shape).copy()
    yield "every row padded as the shortest", np.broadcast_to(real.all(axis=0), real.shape).copy()


def rows_of_padding(setting: Setting, scenario: Scenario) -> Finding | None:
    """A row that is all padding: the others must not depend on it."""
    question = setting.build(scenario)
    whole = setting.ask(question, scenario)
    rest = [row for row, length in enumerate(scenario.lengths) if length]
    if whole is None or len(rest) == len(scenario.lengths) or not rest:
        return None
    without = setting.ask(question.rows(rest))
    move = setting.differ(without, whole[rest], question.real[rest])
    if move is None or without is None:
        return None
    row = rest[move.row]
    return finding_of(
        CHECK,
        Severity.LEAK,
        f"the logits of {token_in_words(question, row, move.slot)} differ by {move.size:.2g} when another "
        f"row is all padding, in {scenario.words}",
        scenario,
        question,
        {"logits": whole, "logits_without_it": without},
        {"row": row},
        None,
        HIDE,
    )


def masks(setting: Setting, scenario: Scenario) -> Finding | None:
    """No mask, a mask of ones, and a mask of True must give the same logits."""
    question = setting.build(scenario.but(mask="none"))
    base = setting.ask(question)
    for kind in ("int", "bool"):
        given = replace(question, attention_mask=mask_of(question.real, kind))
        answer = setting.ask(given, scenario.but(mask=kind))
        move = setting.differ(base, answer, question.real)
        if move is not None and base is not None and answer is not None:
            return finding_of(
                "attention mask",
                Severity.WRONG,
                f"the logits of {token_in_words(question, move.row, move.slot)} differ by "
                f"{move.size:.2g} between no "
                f"attention mask and one of all {'ones' if kind == 'int' else 'True'}, in {scenario.words}",
                scenario,
                given,
                {"logits_without_mask": base, "logits": answer},
                {"row": move.row, "token": move.slot},
                None,
                "Treat no mask, ones and True alike: every token is visible.",
            )
    return None
