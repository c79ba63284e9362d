"""The reference judges every level of the kernel, over problems that Hypothesis draws."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import attnscope as at
from tests.problems import Case, problems, random_arrays
from tests.tolerance import assert_matches_oracle, assert_within, error_bound

NARROW = ("float32", "bfloat16", "float16")
# The `level` fixture holds for all examples of a test, which is what is wanted.
shared_level = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@given(case=problems(formats=NARROW))
@shared_level
def test_output_and_logsumexp(level: str, case: Case) -> None:
    assert_matches_oracle(at.partial_attention(*case.arrays, **case.options, implementation="kernel"), case)


@given(case=problems(formats=NARROW))
@shared_level
def test_output_in_the_format_of_the_inputs(level: str, case: Case) -> None:
    output = at.attention(*case.arrays, **case.options, implementation="kernel")
    assert output.dtype == case.query.dtype
    assert_matches_oracle(output, case)


@given(case=problems(formats=("float32",), max_tokens=300, max_dim=140, empty=False))
@settings(shared_level, max_examples=15)
def test_larger_problems(level: str, case: Case) -> None:
    assert_matches_oracle(at.partial_attention(*case.arrays, **case.options, implementation="kernel"), case)


@pytest.mark.parametrize("key_len", [8191, 8192, 8193, 3 * 8192 + 70])
@pytest.mark.parametrize("query_len", [1, 20])
def test_rows_longer_than_a_part(level: str, key_len: int, query_len: int) -> None:
    random = random_arrays(0, np.float32)
    case = Case(
        random((1, 2, query_len, 24), 2.0),
        random((1, 1, key_len, 24), 1.0),
        random((1, 1, key_len, 10), 1.0),
        {"mask": at.Causal()},
    )
    assert_matches_oracle(at.partial_attention(*case.arrays, **case.options, implementation="kernel"), case)


@pytest.mark.parametrize("key_dim", [1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 128, 256, 1023, 1024])
@pytest.mark.parametrize("value_dim", [1, 7, 64, 1024])
def test_every_dim_from_1_to_1024(level: str, key_dim: int, value_dim: int) -> None:
    random = random_arrays(key_dim, np.float32)
    for query_len in (1, 50):
        case = Case(
            random((1, 1, query_len, key_dim), 1.0),
            random((1, 1, 70, key_dim), 1.0),
            random((1, 1, 70, value_dim), 1.0),
        )
        assert_matches_oracle(at.attention(*case.arrays, implementation="kernel"), case)


@pytest.mark.parametrize("magnitude", [1e-30, 30.0, 1e3])
def test_extreme_scores(level: str, magnitude: float) -> None:
    random = random_arrays(1, np.float32)
    case = Case(
        random((1, 2, 40, 8), magnitude),
        random((1, 2, 90, 8), 1.0),
        random((1, 2, 90, 8), 1.0),
        {"mask": at.Causal()},
    )
    part = at.partial_attention(*case.arrays, **case.options, implementation="kernel")
    # By the proof alone: among nearly one-hot weights so few entries carry the error that a peer's is an
    # accident.
    oracle, bound = (
        at.reference.partial_attention(*case.arrays, **case.options),
        error_bound(case, arithmetic=np.float32, output=np.float32),
    )
    assert_within(part.output, oracle.output, bound.output, "output")
    assert_within(part.logsumexp, oracle.logsumexp, bound.logsumexp, "logsumexp")


def test_scores_of_1e15_choose_one_key(level: str) -> None:
    random = random_arrays(1, np.float32)
    query, key, value = random((1, 2, 40, 8), 1e15), random((1, 2, 90, 8), 1.0), random((1, 2, 90, 8), 1.0)
    chosen = (query.astype(np.float64) @ key.astype(np.float64).swapaxes(-1, -2)).argmax(axis=-1)
    expected = np.take_along_axis(value, chosen[..., None], axis=2)
    assert np.array_equal(at.attention(query, key, value, implementation="kernel"), expected)
