"""The audit of a model: all probes, one after the other, and the report of what they found."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from attnscope.audit.contract import ContractError
from attnscope.audit.models.claims import ModelClaims, Side
from attnscope.audit.report import Report
from attnscope.audit.run import Progress, name_of
from attnscope.probing import Finding, Severity

if TYPE_CHECKING:
    from attnscope.audit.models.setting import Setting
    from attnscope.audit.models.subject import Subject


@dataclass(frozen=True)
class Limits:
    """How an audit runs.

    Parameters
    ----------
    seed : int
        Decides every question.
    seconds : float
        Time limit.
    progress : callable, optional
        Called with the share that is done and the name of the next step.
    not_covered : tuple of str
        Sentences for the report.
    """

    seed: int = 0
    seconds: float = 240.0
    progress: Progress | None = None
    not_covered: tuple[str, ...] = ()

    def report(self, share: float, step: str) -> None:
        """Call `progress`, if there is one."""
        if self.progress is not None:
            self.progress(share, step)


def model(  # noqa: PLR0913  # each is a claim, or a limit, that a caller gives by name
    logits_fn: Callable[..., Any],
    *,
    vocab_size: int,
    causal: bool = True,
    pad_id: int | None = None,
    padding: Side | None = None,
    documents: bool = False,
    window: int | None = None,
    prefix: int | None = None,
    decode: Callable[[], Any] | None = None,
    positions: str = "unknown",
    layers: int | None = None,
    special_ids: tuple[int, ...] = (),
    most_tokens: int | None = None,
    seed: int = 0,
    seconds_per_call: float = 30.0,
    seconds: float = 240.0,
    progress: Progress | None = None,
    name: str | None = None,
) -> Report:
    """Find which promises the logits of a model break, from some hundred questions.

    Parameters
    ----------
    logits_fn : callable
        logits_fn(token_ids, attention_mask) -> logits. token_ids and attention_mask are (batch, tokens), logits
        (batch, tokens, vocab). The mask may be None. A third argument, (batch, tokens), is given if `documents` is
        True.
    vocab_size : int
        Token ids are drawn from 0 to vocab_size - 1.
    causal : bool
        Whether a token sees no later one.
    pad_id : int, optional
        The token in padded slots; 0 if not given.
    padding : {"left", "right"}, optional
        The side on which rows may be padded.
    documents : bool
        Whether documents may be packed into a row.
    window : int, optional
        Tokens before its own that one layer sees.
    prefix : int, optional
        The number of first tokens that see each other.
    decode : callable, optional
        Starts a cached generation: ``.step(token_ids, attention_mask) -> logits`` with a mask of all tokens so far,
        and if it offers them ``.reorder(index)``, in place, and ``.truncate(tokens)``.
    positions : str
        "rotary", "alibi", "relative", "learned", "sinusoidal", "absolute", "none" or "unknown".
    layers : int, optional
        The number of layers, without which the reach of a window over all layers is not known.
    special_ids : tuple of int
        Tokens with a meaning, such as an end of text.
    most_tokens : int, optional
        The longest row that the model takes.
    seed : int
        Decides every question; the report names it.
    seconds_per_call, seconds : float
        Time limits, of one call and of the audit.
    progress : callable, optional
        Called with the share that is done and the name of the next step.
    name : str, optional
        What the report calls the model.

    Returns
    -------
    Report
        Findings, checks that passed, and what was not covered.

    Raises
    ------
    ContractError
        For claims that cannot be checked. What the model raises is a finding.

    Notes
    -----
    What counts as rounding is measured on the model: see attnscope.audit.models.subject.

    Examples
    --------
    >>> import numpy as np
    >>> def looks_ahead(token_ids, attention_mask):  # every token's logits are the row's last token
    ...     return np.eye(9)[np.repeat(token_ids[:, -1:], token_ids.shape[1], axis=1)]
    >>> report = model(looks_ahead, vocab_size=9)
    >>> report.findings[0].check, str(report.findings[0].severity)
    ('dependence', 'leak')
    """
    claims = ModelClaims(
        vocab_size=vocab_size,
        causal=causal,
        pad_id=pad_id,
        padding=padding,
        documents=documents,
        window=window,
        prefix=prefix,
        decode=decode,
        positions=positions,
        layers=layers,
        special_ids=special_ids,
        most_tokens=most_tokens,
    )
    if not callable(logits_fn):
        raise ContractError(
            f"logits_fn={logits_fn!r}: expected logits_fn(token_ids, attention_mask) -> logits."
        )
    # The probes are loaded when the first audit begins, so that `import attnscope` stays light.
    from attnscope.audit.models.subject import Subject

    subject = Subject(logits_fn, claims, seconds_per_call, monotonic() + seconds, features=vocab_size)
    return audited(subject, Limits(seed, seconds, progress), name or name_of(logits_fn))


def audited(subject: "Subject", limits: Limits, name: str) -> Report:
    """Run the probes of the promises that are made."""
    from attnscope.audit.models.probes.preparing import not_claimed, prepared
    from attnscope.audit.models.probes.troubles import found_beside

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


def run_all(setting: "Setting", limits: Limits) -> tuple[list[Finding], dict[str, int]]:
    """Run every probe whose result no earlier finding implies: what was found, and how many calls each check made."""
    from attnscope.audit.models.probes.table import PROBES, skipped
    from attnscope.audit.models.probes.window import with_first_layer

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
