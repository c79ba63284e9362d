"""pytest's plugin: an audit as an assertion, or as one test per check.

from attnscope.audit import Contract
from attnscope.audit.plugin import assert_attention

def test_my_attention():
    assert_attention(my_attention, Contract(causal=True), expected_failures={"poison": "values are finite"})

@pytest.mark.attention(Contract(causal=True))
def test_each_check():
    return my_attention
"""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from attnscope.audit.contract import Contract
from attnscope.audit.report import Report
from attnscope.audit.run import attention, checks_of

MARKER = "attention"
ARGUMENT = "attention_check"
REPORTS = pytest.StashKey[dict[str, Report]]()


def assert_attention(
    fn: Callable[..., Any],
    contract: Contract,
    expected_failures: Mapping[str, str] | None = None,
    **limits: Any,
) -> Report:
    """Audit a function, and fail with the report if it breaks a promise.

    Parameters
    ----------
    fn : callable
        The function, as `attnscope.audit.attention` takes it.
    contract : Contract
        What the function claims.
    expected_failures : mapping of str to str, optional
        Checks that are known to fail, each with the reason. One that does not fail is a failure, too.
    **limits
        Further arguments of `attnscope.audit.attention`: seed, seconds, ...

    Returns
    -------
    Report
        The report, if there are no other findings than the expected ones.
    """
    __tracebackhide__ = True
    expected = dict(expected_failures or {})
    check_names(expected, contract)
    report = attention(fn, contract, **limits)
    unexpected = [finding for finding in report.findings if finding.check not in expected]
    missing = [check for check in expected if not report.of(check)]
    if unexpected:
        pytest.fail(str(report), pytrace=False)
    if missing:
        listed = "; ".join(f"{check} ({expected[check]})" for check in missing)
        pytest.fail(f"expected failures that did not occur: {listed}. Take them out.", pytrace=False)
    return report


def check_names(expected: Mapping[str, str], contract: Contract) -> None:
    """Refuse names that are no checks of this contract."""
    known = checks_of(contract)
    for name in expected:
        if name not in known:
            raise pytest.UsageError(
                f"expected_failures: {name!r} is no check of this contract. Use some of {known}."
            )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(contract, expected_failures={{}}, **limits): audit the function that the test returns, "
        "one test per check",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test per check of a marked function."""
    marker = metafunc.definition.get_closest_marker(MARKER)
    if marker is not None:
        contract, expected, _ = read_marker(marker)
        check_names(expected, contract)
        metafunc.fixturenames.append(ARGUMENT)
        metafunc.parametrize(ARGUMENT, checks_of(contract))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Judge one check of a marked function; one audit serves all checks."""
    marker = pyfuncitem.get_closest_marker(MARKER)
    if marker is None:
        return None
    contract, expected, limits = read_marker(marker)
    check = str(pyfuncitem.callspec.params[ARGUMENT])
    report = report_of(pyfuncitem, contract, limits)
    found = report.of(check)
    if check in expected:
        if not found:
            pytest.fail(f"{check} was expected to fail ({expected[check]}), and did not", pytrace=False)
        pytest.xfail(expected[check])
    if found:
        pytest.fail("\n\n".join(map(str, found)), pytrace=False)
    return True


def report_of(item: pytest.Function, contract: Contract, limits: dict[str, Any]) -> Report:
    """The report on the function that a test returns; the audit runs once."""
    reports = item.session.stash.setdefault(REPORTS, {})
    name = item.nodeid.partition("[")[0]
    if name not in reports:
        names = item._fixtureinfo.argnames  # noqa: SLF001  # as pytest does
        arguments = {each: item.funcargs[each] for each in names}
        fn = item.obj(**arguments)
        if not callable(fn):
            pytest.fail(f"{item.name} returns {fn!r}, expected the function to audit", pytrace=False)
        reports[name] = attention(fn, contract, **limits)
    return reports[name]


def read_marker(marker: pytest.Mark) -> tuple[Contract, dict[str, str], dict[str, Any]]:
    """The contract, the expected failures and the limits of a marker."""
    given = dict(marker.kwargs)
    contract = marker.args[0] if marker.args else given.pop("contract", None)
    if not isinstance(contract, Contract) or len(marker.args) > 1:
        raise pytest.UsageError(
            f"@pytest.mark.{MARKER} takes a Contract, then expected_failures={{check: reason}}."
        )
    return contract, dict(given.pop("expected_failures", {})), given
