"""State that outlives a generation: later, freed, concurrent and uncached calls must not depend on it."""

from collections.abc import Callable

from attnscope.audit.models.probes.cache_changes import FIXES, STALE, Trail, prefill, tokens, walked
from attnscope.audit.models.scenario import Scenario
from attnscope.audit.models.session import Session
from attnscope.audit.models.setting import Setting, finding_of, token_in_words
from attnscope.probing import Finding, Severity


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
