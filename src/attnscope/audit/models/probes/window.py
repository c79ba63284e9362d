"""The reach of a window: n layers that see `window` tokens before their own reach at most n windows back."""

from dataclasses import replace

import numpy as np

from attnscope.audit.models.question import Question, Scenario, Tokens
from attnscope.audit.models.setting import Setting, finding_of
from attnscope.audit.models.subject import Floats, distances
from attnscope.probing import Finding, NoAnswer, Printed, Severity, guarded

CHECK = "window"
DEEPEST = 40  # layers; a model that reaches further back than so many windows has no window
FIX = "Let token i see tokens i - window to i in each layer, with and without a cache."
UNKNOWN_DEPTH = (
    "a window that is too wide, as the number of layers is not given: layers=n determines the reach"
)


def scenarios(setting: Setting) -> list[Scenario]:
    """Rows that are longer than the reach."""
    claims = setting.claims
    assert claims.window is not None
    if claims.layers is not None:
        reach = claims.window * claims.layers
        wanted = [reach + 4, reach + 40, reach + 2]
    else:
        wanted = [max(claims.window, 1) * each + 3 for each in (3, 5, 9, DEEPEST)]
    lengths = [length for length in wanted if length <= setting.longest]
    if not lengths:
        setting.not_covered.append(f"a window of {claims.window}: rows as long as its reach were not asked")
    found = [Scenario((length,), mask=mask) for length in lengths[:3] for mask in ("none", "int")]
    found += [Scenario((length,)) for length in lengths[3:]]
    if claims.padding and lengths:
        found.append(Scenario((lengths[0], lengths[0] - 2), claims.padding))
    return found


def reach_of(setting: Setting, scenario: Scenario) -> int | None:
    """The number of tokens back that the last token of row 0 sees; None if there is no answer."""
    question = setting.build(scenario)
    base = setting.ask(question, scenario)
    last = scenario.lengths[0] - 1
    own = np.zeros_like(question.real)
    own[0] = question.places[0] == last
    inside, outside = (
        0,
        last + 1,
    )  # bisection: the reach is the largest distance at which a change moves the token
    while outside - inside > 1:
        middle = (inside + outside) // 2
        far = np.zeros_like(question.real)
        far[0] = question.real[0] & (last - question.places[0] >= middle)
        answer = setting.ask(question.changed(far, setting.claims))
        if base is None or answer is None:
            return None
        if setting.rounding.move(base, answer, own, same_shape=True) is not None:
            inside = middle
        else:
            outside = middle
    return inside


def first_layer(setting: Setting) -> Finding | None:
    """Check that the first layer's reach is exactly its window, if layers are accessible."""
    window, hidden = setting.subject.first_window, setting.subject.hidden
    if window is None or hidden is None or window + 4 > setting.longest:
        return None
    scenario = Scenario((min(2 * window + 6, setting.longest),))
    question, last = setting.build(scenario), scenario.width - 1
    base = layer_outputs(setting, question)
    moves = []
    for distance in (window, window + 1):
        where = np.zeros_like(question.real)
        where[0, last - distance] = True
        after = layer_outputs(setting, question.changed(where, setting.claims))
        if not base or not after:
            return None
        outputs, own = (base[0][1], after[0][1]), question.places == last
        beyond = setting.rounding.move(*outputs, own, same_shape=True) is not None
        moves.append(beyond if distance > window else bool(distances(*outputs)[own].any()))
    if moves == [True, False]:
        return None
    leaks = moves[1]
    at, does = (window + 1, "sees") if leaks else (window, "does not see")
    return finding_of(
        CHECK,
        Severity.LEAK if leaks else Severity.WRONG,
        f"the first layer, {base[0][0]}, {does} token {last - at} at token {last}, {at} before it, though "
        f"its window is {window}, in {scenario.words}",
        scenario,
        question,
        None,
        {"token": last, "changed": last - at},
        "a window one token too wide" if leaks else "a window one token too narrow",
        FIX,
    )


