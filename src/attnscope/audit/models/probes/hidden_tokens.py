"""No token's logits may move when a later token, or a token of another document, changes."""

import numpy as np

from attnscope.audit.models.question import Question, Scenario, Where
from attnscope.audit.models.setting import Setting, finding_of, leak_of
from attnscope.audit.models.subject import distances
from attnscope.probing import Finding, Severity

FIX = "Let token i see tokens 0 to i only: join the causal mask and every other mask by `and`."
NEAREST = 12
LONG_ENOUGH = 12  # tokens of a row in which "all" and "one too many" differ


def cuts(scenario: Scenario, prefix: int) -> list[int]:
    """The last tokens before a cut, behind which all tokens change."""
    last = max(scenario.lengths) - 2
    tried = {0, last // 3, last // 2, last} if last < 60 else {last // 3, last // 2 + 1, last}
    return sorted({max(each, prefix - 1) for each in tried if last >= 0 and max(each, prefix - 1) <= last})


def hidden_from(question: Question, cut: int) -> tuple[Where, Where]:
    """The slots up to a token, and the slots after it, in all rows."""
    places = question.places
    return question.real & (places <= cut), question.real & (places > cut)


def look(setting: Setting, scenario: Scenario) -> Finding | None:
    """Change all tokens after a cut: no earlier token may move."""
    question = setting.build(scenario)
    base = setting.ask(question, scenario)
    for cut in cuts(scenario, setting.claims.prefix or 0):
        seen, later = hidden_from(question, cut)
        changed = question.changed(later, setting.claims, cut)
        answer = setting.ask(changed, scenario)
        move = setting.moved(base, answer, seen)
        if move is not None and base is not None:
            return leak(setting, scenario, question, move.row, cut)
    return None


def leak(setting: Setting, scenario: Scenario, question: Question, row: int, cut: int) -> Finding | None:
    """The finding of a leak, with the single token that is seen if there is one."""
    base = setting.ask(question)
    if base is None:
        return None
    seen, later = hidden_from(question, cut)
    slots = np.flatnonzero(later[row])
    some = dict.fromkeys([*slots[:NEAREST], *slots[-1:], *slots[len(slots) // 2 :][:1]])
    tried = [*(np.array([slot]) for slot in some), slots] if len(slots) else []
    own = np.zeros_like(seen)
    own[row] = seen[row]
    for each in tried:
        where = np.zeros_like(seen)
        where[row, each] = True
        answer = setting.ask(question.changed(where, setting.claims))
        move = setting.moved(base, answer, own)
        if move is not None and answer is not None:
            first = int(question.places[row, each[0]])
            changed = f"token {first} changes" if len(each) == 1 else f"the tokens from {first} on change"
            return leak_of(
                "dependence",
                changed,
                scenario,
                (question, question.changed(where, setting.claims)),
                (base, answer),
                move,
                cause_of(setting, scenario, question, row),
                FIX,
            )
    everywhere = question.changed(later, setting.claims, cut)
    answer = setting.ask(everywhere)
    move = setting.moved(base, answer, seen)
    if move is None or answer is None:
        return None
    changed = f"the tokens after token {cut} of all rows change"
    return leak_of("dependence", changed, scenario, (question, everywhere), (base, answer), move, None, FIX)


def leaks(setting: Setting, scenario: Scenario) -> bool:
    """Whether the future leaks in this scenario."""
    question = setting.build(scenario)
    base = setting.ask(question, scenario)
    for cut in cuts(scenario, setting.claims.prefix or 0):
        seen, later = hidden_from(question, cut)
        if setting.moved(base, setting.ask(question.changed(later, setting.claims, cut)), seen) is not None:
            return True
    return False


def cause_of(setting: Setting, scenario: Scenario, question: Question, row: int) -> str | None:
    """A known mistake that leaks in the same scenarios and shows the same tokens."""
    longest = (max(scenario.lengths),) * len(scenario.lengths)
    if scenario.padded and not leaks(setting, Scenario(longest, seed=scenario.seed)):
        return "a padding mask that replaces the causal mask"
    if not scenario.padded and scenario.mask != "none" and not leaks(setting, scenario.but(mask="none")):
        return "causal dropped if an attention mask is given"
    if scenario.mask == "none" and not leaks(setting, scenario.but(mask="int")):
        return "causal applied only if an attention mask is given"
    length = max(LONG_ENOUGH, max(scenario.lengths))
    longer = (
        scenario.but(lengths=(length,) * len(scenario.lengths), side=None, extra=0)
        if not scenario.documents
        else scenario
    )
    return shape_of(*seen_by(setting, setting.build(longer if length <= setting.longest else scenario), row))


def seen_by(setting: Setting, question: Question, row: int) -> tuple[int, list[int], int]:
    """An early token, the later tokens that it sees, and the last token that was tried."""
    slots = np.flatnonzero(question.real[row])
    base = setting.ask(question)
    token, found = max((setting.claims.prefix or 1) - 1, min(1, len(slots) - 2)), list[int]()
    own = np.zeros_like(question.real)
    own[row, slots[token]] = True
    for place in range(token + 1, min(len(slots), token + 40)):
        where = np.zeros_like(question.real)
        where[row, slots[place]] = True
        if setting.moved(base, setting.ask(question.changed(where, setting.claims)), own) is not None:
            found.append(place)
    return token, found, min(len(slots), token + 40) - 1


def shape_of(token: int, seen: list[int], last: int) -> str | None:
    """The mistake that shows these tokens, in words."""
    if not seen:
        return None
    if seen == list(range(token + 1, last + 1)) and last > token + 1:
        return "causal ignored: every token sees the future"
    if seen[0] == token + 1 and max(seen) < last:
        return "a causal mask that shows one token too many, in each layer"
    return None


# packed documents

OF_DOCUMENTS = "documents"
ISOLATE = "Let a token see tokens of its own document only, in every layer and on every path."
RESTART = "Count positions from each document's first token."


def other_documents(setting: Setting, scenario: Scenario) -> Finding | None:
    """Change one document: the others must not move."""
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
            return leak_of(
                OF_DOCUMENTS, sentence, scenario, (question, other), (base, answer), move, cause, ISOLATE
            )
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


def packed_and_alone(setting: Setting, scenario: Scenario) -> Finding | None:
    """Compare each document in its packed row with the same document alone."""
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
                OF_DOCUMENTS,
                Severity.WRONG,
                f"the logits of token {move.slot} of document {document} differ by {move.size:.2g} from "
                f"those of the same document alone, in {scenario.words}",
                scenario,
                question,
                {"logits": packed, "logits_alone": alone},
                {"document": document, "token": move.slot},
                "positions that continue from one document to the next" if lone and document else None,
                RESTART if lone and document else ISOLATE,
            )
    return None


def renamed(setting: Setting, scenario: Scenario) -> Finding | None:
    """Give the same documents other numbers: nothing may change."""
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
        OF_DOCUMENTS,
        Severity.WRONG,
        f"the logits of token {move.slot} move by {move.size:.2g} when the documents get other numbers, in "
        f"{scenario.words}",
        scenario,
        others,
        {"logits_before": base, "logits_after": answer},
        {"row": move.row, "token": move.slot},
        "documents whose numbers are assumed to be 0, 1, 2, ...",
        "Compare documents for equality only.",
    )
