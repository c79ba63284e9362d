"""Side effects of calls: what they leave behind for later ones, and trouble beside the logits.

Later, freed, concurrent and uncached calls must not depend on a generation that has ended or still runs.
No answer, NaN, inputs written to and text printed are recorded in all calls, and reported last.
"""

import re
from collections.abc import Callable

from attnscope.audit.models.probes.cache_changes import FIXES, STALE, Trail, prefill, tokens, walked
from attnscope.audit.models.question import Scenario
from attnscope.audit.models.setting import Setting, finding_of, token_in_words
from attnscope.audit.models.subject import Session, Trouble
from attnscope.probing import Counterexample, Finding, Severity


def after_a_longer_one(path: Trail) -> None:
    """A new generation after one that held more tokens and more rows."""
    setting = path.setting
    longer = Session(setting.subject)
    longer.step(tokens(setting, 5, 2, prefill(setting) + 6))
    longer.step(tokens(setting, 6, 2, 1))
    path.done.append("another, longer generation")
    path.step(tokens(setting, 0, 1, prefill(setting)))
    path.step(tokens(setting, 1, 1, 1))
    path.step(tokens(setting, 2, 1, 2))


def after_freed_ones(path: Trail) -> None:
    """A new generation in memory that earlier ones have freed."""
    setting = path.setting
    for rows in (2, 1):
        gone = Session(setting.subject)
        gone.step(tokens(setting, 8, rows, prefill(setting) + 4))
        gone.step(tokens(setting, 9, rows, 1))
        del gone
    path.done.append("two generations that have ended")
    path.step(tokens(setting, 0, 2, prefill(setting)))
    path.step(tokens(setting, 1, 2, 1))
    path.step(tokens(setting, 2, 2, 2))


def in_turn(path: Trail) -> None:
    """Two generations, step by step in turn."""
    setting, length = path.setting, prefill(path.setting)
    other = Trail(setting, path.check, Session(setting.subject), [])
    for each in (path, other):
        each.done.append("another generation in turn")
    path.step(tokens(setting, 0, 2, length))
    other.step(tokens(setting, 5, 2, length + 2))
    path.step(tokens(setting, 1, 2, 1))
    other.step(tokens(setting, 6, 2, 1))
    path.step(tokens(setting, 2, 2, 2))
    other.step(tokens(setting, 7, 2, 1))
    path.found = path.found or other.found


def sharing(shared: int) -> Callable[[Trail], None]:
    """Return a walk: two generations whose prompts share their first tokens, and which both continue."""

    def walk(path: Trail) -> None:
        setting, length = path.setting, max(shared + 8, prefill(path.setting))
        if length + 2 > setting.longest:
            return
        first, second = tokens(setting, 3, 1, length), tokens(setting, 4, 1, length)
        second[:, :shared] = first[:, :shared]
        other = Trail(setting, path.check, Session(setting.subject), [])
        other.step(first)
        path.done.append(f"another generation whose prompt shares its first {shared} tokens")
        path.step(second)
        other.done.append(path.done[0])
        other.step(tokens(setting, 5, 1, 1))
        path.step(tokens(setting, 6, 1, 1))
        path.found = path.found or other.found

    return walk


def beside_uncached(path: Trail) -> None:
    """An uncached call before, amid and after a generation."""
    setting = path.setting
    question = setting.build(Scenario((prefill(setting) + 2,), mask="int"))
    before = setting.ask(question)
    session = Session(setting.subject)
    session.step(tokens(setting, 0, 1, prefill(setting)))
    answers = [setting.ask(question)]
    session.step(tokens(setting, 1, 1, 1))
    session.step(tokens(setting, 2, 1, 2))
    answers.append(setting.ask(question))
    for answer in answers:
        move = setting.moved(before, answer, question.real)
        if move is not None and before is not None and answer is not None:
            path.found = finding_of(
                STALE,
                Severity.WRONG,
                f"the logits of {token_in_words(question, move.row, move.slot)} of an uncached call differ "
                f"by {move.size:.2g} after a cached generation was begun",
                Scenario((prefill(setting),)),
                question,
                {"logits_before": before, "logits_after": answer},
                {"token": move.slot},
                "positions or keys of a generation that are stored outside of it",
                FIXES[STALE],
            )
            return


