"""The audit of a function: all probes, one after the other, and their report."""

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from attnscope.audit.contract import Contract, ContractError, check_limits
from attnscope.audit.report import Progress, Report
from attnscope.audit.suspect import Suspect, Watch

if TYPE_CHECKING:
    from attnscope.audit.probes.probe import Probe

NOT_PROBED = (
    "sequences longer than 65,701 keys, and calls without a key or without a query",
    "speed, memory, and calls from several threads at once",
)


def attention(
    fn: Callable[..., Any],
    contract: Contract,
    *,
    seed: int = 0,
    seconds_per_call: float = 5.0,
    seconds: float = 60.0,
    progress: Progress | None = None,
    name: str | None = None,
    watch: Watch | None = None,
) -> Report:
    """Find which promises of its contract an attention function breaks.

    The answers to hundreds or thousands of calls are compared with the float64 reference under a
    derived bound. Dependence on hidden slots is tested by moving and poisoning them. Each failure is
    shrunk to the smallest call that shows it.

    Parameters
    ----------
    fn : callable
        `fn(query, key, value, **options) -> output`, on NumPy arrays: query (batch, query_heads, query_len,
        key_dim), key (batch, kv_heads, key_len, key_dim), value (batch, kv_heads, key_len, value_dim), output
        (batch, query_heads, query_len, value_dim). The options are those that the contract declares.
    contract : Contract
        What the function claims.
    seed : int
        Determines every case.
    seconds_per_call, seconds : float
        Time limits of one call and of the audit, in seconds.
    progress : callable, optional
        Called with the completed share and the name of the next step.
    name : str, optional
        The function's name in the report.
    watch : callable, optional
        Called with the description of each call before it is made: a call that ends the process can be named.

    Returns
    -------
    Report
        Findings, checks that passed, and what was not covered.

    Raises
    ------
    ContractError
        If `fn` cannot be called or `contract` is no Contract. An error that `fn` raises is a finding.

    Notes
    -----
    An error is what exceeds the bound on careful arithmetic in the arrays' own format: see
    attnscope.probing.bound.

    Examples
    --------
    >>> import attnscope as at
    >>> def forgetful(query, key, value, *, causal):  # ignores the flag
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
    check_limits(seed, seconds_per_call=seconds_per_call, seconds=seconds)
    from attnscope.audit.grid import Grid
    from attnscope.audit.probes.probe import Setting, run_all

    start = monotonic()
    suspect = Suspect(fn, contract, seconds_per_call, deadline=start + seconds, watch=watch)
    setting = Setting(suspect, Grid(contract, seed))
    findings, checks = run_all(probes(), setting, progress or (lambda share, step: None))
    return Report(
        target=name or name_of(fn),
        claims=str(contract),
        findings=tuple(findings),
        checks=checks,
        not_covered=tuple(dict.fromkeys([*setting.not_covered, *not_asked(suspect), *not_probed(contract)])),
        calls=suspect.calls,
        seconds=monotonic() - start,
        seed=seed,
    )


def probes() -> tuple["Probe", ...]:
    """All probes in their order. They are loaded when needed, so that `import attnscope` stays fast."""
    from attnscope.audit.probes import cache, exactness, gradients, hidden_slots, repetition, side_effects

    # Repetition comes first, since state that a function keeps shows best on a fresh one; side effects last.
    return (
        repetition.REPETITION,
        exactness.EXACTNESS,
        exactness.MASKED_ROWS,
        hidden_slots.EXTREMES,
        hidden_slots.POISON,
        repetition.INVARIANCE,
        cache.CACHE,
        gradients.GRADIENTS,
        side_effects.SIDE_EFFECTS,
    )


def checks_of(contract: Contract) -> list[str]:
    """The names of all checks of the promises that a contract makes."""
    applicable = [probe for probe in probes() if probe.applies(contract)]
    return list(dict.fromkeys(check for probe in applicable for check in probe.checks(contract)))


def not_asked(suspect: Suspect) -> list[str]:
    """The calls that were left out."""
    found = []
    if suspect.passed_over:
        found.append(f"{suspect.passed_over} calls, as smaller ones gave no answer in time")
    if suspect.given_up:
        found.append(suspect.given_up)
    return found


def not_probed(contract: Contract) -> list[str]:
    """Properties that no probe of a function checks, or that the contract does not promise."""
    silent = {
        "gradients, as none are declared": contract.gradients is None,
        "a cache, as none is declared": contract.cache is None,
        "whether it works without causal": contract.causal == "always",
        "NaN in hidden slots, as the contract promises nothing for them": not contract.hidden_nan,
        "fully masked rows, as the contract promises nothing for them": contract.masked_rows == "unspecified",
        "last bits that depend on the batch, as the contract permits them": not contract.same_bits,
        "query_len unlike key_len, as the contract does not promise it": not contract.unequal_lengths,
    }
    return [*NOT_PROBED, *(sentence for sentence, applies in silent.items() if applies)]


def name_of(fn: Callable[..., Any]) -> str:
    """The name of a function, with its module."""
    name = getattr(fn, "__qualname__", None) or type(fn).__qualname__
    module = getattr(fn, "__module__", None)
    return f"{module}:{name}" if module and "<" not in name else name
