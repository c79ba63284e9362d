"""The audit of a model."""

from collections.abc import Callable
from time import monotonic
from typing import Any

from attnscope.audit.contract import ContractError
from attnscope.audit.models.claims import ModelClaims, Side
from attnscope.audit.report import Report
from attnscope.audit.run import Progress


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
) -> Report:  # fmt: skip
    """Ask a model some hundred questions, and say which promises its logits do not keep.

    `logits_fn(token_ids, attention_mask) -> logits`; the mask may be None, and a third argument, documents, is given
    where `documents=True`. `decode()` starts a cached generation: `.step(token_ids, attention_mask) -> logits`, with a
    mask of all tokens so far, and where there are such `.reorder(index)` in place and `.truncate(tokens)`.

    Shapes
        token_ids, attention_mask, documents    (batch, tokens)
        logits                                  (batch, tokens, vocab)
    Precision
        What the model itself loses when it sums in another order: see attnscope.audit.models.rounding.
    Errors
        ContractError for claims that nobody could check. What the model raises is a finding.

    The claims are told in `ModelClaims`: what is padded on which side, the window of one layer, the prefix whose tokens
    see each other, and `layers`, without which a window's reach over all layers is not known. `seed` is told in the
    report; `seconds_per_call` and `seconds` limit the time; `progress` is called with the share that is done, and
    what is done next.

    >>> import numpy as np
    >>> def looks_ahead(token_ids, attention_mask):  # every token's logits are the row's last token
    ...     return np.eye(9)[np.repeat(token_ids[:, -1:], token_ids.shape[1], axis=1)]
    >>> report = model(looks_ahead, vocab_size=9)
    >>> report.findings[0].check, str(report.findings[0].severity)
    ('dependence', 'leak')
    """
    claims = ModelClaims(
        vocab_size, causal, pad_id, padding, documents, window, prefix, decode, positions, layers,
        special_ids, most_tokens,
    )  # fmt: skip
    if not callable(logits_fn):
        raise ContractError(
            f"logits_fn={logits_fn!r}: expected logits_fn(token_ids, attention_mask) -> logits."
        )
    # The probes are loaded when the first audit begins, so that `import attnscope` stays light.
    from attnscope.audit.asking import name_of
    from attnscope.audit.models.asking import audited
    from attnscope.audit.models.subject import Subject

    subject = Subject(logits_fn, claims, seconds_per_call, monotonic() + seconds, features=vocab_size)
    return audited(subject, seed, seconds, progress, name or name_of(logits_fn))
