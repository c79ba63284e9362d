"""Every token that is visible must matter: hiding too much passes every test for leaks."""

import numpy as np

from attnscope.audit.models.question import Question, Scenario, Where
from attnscope.audit.models.setting import Setting, finding_of
from attnscope.audit.models.subject import Floats, distances
from attnscope.probing import Finding, Severity

SHORTEST_OF_MANY = 30  # from here on only some tokens are changed
DRAWS = 3
OTHER_SEEDS = (101, 102, 103)
REPEATED = 6  # tokens of a row that repeats one token


def scenarios(setting: Setting) -> list[Scenario]:
    claims = setting.claims
    found = [Scenario((length,) * 3, mask=mask) for length in (2, 3, 6) for mask in ("none", "int")]
    found += [Scenario((length,), mask="int") for length in (9, 37, 70, 140, 270)]
    found += [Scenario((9,), mask="none"), Scenario((70,), mask="none")]
    if claims.documents:
        found += [Scenario((sum(each),) * 2, documents=each) for each in ((4,), (3, 4), (5, 6, 4))]
    if claims.padding:
        found += [Scenario((6, 4, 3), claims.padding, extra=1)]
    return found


def expected_to_move(setting: Setting, question: Question, place: int) -> Where:
    """The slots whose logits depend on a token of their row."""
    claims, places = setting.claims, question.places
    moves: Where = question.real & (places >= 0)
    if claims.causal:
        sees = places >= place
        if claims.prefix is not None:
            sees = sees | ((places < claims.prefix) & (place < claims.prefix))
        moves = moves & sees
    if claims.window is not None:
        moves = moves & (np.abs(places - place) <= claims.window)
    if question.documents is not None:
        own = np.where(places == place, question.documents, -1).max(axis=1, keepdims=True)
        moves = moves & (question.documents == own)
    moves &= places.max(axis=1, keepdims=True) >= place
    return moves


def look(setting: Setting, scenario: Scenario) -> Finding | None:
    """Change one token of each row at a time: all tokens that see it must move."""
    question = setting.build(scenario)
    base = setting.ask(question, scenario)
    if base is None or not np.isfinite(base[question.real]).all():
        return None
    last = max(scenario.lengths) - 1
    chosen = range(last + 1) if last < SHORTEST_OF_MANY else sorted({0, last // 3, last - 1})
    for place in chosen:
        expected = expected_to_move(setting, question, place)
        if last >= SHORTEST_OF_MANY:
            expected = expected & ((question.places == last) | (question.places - place == 1))
        dead = expected & ~moved_by(setting, question, base, place, expected)
        if dead.any():
            found = unseen(setting, scenario, question, dead, place)
            if found is not None:
                return found
    return None


def moved_by(setting: Setting, question: Question, base: Floats, place: int, expected: Where) -> Where:
    """The slots that move when a token is replaced by one of several others."""
    moved = np.zeros_like(question.real)
    for draw in range(DRAWS):
        answer = setting.ask(question.changed(question.places == place, setting.claims, draw))
        if answer is None:
            return np.ones_like(moved)
        moved |= distances(base, answer) > 0
        if moved[expected].all():
            break
    return moved


def unseen(
    setting: Setting, scenario: Scenario, question: Question, dead: Where, place: int
) -> Finding | None:
    """The finding of a token that is ignored in all rows: in one row that can be chance."""
    for other in places_of(dead, question):
        rows = [row for row in range(len(dead)) if (question.places[row] == other).any()]
        slots = question.places[rows] == other
        if dead[rows][slots].all() and all(
            unmoved(setting, scenario, place, other, seed) for seed in OTHER_SEEDS
        ):
            return finding_of(
                "dependence",
                Severity.WRONG,
                f"token {other} does not see token {place}: its logits do not change when that token does, "
                f"in {scenario.words}",
                scenario,
                question,
                None,
                {"token": other, "changed": place},
                cause_of(setting, scenario, question, other, place),
                fix_of(setting),
            )
    return None


def unmoved(setting: Setting, scenario: Scenario, place: int, other: int, seed: int) -> bool:
    """Whether the token is ignored with another seed, too, since weights can underflow by chance."""
    question = setting.build(scenario.but(seed=seed))
    base, own = setting.ask(question), question.places == other
    return base is not None and not moved_by(setting, question, base, place, own)[own].any()


def places_of(dead: Where, question: Question) -> list[int]:
    return sorted({int(each) for each in question.places[dead]})


def fix_of(setting: Setting) -> str:
    seen = "tokens 0 ... i" if setting.claims.causal else "every token"
    return f"Let token i see {seen} of its row, its document and its window, and check that it does."


def dead(setting: Setting, place: int, other: int) -> bool:
    """Whether one token does not move another, in a plain row."""
    question = setting.build(Scenario((6,)))
    base, answer = (
        setting.ask(question),
        setting.ask(question.changed(question.places == place, setting.claims)),
    )
    return base is not None and answer is not None and distances(base, answer)[0, other] == 0


def cause_of(setting: Setting, scenario: Scenario, question: Question, other: int, place: int) -> str | None:
    """A known mistake that hides the same tokens."""
    if setting.claims.causal and place <= other:
        if place == other:
            return "a token that does not see itself"
        return "no attention to earlier tokens" if dead(setting, 3, 4) and dead(setting, 1, 5) else None
    if other >= place:
        return None
    if setting.claims.prefix is not None and setting.claims.causal:
        return "a prefix that stays causal" if dead(setting, 1, 0) else "a prefix shorter than declared"
    base = setting.ask(question)
    if base is None:
        return None
    for later in range(1, max(scenario.lengths)):
        answer = setting.ask(question.changed(question.places == later, setting.claims))
        earlier = question.real & (question.places < later)
        if answer is None or (distances(base, answer)[earlier] > 0).any():
            return None
    return "a causal mask in an encoder"


def positions(setting: Setting) -> Finding | None:
    """Absolute positions must matter: a row that repeats one token has other logits at other positions."""
    length = min(REPEATED, setting.longest)
    scenario = Scenario((length,), mask="none")
    question = setting.build(scenario)
    for token in setting.claims.ordinary[:DRAWS]:
        question = question.with_tokens(np.full_like(question.token_ids, token))
        logits = setting.ask(question)
        if logits is None:
            return None
        first = np.broadcast_to(logits[:, :1], logits.shape)
        if setting.differ(first, logits, question.real) is not None:
            return None
    return finding_of(
        "positions",
        Severity.WRONG,
        f"the logits of {length} equal tokens are the same at every position, though the model declares "
        f"positions={setting.claims.positions!r}",
        scenario,
        question,
        None,
        None,
        "positions ignored",
        "Add the position of each token to its embedding.",
    )