def layer_outputs(setting: Setting, question: Question) -> list[tuple[str, Floats]]:
    """Each layer's name and output; empty if there is no answer."""
    given = question.named_arrays()
    arguments = [given["token_ids"], given.get("attention_mask")]
    hidden = setting.subject.hidden
    assert hidden is not None
    try:
        found: list[tuple[str, Floats]] = guarded(
            lambda: hidden(*arguments), setting.subject.seconds_per_call, Printed()
        )
    except NoAnswer:
        return []
    return found


def look(setting: Setting, scenario: Scenario) -> Finding | None:
    """Find a reach that is too far; a shorter one is right, as layers may differ."""
    claims, last = setting.claims, scenario.lengths[0] - 1
    assert claims.window is not None
    reach = reach_of(setting, scenario)
    if reach is None or (claims.prefix is not None and last - reach < claims.prefix):
        return None
    allowed, cause = judged(claims.window, claims.layers, reach, last)
    if reach <= allowed:
        return None
    question = setting.build(scenario)
    many = f"{claims.layers} layers reach" if claims.layers else "any number of layers reaches"
    return finding_of(
        CHECK,
        Severity.LEAK,
        f"the logits of token {last} move when token {last - reach} changes, {reach} before it: with a "
        f"window of {claims.window}, {many} {allowed}{'' if claims.layers else ' or less, or further'}, in "
        f"{scenario.words}",
        scenario,
        question,
        None,
        {"token": last, "changed": last - reach},
        cause,
        FIX,
    )


def judged(window: int, layers: int | None, reach: int, last: int) -> tuple[int, str | None]:
    """The permitted reach, and the mistake that has the actual one.

    >>> judged(4, 2, 10, 30), judged(4, None, 10, 30), judged(4, None, 8, 30)
    ((8, 'a window one token too wide'), (8, 'a window one token too wide'), (8, None))
    """
    if layers is not None:
        allowed = window * layers
        wide = reach == (window + 1) * layers
    else:
        ignored = reach == last and last >= DEEPEST * max(window, 1)
        suspicious = window > 0 and reach % window != 0 and reach % (window + 1) == 0 and reach < last
        allowed = 0 if window == 0 else reach // window * window if suspicious or ignored else reach
        if ignored and allowed == reach:
            allowed = reach - 1
        wide = suspicious
    cause = "a window one token too wide" if wide else "the window ignored" if reach == last else None
    return allowed, cause if reach > allowed else None


def with_first_layer(setting: Setting, finding: Finding) -> Finding:
    """Add the first layer whose output moves to the sentence of a leak, if layers are accessible."""
    shown = finding.counterexample
    if setting.subject.hidden is None or shown is None or "token_ids_before" not in shown.arrays:
        return finding
    before = outputs(setting, finding, shown.arrays["token_ids_before"])
    after = outputs(setting, finding, shown.arrays["token_ids"])
    where = np.zeros(shown.arrays["token_ids"].shape, bool)
    where[shown.indices["row"], shown.indices["slot"]] = True
    for (name, first), (_, second) in zip(before, after, strict=False):
        alike = first.shape == second.shape and first.shape[:2] == where.shape
        if alike and setting.rounding.move(first, second, where, same_shape=True) is not None:
            return replace(finding, sentence=f"{finding.sentence}; the first layer to leak is {name}")
    return finding


def outputs(setting: Setting, finding: Finding, token_ids: Tokens) -> list[tuple[str, Floats]]:
    """Each layer's name and output."""
    shown, hidden = finding.counterexample, setting.subject.hidden
    assert shown is not None
    assert hidden is not None
    given = [token_ids, shown.arrays.get("attention_mask")]
    given += [shown.arrays["documents"]] if "documents" in shown.arrays else []
    try:
        found: list[tuple[str, Floats]] = guarded(
            lambda: hidden(*given), setting.subject.seconds_per_call, Printed()
        )
    except NoAnswer:
        return []
    return found
