"""Correct implementations, and behaviour that only resembles a bug: an audit finds nothing."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import attnscope as at
from attnscope.audit import Contract, tokens_first
from tests.audit.correct import CORRECT, Blockwise, NaiveInItsFormat, ours
from tests.audit.plain import EVERYTHING, Plain
from tests.audit.unhurried import attention

# These have no logsumexp of a single row, and no sinks
WITHOUT: dict[str, Any] = {
    "MaskAfterSoftmaxNormalisedAgain": {"logsumexp": False, "sinks": False},
    "RowConstantBias": {"logsumexp": False, "sinks": False},
}


@pytest.mark.parametrize("name", CORRECT)
def test_nothing_is_found(name: str) -> None:
    contract = replace(EVERYTHING, **WITHOUT.get(name, {}))
    report = attention(CORRECT[name], contract)
    assert report.ok, str(report)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("function", [Plain(), Blockwise()], ids=["plain", "blockwise"])
def test_nothing_is_found_with_another_seed(function: Any, seed: int) -> None:
    report = attention(function, EVERYTHING, seed=seed)
    assert report.ok, str(report)


@pytest.mark.parametrize("number_format", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("function", [ours, Plain(), NaiveInItsFormat()], ids=["ours", "plain", "naive"])
def test_rounding_is_no_finding(function: Any, number_format: str) -> None:
    report = attention(function, replace(EVERYTHING, dtypes=("float32", number_format)))
    assert report.ok, str(report)


@pytest.mark.parametrize("number_format", ["float16", "bfloat16", "float64"])
def test_one_format_alone_is_audited_in_it(number_format: str) -> None:
    report = attention(ours, replace(EVERYTHING, dtypes=(number_format,)))
    assert report.ok, str(report)


def test_a_mask_after_the_softmax_is_reported_without_a_finding() -> None:
    name = "MaskAfterSoftmaxNormalisedAgain"
    report = attention(CORRECT[name], replace(EVERYTHING, **WITHOUT[name]))
    assert any("masks after its softmax" in each for each in report.not_covered)


def test_alignment_to_the_start_is_right_if_it_is_declared() -> None:
    def from_start(query: Any, key: Any, value: Any, *, causal: bool) -> Any:
        return at.attention(query, key, value, mask=at.Causal(offset=0) if causal else None)

    assert attention(from_start, Contract(causal=True, alignment="start")).ok
    assert not attention(from_start, Contract(causal=True)).ok


def test_always_causal_never_passes_the_option() -> None:
    def decoder(query: Any, key: Any, value: Any) -> Any:
        return at.attention(query, key, value, mask=at.Causal())

    assert attention(decoder, Contract(causal="always")).ok
    assert not attention(decoder, Contract()).ok


def test_tokens_first() -> None:
    def on_tokens(query: Any, key: Any, value: Any, *, causal: bool) -> Any:
        arrays = (np.ascontiguousarray(array.swapaxes(1, 2)) for array in (query, key, value))
        return at.attention(*arrays, mask=at.Causal() if causal else None).swapaxes(1, 2)

    assert attention(tokens_first(on_tokens), Contract(causal=True)).ok


class ForeignArray:
    """Another library's array, which NumPy can read."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array
        self.ndim = array.ndim

    def swapaxes(self, first: int, second: int) -> "ForeignArray":
        return ForeignArray(self.array.swapaxes(first, second))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.array, dtype, copy=copy)


def test_tokens_first_swaps_another_library_s_arrays_too() -> None:
    def on_tokens(query: Any, key: Any, value: Any) -> ForeignArray:
        arrays = (np.ascontiguousarray(array.swapaxes(1, 2)) for array in (query, key, value))
        return ForeignArray(at.attention(*arrays).swapaxes(1, 2))

    assert attention(tokens_first(on_tokens), Contract()).ok


def test_an_undeclared_option_is_never_passed() -> None:
    seen: set[str] = set()

    def asked(query: Any, key: Any, value: Any, **options: Any) -> Any:
        seen.update(options)
        return at.attention(query, key, value)

    assert attention(asked, Contract()).ok
    assert seen == set()
    attention(asked, Contract(scale=True))
    assert seen == {"scale"}


def test_the_same_seed_asks_the_same() -> None:
    first, second = (attention(Plain(), Contract(causal=True)) for _ in range(2))
    assert first.calls == second.calls


def test_progress_rises_from_0_to_1() -> None:
    shares: list[float] = []
    attention(Plain(), Contract(causal=True), progress=lambda share, step: shares.append(share))
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert len(shares) > 100
