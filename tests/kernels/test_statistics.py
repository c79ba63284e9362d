"""What the kernel observes: the reference's values, the same bits for any request, an unchanged output."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import attnscope as at
from attnscope import kernels
from attnscope.problem import Questions, describe, read_questions
from attnscope.result import Statistics
from tests.problems import Case, problems, random_arrays
from tests.statistics import assert_statistics

NARROW = ("float32", "bfloat16", "float16")
shared_level = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def observe(case: Case, threads: int | None = None, **asked: Any) -> tuple[Any, Statistics, Questions]:
    problem, operands = describe(*case.arrays, **case.options)
    questions = read_questions(problem.shape, **asked)
    output, seen = kernels.observe(problem, operands, questions, threads=threads)
    return output, seen, questions


@st.composite
def questions(draw: st.DrawFn, case: Case) -> dict[str, Any]:
    key_len, (batch, heads, query_len, _) = case.key.shape[2], case.query.shape
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    labels = rng.integers(
        0, draw(st.sampled_from([1, 2, 7, 64])), (draw(st.sampled_from([1, batch])), key_len)
    )
    if draw(st.booleans()):
        labels = np.sort(labels, axis=-1)
    counted = rng.standard_normal((batch, heads, query_len)).astype(np.float32)
    return {
        "segments": draw(st.sampled_from([None, labels])),
        "first_keys": draw(st.sampled_from([4, 0, 1, 70])),
        "top_keys": draw(st.integers(0, min(8, key_len))),
        "received": draw(st.sampled_from([False, True, counted])),
        "block_map_size": draw(st.none() | st.integers(1, key_len)) if key_len else None,
    }


@given(data=st.data(), case=problems(formats=NARROW))
@shared_level
def test_every_statistic_equals_the_reference(level: str, data: st.DataObject, case: Case) -> None:
    output, seen, asked = observe(case, **data.draw(questions(case)))
    assert output.tobytes() == at.attention(*case.arrays, **case.options, implementation="kernel").tobytes()
    assert_statistics(seen, case, asked)


@pytest.mark.parametrize("key_len", [8192, 8193, 2 * 8192 + 70])
@pytest.mark.parametrize("query_len", [1, 20])
@pytest.mark.parametrize("sinks", [None, [1.0, 9.0]])
def test_rows_longer_than_a_part(level: str, key_len: int, query_len: int, sinks: Any) -> None:
    random = random_arrays(0, np.float32)
    case = Case(
        random((1, 2, query_len, 24), 2.0),
        random((1, 1, key_len, 24), 1.0),
        random((1, 1, key_len, 10), 1.0),
        {"mask": at.Causal(), "sinks": sinks},
    )
    labels = np.arange(key_len) * 5 // key_len
    _, seen, asked = observe(case, segments=labels, top_keys=20, received=True, block_map_size=40)
    assert_statistics(seen, case, asked)


def every_array(seen: Statistics) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in vars(seen).items() if array is not None}


def some_case(query_len: int = 150, **options: Any) -> Case:
    random = random_arrays(3, np.float32)
    shapes = ((2, 6, query_len, 37), (2, 2, 150, 37), (2, 2, 150, 21))
    query, key, value = (random(shape, 1.5) for shape in shapes)
    return Case(query, key, value, {"mask": at.Causal(), **options})


ASKED: dict[str, Any] = {
    "segments": np.random.default_rng(1).integers(0, 9, 150),
    "top_keys": 6,
    "received": True,
    "block_map_size": 11,
}


@pytest.mark.parametrize("options", [{}, {"sinks": [0.5] * 6, "softcap": 3.0, "alibi_slopes": [0.1] * 6}])
def test_every_level_and_number_of_threads_gives_the_same_bits(options: dict[str, Any]) -> None:
    first = None
    for name in kernels.usable_levels():
        with kernels.forced_level(name):
            for threads in (1, 2, 5):
                bits = every_array(observe(some_case(**options), threads=threads, **ASKED)[1])
                first = first or bits
                assert bits == first, (name, threads)


@pytest.mark.parametrize("key_len", [150, 8192 + 70])
def test_a_row_alone_has_the_bits_that_it_has_among_others(level: str, key_len: int) -> None:
    random = random_arrays(5, np.float32)
    query, key, value = (random((1, heads, key_len, 12), 1.0) for heads in (6, 2, 2))
    query = query[:, :, -150:]
    asked: dict[str, Any] = {"segments": np.arange(key_len) % 5, "top_keys": 4}
    options: dict[str, Any] = {"mask": at.Causal(), "sinks": [0.5] * 6}
    whole = observe(Case(query, key, value, options), **asked)[1]
    for row, count in ((149, 1), (148, 2), (130, 3), (100, 20)):
        end = key_len - 150 + row + count
        own = {"segments": asked["segments"][:end], "top_keys": 4}
        case = Case(query[:, :, row : row + count], key[:, :, :end], value[:, :, :end], options)
        part = observe(case, **own)[1]
        for name, array in vars(part).items():
            if array is not None:
                assert array.tobytes() == getattr(whole, name)[:, :, row : row + count].tobytes(), (name, row)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("query_len", [1, 2, 9, 150])
def test_hidden_slots_change_no_bit(level: str, poison: float, query_len: int) -> None:
    lengths = at.KeyLengths([70, 133])
    clean = some_case(query_len, mask=lengths)
    key, value = clean.key.copy(), clean.value.copy()
    for row, length in enumerate((70, 133)):
        key[row, :, length:] = value[row, :, length:] = poison
    dirty = Case(clean.query, key, value, clean.options)
    assert every_array(observe(clean, **ASKED)[1]) == every_array(observe(dirty, **ASKED)[1])


def test_a_row_with_a_nan_says_so_and_reaches_no_other(level: str) -> None:
    clean = some_case()
    query = clean.query.copy()
    query[0, 1, 40] = np.nan
    dirty = observe(Case(query, clean.key, clean.value, clean.options), **ASKED)[1]
    whole = observe(clean, **ASKED)[1]
    names = (
        "entropy",
        "max_weight",
        "first_mass",
        "mean_distance",
        "sink_mass",
        "segment_mass",
        "top_weights",
    )
    for name in names:
        array, other = getattr(dirty, name), getattr(whole, name)
        assert np.isnan(array[0, 1, 40]).all(), name
        array[0, 1, 40] = other[0, 1, 40]
        assert array.tobytes() == other.tobytes(), name
    assert dirty.max_key[0, 1, 40] == -1
    assert dirty.top_keys is not None
    assert (dirty.top_keys[0, 1, 40] == -1).all()


def test_a_row_that_sees_no_key_is_zero(level: str) -> None:
    case = some_case(mask=at.KeyLengths([0, 150]))
    seen = observe(case, **ASKED)[1]
    for name in (
        "entropy",
        "max_weight",
        "first_mass",
        "mean_distance",
        "segment_mass",
        "received",
        "block_map",
    ):
        assert (getattr(seen, name)[0] == 0).all(), name
    assert (seen.max_key[0] == -1).all()
    assert np.isneginf(seen.logsumexp[0]).all()


def test_one_visible_key_has_it_all(level: str) -> None:
    visible = np.zeros((150, 150), bool)
    visible[np.arange(150), 149 - np.arange(150)] = True
    seen = observe(some_case(mask=visible), **ASKED)[1]
    assert (seen.entropy == 0).all()
    assert (seen.max_weight == 1).all()
    assert (seen.max_key == 149 - np.arange(150)).all()
    assert (seen.mean_distance == np.abs(2 * np.arange(150) - 149)).all()


def test_of_equal_keys_the_first_is_named(level: str) -> None:
    query, key = np.ones((60, 4), np.float32), np.ones((200, 4), np.float32)
    for rows in (60, 2):
        case = Case(query[None, None, :rows], key[None, None], key[None, None])
        seen = observe(case, top_keys=5)[1]
        assert (seen.max_key == 0).all()
        assert seen.top_keys is not None
        assert (seen.top_keys == np.arange(5)).all()


def test_a_gradual_rise_moves_everything_to_new_maxima(level: str) -> None:
    """Scores that rise from key to key: each block's sums shrink, again and again."""
    key = (np.arange(300.0)[:, None] / 40).astype(np.float32)
    for rows in (1, 30):
        query = np.ones((1, 1, rows, 1), np.float32)
        case = Case(query, key[None, None], key[None, None])
        _, seen, asked = observe(
            case, segments=np.arange(300) // 60, top_keys=3, received=True, block_map_size=5
        )
        assert_statistics(seen, case, asked)


def test_too_many_keys_are_refused_before_any_work() -> None:
    few = np.zeros((1, 1, 1, 1), np.float32)
    many = np.broadcast_to(few, (1, 1, 2**24, 1))
    with pytest.raises(
        at.UnsupportedProblemError, match="key_len=16777216: statistics take fewer than 16777216 keys"
    ):
        observe(Case(few, many, many))
