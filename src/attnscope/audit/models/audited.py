"""One audit of a model: all probes in their order, its rows and its rounding noise, and the report.

A probe names the claims that it needs, and the contexts that a finding of it spoils for later probes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

import numpy as np

from attnscope.audit.models import question as drawn
from attnscope.audit.models.claims import Limits, ModelClaims
from attnscope.audit.models.probes import (
    cache_changes,
    caching,
    hidden_tokens,
    liveness,
    padding,
    repetition,
    side_effects,
    window,
)
from attnscope.audit.models.probes.side_effects import found_beside
from attnscope.audit.models.probes.window import UNKNOWN_DEPTH, with_first_layer
from attnscope.audit.models.question import Scenario, build
from attnscope.audit.models.setting import Look, Setting, first_found
from attnscope.audit.models.subject import Floats, Rounding, Subject, distances, unit_of
from attnscope.audit.report import Report
from attnscope.probing import Finding, Severity

Wanted = Callable[[ModelClaims], bool]


@dataclass(frozen=True)
class Probe:
    """One kind of question.

    Parameters
    ----------
    name, check : str
        The name that progress reports, and the check of its findings.
    wanted : callable
        claims -> whether they promise what the probe checks.
    run : callable
        setting -> finding or None.
    spoils : str, optional
        The context that a finding makes useless for later probes.
    """

    name: str
    check: str
    wanted: Wanted
    run: Callable[[Setting], Finding | None]
    spoils: str | None = None


def always(claims: ModelClaims) -> bool:
    return True


def of(scenarios: Callable[[Setting], list[Scenario]], look: Look) -> Callable[[Setting], Finding | None]:
    return lambda setting: first_found(setting, setting.usable(scenarios(setting)), look)


def even_spoiled(
    make: Callable[[ModelClaims], list[Scenario]], look: Look
) -> Callable[[Setting], Finding | None]:
    """Run `look` also in spoiled contexts: it compares only answers to questions of one shape."""
    return lambda setting: first_found(setting, setting.usable(make(setting.claims), even_spoiled=True), look)


def each_of(make: Callable[[ModelClaims], list[Scenario]], look: Look) -> Callable[[Setting], Finding | None]:
    return of(lambda setting: make(setting.claims), look)


def all_padding(claims: ModelClaims) -> list[Scenario]:
    return [Scenario((4, 0, 2), claims.padding), Scenario((0, 5), claims.padding, extra=1)]


def with_ones(setting: Setting) -> list[Scenario]:
    return [Scenario((3,)), Scenario((9,)), Scenario((5,) * 3), Scenario((37,) * 2), Scenario((140,))]


def causal(claims: ModelClaims) -> bool:
    return claims.causal


def sees_all_before(claims: ModelClaims) -> bool:
    return not claims.local


def padded(claims: ModelClaims) -> bool:
    return claims.padding is not None


def packed(claims: ModelClaims) -> bool:
    return claims.documents


def windowed(claims: ModelClaims) -> bool:
    return claims.window is not None and claims.causal


def cached(claims: ModelClaims) -> bool:
    return claims.decode is not None


def cached_and_padded(claims: ModelClaims) -> bool:
    return cached(claims) and claims.padding == "left"


PROBES = (
    Probe("the same call again", "determinism", always, of(repetition.scenarios, repetition.again), "plain"),
    Probe("after other calls", "determinism", always, of(repetition.scenarios, repetition.after_others)),
    Probe("random numbers", "determinism", always, of(repetition.scenarios, repetition.drawn_numbers)),
    Probe("kept arrays", "mutation", always, of(repetition.scenarios, repetition.kept_arrays)),
    Probe("other rows", "batch invariance", always, of(repetition.batches, repetition.in_batches), "batched"),
    Probe("the future", "dependence", causal, even_spoiled(drawn.plain, hidden_tokens.look), "unmasked"),
    Probe("equal tokens", "positions", lambda claims: claims.counted, liveness.positions),
    Probe("what is visible", "dependence", sees_all_before, of(liveness.scenarios, liveness.look)),
    Probe("no mask and ones", "attention mask", always, of(with_ones, padding.masks)),
    Probe(
        "the future beside padding",
        "dependence",
        lambda claims: causal(claims) and padded(claims),
        even_spoiled(drawn.padded, hidden_tokens.look),
        "padded",
    ),
    Probe(
        "padded slots", "padding invariance", padded, even_spoiled(drawn.padded, padding.content), "padded"
    ),
    Probe(
        "padded and alone", "padding invariance", padded, each_of(drawn.padded, padding.invariance), "padded"
    ),
    Probe("rows of padding", "padding invariance", padded, each_of(all_padding, padding.rows_of_padding)),
    Probe(
        "other documents", "documents", packed, each_of(drawn.packed, hidden_tokens.other_documents), "packed"
    ),
    Probe(
        "packed and alone",
        "documents",
        packed,
        each_of(drawn.packed, hidden_tokens.packed_and_alone),
        "packed",
    ),
    Probe(
        "documents by other numbers",
        "documents",
        packed,
        each_of(drawn.packed, hidden_tokens.renamed),
        "packed",
    ),
    Probe("the window", "window", windowed, of(window.scenarios, window.look)),
    Probe("the first layer's window", "window", causal, window.first_layer),
    Probe("cached and uncached", "cache", cached, each_of(drawn.chunked, caching.look), "cached"),
    Probe(
        "cached and padded",
        "cache",
        cached_and_padded,
        each_of(drawn.chunked_and_padded, caching.look),
        "cached",
    ),
    Probe(
        "cached after padding",
        "cache",
        lambda claims: cached(claims) and claims.padding == "right",
        each_of(caching.continued, caching.after_padding),
        "cached",
    ),
    Probe("reorder", "reorder", cached, cache_changes.reorder, "reordered"),
    Probe("truncate", "truncate", cached, cache_changes.truncate),
    Probe("stale state", "stale state", cached, side_effects.stale),
)


WITH_PADDING = ("padded and alone", "cached and padded", "cached after padding")


def skipped(probe: Probe, broken: set[str]) -> str | None:
    """Why an earlier finding implies the result of a probe, or None."""
    if "plain" in broken and probe.name != "random numbers":
        return "the same call gives other logits each time"
    compares = (
        probe.check in ("cache", "reorder", "truncate", "attention mask") or probe.name == "padded and alone"
    )
    if "unmasked" in broken and (compares or probe.name == "the future beside padding"):
        return "logits see the future, with or without a cache"
    if "padded" in broken and probe.name in WITH_PADDING:
        return "padded rows are wrong already"
    if "cached" in broken and probe.check in ("cache", "reorder", "truncate"):
        return "a cached generation is wrong already"
    if "packed" in broken and probe.check == "documents":
        return "documents are not isolated already"
    return None


LENGTHS = (8, 21, 37, 70, 140, 270)
ALWAYS_ASKED = 21  # tokens of a row, however slow the model is
# The share of the audit's time that a call of the longest rows may take: about 300 are made
SHARE_OF_ONE_LENGTH = 0.0015
ROWS = 3


def audited(subject: Subject, limits: Limits, name: str) -> Report:
    """Run the probes that the claims call for, and report."""
    start = monotonic()
    setting = prepared(subject, limits.seed, limits.seconds)
    findings, checks = run_all(setting, limits)
    findings += found_beside(setting)
    checks |= {check: checks.get(check, 0) for check in ("call", "not a number", "mutation", "side effects")}
    limits.report(1.0, "done")
    not_covered = [*setting.not_covered, *limits.not_covered, *not_claimed(setting)]
    return Report(
        target=name,
        claims=str(subject.claims),
        findings=tuple(findings),
        checks=checks,
        not_covered=tuple(dict.fromkeys(not_covered)),
        calls=subject.calls,
        seconds=monotonic() - start,
        seed=limits.seed,
    )


def run_all(setting: Setting, limits: Limits) -> tuple[list[Finding], dict[str, int]]:
    """Run every probe whose result no earlier finding implies; return findings, and calls per check."""
    findings: list[Finding] = []
    checks: dict[str, int] = {}
    probes = [probe for probe in PROBES if probe.wanted(setting.claims)] if setting.lengths != (0,) else []
    for number, probe in enumerate(probes):
        limits.report(number / len(probes), probe.name)
        reason = skipped(probe, setting.broken)
        if reason is not None:
            setting.not_covered.append(f"{probe.name}: {reason}")
            continue
        before = setting.subject.calls
        found = probe.run(setting)
        if found is None and setting.subject.calls == before:
            continue
        checks[probe.check] = checks.get(probe.check, 0) + setting.subject.calls - before
        if found is not None:
            findings.append(with_first_layer(setting, found))
            if probe.spoils and found.severity is not Severity.UNSTABLE:
                setting.broken.add(probe.spoils)
    return findings, checks


def prepared(subject: Subject, seed: int, seconds: float) -> Setting:
    """Measure the rows that the model takes, and its rounding; lengths are (0,) if it answers no call."""
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
    """The row lengths that the model answers in time."""
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
        if took * 2 > seconds * SHARE_OF_ONE_LENGTH:  # the first call may be slow
            start = monotonic()
            subject.ask(question)
            took = min(took, monotonic() - start)
        if took * 2 > seconds * SHARE_OF_ONE_LENGTH:
            setting.not_covered.append(f"rows of more than {length} tokens, as there is no time for them")
            break
    return taken


def noise_of(setting: Setting) -> float:
    """The largest difference, relative to the largest logit, between sums in another order."""
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
    """A relative difference; 0 if it is too large for rounding, above the root of float32's unit."""
    size = float(distances(first, second).max()) / scale
    return size if size < 2.0**-12 else 0.0


def not_claimed(setting: Setting) -> list[str]:
    """Properties that no probe of a model checks, or that are not claimed."""
    claims, rounding = setting.claims, setting.rounding
    found = [setting.subject.given_up] if setting.subject.given_up else []
    if claims.window is not None and claims.layers is None:
        found.append(UNKNOWN_DEPTH)
    if claims.padding is None:
        found.append("padding, as none is declared")
    elif claims.pad_id is None:
        found.append("padding by a token of its own: slots were filled with token 0")
    if claims.prefix is not None and claims.padding == "left":
        found.append("the position of a prefix in a row that is padded on the left")
    if not claims.documents:
        found.append("packed documents, as none are declared")
    if claims.causal and claims.decode is None:
        found.append("cached generation, as no decode is given")
    smallest = rounding.relative(8, same_shape=True)
    noise = f"; other batch sizes change them by {rounding.noise:.1g}" if rounding.noise else ""
    return [
        *found,
        f"changes of logits below {smallest:.1g} of the largest one, which are within rounding noise{noise}",
        "a wrong scale, soft-cap, head mapping or norm: compare with a reference",
        f"rows of more than {setting.longest} tokens, gradients and training, speed and memory",
    ]
