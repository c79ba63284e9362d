"""The self-test's digest: the same at every level, and another one if any result changes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from attnscope import kernels
from attnscope.doctor import EXPECTED_DIGEST, bits, digest

RESULTS = list(bits.results())


@pytest.mark.parametrize("level", kernels.usable_levels())
def test_the_digest_is_the_stored_one_at_every_level(level: str) -> None:
    assert digest(level) == EXPECTED_DIGEST


@pytest.mark.parametrize("place", range(len(RESULTS)))
def test_one_bit_of_any_result_changes_the_digest(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = [result.copy() for result in RESULTS]
    changed[place].view(np.uint8).flat[0] ^= 1
    monkeypatch.setattr(bits, "results", lambda: changed)
    assert digest(kernels.usable_levels()[0]) != EXPECTED_DIGEST


def test_the_results_are_of_every_format_and_finite() -> None:
    assert {str(result.dtype) for result in RESULTS} == {"float32", "bfloat16", "float16"}
    assert all(np.isfinite(result.astype(np.float32)).all() for result in RESULTS)


def test_the_inputs_are_exact_in_every_format_and_fill_their_range() -> None:
    drawn = bits.numbers(1, 4000)
    for dtype in bits.FORMATS:
        assert np.array_equal(drawn.astype(dtype).astype(np.float32), drawn)
    assert set(drawn * 64) == set(range(-128, 128))


def test_every_call_runs_in_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arrays: NDArray[Any], **options: Any) -> Iterator[None]:
        raise AssertionError("the reference ran")

    for name in ("attention", "partial_attention", "gradients"):
        monkeypatch.setattr(f"attnscope.reference.{name}", refuse)
    assert digest(kernels.usable_levels()[0]) == EXPECTED_DIGEST
