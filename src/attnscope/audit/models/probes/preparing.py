"""What is found out before the probes: the rows that a model takes, and its rounding noise; and what no probe covers."""

from time import monotonic

import numpy as np

from attnscope.audit.models.probes.window import UNKNOWN_DEPTH
from attnscope.audit.models.question import build
from attnscope.audit.models.scenario import Scenario
from attnscope.audit.models.setting import Setting
from attnscope.audit.models.subject import Floats, Rounding, Subject, distances, unit_of

LENGTHS = (8, 21, 37, 70, 140, 270)
ALWAYS_ASKED = 21  # tokens of a row, however slow the model is
# The share of the audit's time that a call of the longest rows may take: some 300 of them are made
SHARE_OF_ONE_LENGTH = 0.0015
ROWS = 3


def prepared(subject: Subject, seed: int, seconds: float) -> Setting:
    """What rows the model takes, and how its rounding looks; lengths are (0,) where it answers nothing at all."""
    setting = Setting(subject, seed, Rounding(2.0**-24))
    first = [setting.ask(setting.build(Scenario((5,), mask=mask))) for mask in ("none", "int")]
    answer = next((each for each in first if each is not None), None)
    if answer is None or subject.written_as is None:
        setting.lengths = (0,)
        setting.not_covered.append("everything, as the model answers no call")
        return setting
    unit = unit_of(answer, subject.written_as)
    setting.rounding = Rounding(unit)
    setting.lengths = tuple(lengths_taken(setting, seconds))
    setting.rounding = Rounding(unit, noise_of(setting))
    return setting


def lengths_taken(setting: Setting, seconds: float) -> list[int]:
    """The row lengths that the model answers, quickly enough."""
    subject, taken = setting.subject, [5]
    most = subject.claims.most_tokens or LENGTHS[-1]
    for length in [*(each for each in LENGTHS if each < most), min(most, LENGTHS[-1])]:
        known = len(subject.troubles)
        question = build(Scenario((length,) * ROWS), subject.claims)
        start = monotonic()
        answer = subject.ask(question)
        took = monotonic() - start
        if answer is None:
            refusal = subject.troubles[-1] if len(subject.troubles) > known else None
            if refusal is not None and refusal.kind == "raised" and length > LENGTHS[0]:
                del subject.troubles[known:]
                setting.not_covered.append(f"rows of {length} tokens or more: it {refusal.sentence}")
            break
        taken.append(length)
        if length < ALWAYS_ASKED:
            continue
        if took * 2 > seconds * SHARE_OF_ONE_LENGTH:  # a first call may be slow for reasons of its own
            start = monotonic()
            subject.ask(question)
            took = min(took, monotonic() - start)
        if took * 2 > seconds * SHARE_OF_ONE_LENGTH:
            setting.not_covered.append(f"rows of more than {length} tokens, as there is no time for them")
            break
    return taken


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


def not_claimed(setting: Setting) -> list[str]:
    """What no probe of a model can see, or what is not claimed."""
    claims, rounding = setting.claims, setting.rounding
    found = [setting.subject.given_up] if setting.subject.given_up else []
    if claims.window is not None and claims.layers is None:
        found.append(UNKNOWN_DEPTH)
    if claims.padding is None:
        found.append("padding, as none is declared")
    elif claims.pad_id is None:
        found.append("padding by a token of its own: slots were filled with token 0")
    if claims.prefix is not None and claims.padding == "left":
        found.append("where a prefix begins in a row that is padded on the left")
    if not claims.documents:
        found.append("packed documents, as none are declared")
    if claims.causal and claims.decode is None:
        found.append("cached generation, as no decode is given")
    smallest = rounding.relative(8, same_shape=True)
    noise = f"; other batch sizes change them by {rounding.noise:.1g}" if rounding.noise else ""
    return [
        *found,
        f"what moves logits by less than {smallest:.1g} of the largest, which is within rounding noise{noise}",
        "a wrong scale, soft-cap, head mapping or norm that does not change what is seen: compare with a reference",
        f"rows of more than {setting.longest} tokens, gradients and training, speed and memory",
    ]
