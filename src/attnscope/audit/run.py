"""The audit of a function."""

from collections.abc import Callable
from time import monotonic
from typing import Any

from attnscope.audit.contract import Contract, ContractError
from attnscope.audit.finding import Finding, Severity
from attnscope.audit.grid import Grid
from attnscope.audit.probes import Setting, probes_for
from attnscope.audit.report import Report
from attnscope.audit.suspect import Suspect

Progress = Callable[[float, str], None]
UNSEEN = (
    "sequences longer than 65,701 keys, and calls without a key or without a query",
    "speed and memory",
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
    """Ask a function some hundred questions, and say which of its contract's promises it does not keep.

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
    start = monotonic()
    suspect = Suspect(fn, contract, seconds_per_call, deadline=start + seconds)
    setting = Setting(suspect, Grid(contract, seed))
    findings, checks = ask_all(setting, progress or (lambda share, step: None))
    if suspect.given_up:
        setting.not_covered.append(suspect.given_up)
    return Report(
        target=name or name_of(fn),
        claims=str(contract),
        findings=tuple(findings),
        checks=checks,
        not_covered=tuple(dict.fromkeys([*setting.not_covered, *unseen(contract)])),
        calls=suspect.calls,
        seconds=monotonic() - start,
        seed=seed,
    )


def ask_all(setting: Setting, progress: Progress) -> tuple[list[Finding], dict[str, int]]:
    """Run every probe: what was found, and how many calls each check made."""
    findings: list[Finding] = []
    checks: dict[str, int] = {}
    probes = probes_for(setting.contract)
    for number, probe in enumerate(probes):
        progress(number / len(probes), probe.name)
        before = setting.suspect.calls
        if unreliable(findings) and probe is not probes[-1]:
            setting.not_covered.append(f"{probe.name}: the answers depend on chance, or on earlier calls")
            continue
        findings += new_ones(findings, probe.run(setting))
        for check in probe.checks(setting.contract):
            checks[check] = checks.get(check, 0) + setting.suspect.calls - before
    progress(1.0, "done")
    return findings, checks


def checks_of(contract: Contract) -> list[str]:
    """The names of all checks that a contract calls for."""
    return list(dict.fromkeys(check for probe in probes_for(contract) for check in probe.checks(contract)))


def unreliable(findings: list[Finding]) -> bool:
    """Whether one call's answer says nothing about the next one's."""
    return any(each.check == "determinism" and each.severity is Severity.WRONG for each in findings)


def new_ones(known: list[Finding], found: list[Finding]) -> list[Finding]:
    """What no finding says yet: a finite fill is one mistake, whichever probe meets it."""
    said = {(each.check, each.cause) for each in known if each.cause}
    return [each for each in found if not each.cause or (each.check, each.cause) not in said]


def unseen(contract: Contract) -> list[str]:
    """What no probe of a function could see here."""
    said = list(UNSEEN)
    if contract.gradients is None:
        said.append("gradients, as none are declared")
    if contract.cache is None:
        said.append("a cache, as none is declared")
    if contract.causal == "always":
        said.append("whether it can do without causal")
    if not contract.hidden_nan:
        said.append("NaN in hidden slots, as nothing is promised of them")
    if contract.empty_rows == "unspecified":
        said.append("rows that see no key, as nothing is promised of them")
    if not contract.same_bits:
        said.append("last bits that depend on the batch, as nothing is promised of them")
    if not contract.unequal_lengths:
        said.append("query_len unlike key_len, as it is not promised")
    return said


def name_of(fn: Callable[..., Any]) -> str:
    """What a function is called."""
    name = getattr(fn, "__qualname__", None) or type(fn).__qualname__
    module = getattr(fn, "__module__", None)
    return f"{module}:{name}" if module and "<" not in name else name
