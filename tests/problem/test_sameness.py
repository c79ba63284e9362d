"""Masks and problems are values: immutable, equal by content, usable as keys, the same after any copy."""

import copy
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attnscope as at
from attnscope.problem import Scoring, describe, lower
from tests.problems import masks, sizes

MASKS: list[at.Mask] = [
    at.Causal(),
    at.Causal(offset=[1, 2]),
    at.Window(left=3, right=0, offset=2),
    at.KeyLengths([3, 5]),
    at.KeyRanges([1, 0], [3, 5]),
    at.Prefix(2),
    at.Documents([[1, 1, 2], [3, 4, 4]], offset=[0, 1]),
    at.Dense(np.array([[True, False], [True, True]])),
    at.Causal() & at.KeyLengths(3) | at.Prefix(1),
]
SHAPE = at.AttentionShape(2, 4, 2, 3, 3, 8, 8)


@given(st.data())
def test_masks_compare_hash_copy_and_pickle_by_content(data: st.DataObject) -> None:
    mask = data.draw(masks(data.draw(sizes(max_tokens=20))))
    for again in (copy.copy(mask), copy.deepcopy(mask), pickle.loads(pickle.dumps(mask))):
        assert again == mask
        assert hash(again) == hash(mask)
        assert str(again) == str(mask)
    assert mask != at.Prefix(10**6)
    assert mask != "mask"


def test_different_masks_differ() -> None:
    assert len({*MASKS, *copy.deepcopy(MASKS)}) == len(MASKS)
    assert at.KeyLengths(3) != at.Prefix(3)
    assert at.KeyLengths(3) != at.KeyLengths([3])
    assert at.Causal(offset=[1, 2]) == at.Causal(offset=np.array([1, 2])) == at.Causal(offset=(1, 2))


HASH_ELSEWHERE = """
import pickle, sys
mask, problem = pickle.load(sys.stdin.buffer)
again = pickle.loads(pickle.dumps((mask, problem)))
assert again == (mask, problem)
assert hash(again[0]) == hash(mask) == hash(type(mask)(*mask.identity()))
assert hash(problem) == hash(type(problem)(problem.shape, "float32", mask, problem.scoring))
"""


def test_a_hash_is_made_anew_in_another_process() -> None:
    """The hash of a string is each process's own: one that came with a pickle would be found in no dict."""
    mask = at.Causal() & at.KeyLengths(3)
    problem = at.AttentionProblem(SHAPE, "float32", mask, Scoring(1.0))
    assert {mask, problem}
    subprocess.run(
        [sys.executable, "-c", HASH_ELSEWHERE],
        input=pickle.dumps((mask, problem)),
        env=os.environ | {"PYTHONHASHSEED": "7"},
        check=True,
    )


@pytest.mark.parametrize("mask", MASKS, ids=str)
def test_masks_are_immutable(mask: at.Mask) -> None:
    hash(mask)
    for name in [*vars(mask), "anything"]:
        with pytest.raises(AttributeError):
            setattr(mask, name, 7)
        with pytest.raises(AttributeError):
            delattr(mask, name)
    for array in vars(mask).values():
        if isinstance(array, np.ndarray):
            assert not array.flags.writeable
            with pytest.raises(ValueError, match="WRITEABLE"):
                array.setflags(write=True)


def test_a_mask_keeps_its_content_when_the_argument_changes() -> None:
    visible: Any = np.ones((2, 2), bool)
    ids, lengths, offsets = np.array([0, 1]), np.array([1, 2]), [0, 0]
    dense, documents = at.Dense(visible), at.Documents(ids)
    padding, causal = at.KeyLengths(lengths), at.Causal(offset=offsets)
    visible[:], ids[:], lengths[:], offsets[:] = False, 0, 0, [5, 5]
    assert dense.visible(2, 2).all()
    assert documents.visible(2, 2).tolist() == [[True, False], [False, True]]
    assert padding.visible(1, 2, batch=2)[:, 0, 0].tolist() == [[True, False], [True, True]]
    assert causal.offset == (0, 0)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_problems_are_keys(copied: Any) -> None:
    problem = at.AttentionProblem(SHAPE, "bfloat16", at.Causal(), Scoring(0.5, softcap=3.0))
    assert {problem: 1}[copied(problem)] == 1
    assert problem != at.AttentionProblem(SHAPE, "float16", at.Causal(), Scoring(0.5, softcap=3.0))


def test_threads_that_describe_and_lower_at_once_get_the_same() -> None:
    query = np.zeros((2, 4, 3, 8), np.float32)
    key = np.zeros((2, 2, 3, 8), np.float32)

    def ask(number: int) -> tuple[Any, Any, int]:
        mask = at.Window(left=number % 50) & at.KeyLengths([2, 3])
        problem, _ = describe(query, key, key, mask=mask)
        return problem, lower(problem.mask, problem.shape), hash(mask)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(2000)))
    for number, (problem, spans, hashed) in enumerate(found):
        first = found[number % 50]
        assert (problem, hashed) == (first[0], first[2])
        assert np.array_equal(spans.first_key, first[1].first_key)
        assert np.array_equal(spans.end_key, first[1].end_key)


def test_large_masks_are_not_kept_alive() -> None:
    """What describe() and lower() remember must stay small, whatever they were asked."""
    query = np.zeros((1, 1, 2048, 8), np.float32)
    visible: Any = np.ones((2048, 2048), bool)
    mask = at.Dense(visible)
    before = sys.getrefcount(mask)
    problem, _ = describe(query, query, query, mask=mask)
    assert lower(problem.mask, problem.shape) is not None
    del problem
    assert sys.getrefcount(mask) == before
