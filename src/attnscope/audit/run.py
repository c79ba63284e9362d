"""The audit of a function."""

from collections.abc import Callable
from time import monotonic
from typing import Any

from attnscope.audit.contract import Contract, ContractError
from attnscope.audit.report import Report

Progress = Callable[[float, str], None]


def attention(
    fn: Callable[..., Any],
    contract: Contract,
    *,
    seed: int = 0,
    seconds_per_call: float = 5.0,
    seconds: float = 60.0,
    progress: Progress | None = None,
    name: str | None = None,
) -> Report:
    """Ask a function some thousand questions, and say which of its contract's promises it does not keep.

    `fn(query, key, value, **options) -> output` on NumPy arrays; the options are those that the contract declares.
    Its answers are compared with the float64 reference under a derived bound, its dependence on what is hidden is
    tested by moving and poisoning it, and each failure is shrunk to the smallest call that shows it.

    Shapes
        query     (batch, query_heads, query_len, key_dim)
        key       (batch, kv_heads, key_len, key_dim)
        value     (batch, kv_heads, key_len, value_dim)
        output    (batch, query_heads, query_len, value_dim)
    Precision
        What an honest computation in the arrays' own format keeps: see attnscope.audit.bound.
    Errors
        ContractError where fn cannot be called, or contract is none. What fn raises is a finding.

    `seed` decides every case; `seconds_per_call` and `seconds` limit the time; `progress` is called with the share
    that is done, and what is done next.

    >>> import attnscope as at
    >>> def forgetful(query, key, value, *, causal):  # takes the flag, and forgets it
    ...     return at.attention(query, key, value)
    >>> report = attention(forgetful, Contract(causal=True, hidden_nan=False))
    >>> [(str(each.severity), each.cause) for each in report.findings if each.check == "dependence"]
    [('leak', 'agrees with: causal ignored: every query sees the future')]
    """
    if not callable(fn):
        raise ContractError(
            f"fn={fn!r} cannot be called, expected fn(query, key, value, **options) -> output."
        )
    if not isinstance(contract, Contract):
        raise ContractError(
            f"contract={contract!r}: expected a Contract, such as at.audit.Contract(causal=True)."
        )
    # The probes are loaded when the first audit begins, so that `import attnscope` stays light.
    from attnscope.audit.asking import report_on
    from attnscope.audit.suspect import Suspect

    suspect = Suspect(fn, contract, seconds_per_call, deadline=monotonic() + seconds)
    return report_on(suspect, seed=seed, progress=progress, name=name)
