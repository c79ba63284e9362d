"""pytest's plugin: the assertion, and the marker that makes one test a check."""

import pytest

pytest_plugins = ["pytester"]

FUNCTIONS = """
import pytest
import attnscope as at
from attnscope.audit import Contract
from attnscope.audit.plugin import assert_attention

CAUSAL = Contract(causal=True)

def right(query, key, value, *, causal):
    return at.attention(query, key, value, mask=at.Causal() if causal else None)

def forgetful(query, key, value, *, causal):
    return at.attention(query, key, value)
"""


def run(pytester: pytest.Pytester, tests: str) -> pytest.RunResult:
    pytester.makepyfile(FUNCTIONS + tests)
    return pytester.runpytest_inprocess("-p", "no:cacheprovider")


def test_a_right_function_passes(pytester: pytest.Pytester) -> None:
    done = run(pytester, "def test_it(): assert assert_attention(right, CAUSAL).ok")
    done.assert_outcomes(passed=1)


def test_a_wrong_function_fails_with_the_report(pytester: pytest.Pytester) -> None:
    done = run(pytester, "def test_it(): assert_attention(forgetful, CAUSAL)")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*LEAK  dependence: query 0 reads key 1, which causal hides*"])


def test_an_expected_failure_passes(pytester: pytest.Pytester) -> None:
    done = run(pytester, "def test_it(): assert_attention(forgetful, CAUSAL, {'dependence': 'issue 12'})")
    done.assert_outcomes(passed=1)


def test_an_expected_failure_that_does_not_occur_fails(pytester: pytest.Pytester) -> None:
    done = run(pytester, "def test_it(): assert_attention(right, CAUSAL, {'dependence': 'issue 12'})")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines([
        "*expected failures that did not occur: dependence (issue 12). Take them out.*"
    ])


def test_an_unknown_check_is_refused(pytester: pytest.Pytester) -> None:
    done = run(pytester, "def test_it(): assert_attention(right, CAUSAL, {'leak': 'issue 12'})")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*'leak' is no check of this contract. Use some of*"])


MARKED = """
@pytest.mark.attention(CAUSAL, expected_failures={expected})
def test_each(): return {function}
"""


def test_the_marker_makes_one_test_a_check(pytester: pytest.Pytester) -> None:
    done = run(pytester, MARKED.format(function="right", expected={}))
    outcomes = done.parseoutcomes()
    assert outcomes["passed"] > 10
    assert not {"failed", "errors", "skipped", "xfailed"} & set(outcomes)


def test_a_marked_check_that_fails(pytester: pytest.Pytester) -> None:
    done = run(pytester, MARKED.format(function="forgetful", expected={}))
    assert done.parseoutcomes()["failed"] == 1
    done.stdout.fnmatch_lines(["FAILED *test_each[[]dependence[]]*"])


def test_a_marked_check_that_is_expected_to_fail(pytester: pytest.Pytester) -> None:
    done = run(pytester, MARKED.format(function="forgetful", expected={"dependence": "issue 12"}))
    assert done.parseoutcomes()["xfailed"] == 1
    assert "failed" not in done.parseoutcomes()


def test_a_marked_check_that_does_not_fail_as_expected(pytester: pytest.Pytester) -> None:
    done = run(pytester, MARKED.format(function="right", expected={"dependence": "issue 12"}))
    assert done.parseoutcomes()["failed"] == 1
    done.stdout.fnmatch_lines(["*dependence was expected to fail (issue 12), and did not*"])


def test_a_marker_without_a_contract_is_refused(pytester: pytest.Pytester) -> None:
    done = run(pytester, "@pytest.mark.attention(3)\ndef test_each(): return right")
    assert done.ret != 0
    done.stdout.fnmatch_lines(["*takes a Contract, then expected_failures=*"])


def test_other_tests_are_left_alone(pytester: pytest.Pytester) -> None:
    run(pytester, "def test_it(): pass").assert_outcomes(passed=1)
