"""The audit of a function: all probes, one after the other, and the report of what they found."""

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from attnscope.audit.contract import Contract, ContractError
from attnscope.audit.report import Report
from attnscope.probing import Finding, Severity

if TYPE_CHECKING:
    from attnscope.audit.probes import Probe, Setting

Progress = Callable[[float, str], None]
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
) -> Report:
    """Find which promises of its contract an attention function breaks.

    The answers to some thousand calls are compared with the float64 reference under a derived bound. Dependence on
    hidden slots is tested by moving and poisoning them. Each failure is shrunk to the smallest call that shows it.

    Parameters
    ----------
    fn : callable
        `fn(query, key, value, **options) -> output`, on NumPy arrays: query (batch, query_heads, query_len,
        key_dim), key (batch, kv_heads, key_len, key_dim), value (batch, kv_heads, key_len, value_dim), output
        (batch, query_heads, query_len, value_dim). The options are those that the contract declares.
    contract : Contract
        What the function claims.
    seed : int
        Decides every case.
    seconds_per_call, seconds : float
        Time limits, of one call and of the audit.
    progress : callable, optional
        Called with the share that is done and the name of the next step.
    name : str, optional
        What the report calls the function.

    Returns
    -------
    Report
        Findings, checks that passed, and what was not covered.

    Raises
    ------
    ContractError
        If fn cannot be called or contract is none. What fn raises is a finding.

    Notes
    -----
    An error is what exceeds the bound on careful arithmetic in the arrays' own format: see attnscope.probing.bound.

    Examples
    --------
    >>> import attnscope as at
    >>> def forgetful(query, key, value, *, causal):  # takes the flag and ignores it
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
    from attnscope.audit.grid import Grid
    from attnscope.audit.probes import Setting
    from attnscope.audit.suspect import Suspect

    start = monotonic()
    suspect = Suspect(fn, contract, seconds_per_call, deadline=start + seconds)
    setting = Setting(suspect, Grid(contract, seed))
    findings, checks = run_all(setting, progress or (lambda share, step: None))
    return Report(
        target=name or name_of(fn),
        claims=str(contract),
        findings=tuple(findings),
        checks=checks,
        not_covered=tuple(dict.fromkeys([*not_covered(setting), *not_probed(contract)])),
        calls=suspect.calls,
        seconds=monotonic() - start,
        seed=seed,
    )


def run_all(setting: "Setting", progress: Progress) -> tuple[list[Finding], dict[str, int]]:
    """Run every probe: what was found, and how many calls each check made."""
    findings: list[Finding] = []
    checks: dict[str, int] = {}
    probes = probes_for(setting.contract)
    for number, probe in enumerate(probes):
        progress(number / len(probes), probe.name)
        setting.advance = lambda share, number=number, probe=probe: progress(  # type: ignore[misc]
            (number + share) / len(probes), probe.name
        )
        before = setting.suspect.calls
        if unreliable(findings) and probe is not probes[-1]:
            setting.not_covered.append(f"{probe.name}: the answers depend on chance, or on earlier calls")
            continue
        findings += new_ones(findings, probe.run(setting))
        for check in probe.checks(setting.contract):
            checks[check] = checks.get(check, 0) + setting.suspect.calls - before
    progress(1.0, "done")
    return findings, checks


def probes_for(contract: Contract) -> "tuple[Probe, ...]":
    """The probes of the promises that a contract makes."""
    import attnscope.audit.probes as all_of

    # State that a function keeps shows best on a fresh one, so repetition comes first; side effects are summed up last.
    order = (
        all_of.REPETITION,
        all_of.EXACTNESS,
        all_of.MASKED_ROWS,
        all_of.EXTREMES,
        all_of.POISON,
        all_of.INVARIANCE,
        all_of.CACHE,
        all_of.GRADIENTS,
        all_of.SIDE_EFFECTS,
    )
    return tuple(probe for probe in order if probe.applies(contract))


def checks_of(contract: Contract) -> list[str]:
    """The names of all checks of the promises that a contract makes."""
    return list(dict.fromkeys(check for probe in probes_for(contract) for check in probe.checks(contract)))


def unreliable(findings: list[Finding]) -> bool:
    """Whether the answer of one call does not predict the next one's."""
    return any(each.check == "determinism" and each.severity is Severity.WRONG for each in findings)


def new_ones(known: list[Finding], found: list[Finding]) -> list[Finding]:
    """Findings with another check or cause than all before: several probes can meet one mistake."""
    causes = {(each.check, each.cause) for each in known if each.cause}
    return [each for each in found if not each.cause or (each.check, each.cause) not in causes]


def not_covered(setting: "Setting") -> list[str]:
    """What the probes left out."""
    suspect, found = setting.suspect, list(setting.not_covered)
    if suspect.passed_over:
        found.append(f"{suspect.passed_over} calls, as smaller ones gave no answer in time")
    if suspect.given_up:
        found.append(suspect.given_up)
    return found


def not_probed(contract: Contract) -> list[str]:
    """What no probe of a function can see, or what the contract does not promise."""
    silent = {
        "gradients, as none are declared": contract.gradients is None,
        "a cache, as none is declared": contract.cache is None,
        "whether it works without causal": contract.causal == "always",
        "NaN in hidden slots, as nothing is promised of them": not contract.hidden_nan,
        "fully masked rows, as nothing is promised of them": contract.masked_rows == "unspecified",
        "last bits that depend on the batch, as nothing is promised of them": not contract.same_bits,
        "query_len unlike key_len, as it is not promised": not contract.unequal_lengths,
    }
    return [*NOT_PROBED, *(sentence for sentence, applies in silent.items() if applies)]


def name_of(fn: Callable[..., Any]) -> str:
    """The name of a function, with its module."""
    name = getattr(fn, "__qualname__", None) or type(fn).__qualname__
    module = getattr(fn, "__module__", None)
    return f"{module}:{name}" if module and "<" not in name else name
