"""The audit of a model, by its function from token ids to logits."""

from collections.abc import Callable
from time import monotonic
from typing import Any

from attnscope.audit.contract import ContractError, check_limits
from attnscope.audit.models.claims import Limits, ModelClaims, Side
from attnscope.audit.models.subject import Subject
from attnscope.audit.report import Progress, Report
from attnscope.audit.run import name_of
from attnscope.audit.suspect import Watch


def model(  # noqa: PLR0913  # claims and limits, by name
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
    watch: Watch | None = None,
) -> Report:
    """Find which promises the logits of a model break.

    Parameters
    ----------
    logits_fn : callable
        logits_fn(token_ids, attention_mask) -> logits. token_ids and attention_mask are (batch, tokens),
        logits (batch, tokens, vocab). The mask may be None. A third argument, (batch, tokens), is given if
        `documents` is True.
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
        Starts a cached generation: an object with ``step(token_ids, attention_mask) -> logits``, where the
        mask covers all tokens so far, and optionally ``reorder(index)`` and ``truncate(tokens)``, which
        work in place.
    positions : str
        "rotary", "alibi", "relative", "learned", "sinusoidal", "absolute", "none" or "unknown".
    layers : int, optional
        The number of layers, from which the reach of a window follows.
    special_ids : tuple of int
        Tokens with a meaning, such as an end of text.
    most_tokens : int, optional
        The longest row that the model takes.
    seed : int
        Determines every question.
    seconds_per_call, seconds : float
        Time limits of one call and of the audit, in seconds.
    progress : callable, optional
        Called with the completed share and the name of the next step.
    name : str, optional
        The model's name in the report.
    watch : callable, optional
        Called with the description of each call before it is made.

    Returns
    -------
    Report
        Findings, checks that passed, and what was not covered.

    Raises
    ------
    ContractError
        If a claim cannot be checked. An error that the model raises is a finding.

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
    check_limits(seed, seconds_per_call=seconds_per_call, seconds=seconds)
    if not callable(logits_fn):
        raise ContractError(
            f"logits_fn={logits_fn!r}: expected logits_fn(token_ids, attention_mask) -> logits."
        )
    # The probes are loaded when an audit begins, so that `import attnscope` stays fast.
    from attnscope.audit.models.audited import audited

    subject = Subject(
        logits_fn, claims, seconds_per_call, monotonic() + seconds, features=vocab_size, watch=watch
    )
    return audited(subject, Limits(seed, seconds, progress), name or name_of(logits_fn))
