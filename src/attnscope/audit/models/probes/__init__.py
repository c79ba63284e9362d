"""The probes of models in their order, the claims that each needs, and the contexts that a finding spoils."""

from collections.abc import Callable
from dataclasses import dataclass

from attnscope.audit.models import question as drawn
from attnscope.audit.models.claims import ModelClaims
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
from attnscope.audit.models.question import Scenario
from attnscope.audit.models.setting import Look, Setting, first_found
from attnscope.probing import Finding

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