WALKS = (after_a_longer_one, after_freed_ones, in_turn, *map(sharing, (6, 13, 31)), beside_uncached)


def stale(setting: Setting) -> Finding | None:
    comparable = not {"cached", "unmasked"} & setting.broken
    for number, walk in enumerate(WALKS if comparable else WALKS[-1:]):
        if setting.subject.given_up:
            return None
        found = walked(setting, STALE, walk, number)
        if found is not None:
            return found
    return None


MOST_KINDS = 4


def found_beside(setting: Setting) -> list[Finding]:
    """One finding per kind of trouble."""
    return [*no_answers(setting), *not_numbers(setting), *mutations(setting), *printing(setting)]


def shown(setting: Setting, trouble: Trouble) -> Counterexample:
    question = trouble.question
    batch, tokens = question.token_ids.shape
    call = f"{batch} row{'s' if batch > 1 else ''} of {tokens} slots{trouble.when}"
    return Counterexample(call, question.named_arrays(), seed=setting.seed)


def size_of(trouble: Trouble) -> int:
    return int(trouble.question.token_ids.size)


def condition(trouble: Trouble) -> str:
    batch, tokens = trouble.question.token_ids.shape
    padded = ", with padding" if not trouble.question.real.all() else ""
    mask = "" if trouble.question.attention_mask is not None else ", without a mask"
    when = trouble.when if trouble.when.startswith(",") else ""
    return f", with token_ids of shape [{batch}, {tokens}]{padded}{mask}{when}"


def no_answers(setting: Setting) -> list[Finding]:
    """Calls without an answer; an error for an unusual question is reported as not covered."""
    kinds: dict[tuple[str, str], list[Trouble]] = {}
    refused: dict[str, str] = {}
    for trouble in setting.subject.troubles:
        unusual = trouble.when and not trouble.when.startswith(",")
        if unusual and trouble.kind == "raised":
            if trouble.when != "a trial":
                refused.setdefault(trouble.sentence, f"{trouble.when}: it {trouble.sentence}")
            continue
        kinds.setdefault((trouble.kind, re.sub(r"[\d.\-]+", "#", trouble.sentence)[:60]), []).append(trouble)
    setting.not_covered += refused.values()
    found = []
    for group in list(kinds.values())[:MOST_KINDS]:
        first = min(group, key=size_of)
        found.append(
            Finding(
                "call",
                Severity.WRONG,
                f"it {first.sentence}{condition(first)}",
                shown(setting, first),
                None,
                "Declare only what the model takes, or make it take what it declares.",
                len(group),
            )
        )
    return found


def not_numbers(setting: Setting) -> list[Finding]:
    if not setting.not_numbers:
        return []
    first = min(setting.not_numbers, key=size_of)
    padded = not first.question.real.all()
    cause = (
        "agrees with: a fully masked row becomes NaN, and NaN times 0 is NaN in the next layer"
        if padded
        else None
    )
    fix = "Return 0 if a query sees no key, or let padded queries see themselves." if padded else None
    return [
        Finding(
            "not a number",
            Severity.WRONG,
            f"{first.sentence}{condition(first)}",
            shown(setting, first),
            cause,
            fix,
            len(setting.not_numbers),
        )
    ]


def mutations(setting: Setting) -> list[Finding]:
    found = setting.subject.mutations
    if not found:
        return []
    first = min(found, key=size_of)
    return [
        Finding(
            "mutation",
            Severity.WRONG,
            f"it writes to its input {first.sentence}{condition(first)}",
            shown(setting, first),
            "agrees with: an operation in place",
            "Work on a copy: if one layer changes a mask, the next layer gets another mask.",
            len(found),
        )
    ]


def printing(setting: Setting) -> list[Finding]:
    question, text = setting.subject.first_print, setting.subject.printed.text
    if question is None or not text.strip():
        return []
    trouble = Trouble(question, "printed", "")
    start = " ".join(text.split())[:60]
    return [
        Finding(
            "side effects",
            Severity.UNSTABLE,
            f"it prints to the standard streams: {start!r}",
            shown(setting, trouble),
            None,
            "Leave printing to the caller.",
        )
    ]
