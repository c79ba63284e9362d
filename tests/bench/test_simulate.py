"""The simulation: its counts by hand, its table, its errors."""

import numpy as np
import pytest

import attnscope as at
from attnscope.bench import simulate


def test_it_counts_what_one_counts_by_hand() -> None:
    steps = simulate(3, 2, query_heads=4, kv_heads=2, key_dim=8, value_dim=6)
    assert steps.query_len.tolist() == [3, 1, 1]
    assert steps.key_len.tolist() == [3, 4, 5]
    pairs = np.array([1 + 2 + 3, 4, 5])
    assert steps.flops.tolist() == (pairs * 4 * (8 + 6) * 2).tolist()
    token_bytes, query_bytes = 2 * (8 + 6) * 4, 4 * 8 * 4
    assert steps.bytes_read.tolist() == [
        3 * token_bytes + 3 * query_bytes,
        4 * token_bytes + query_bytes,
        5 * token_bytes + query_bytes,
    ]
    assert steps.cache_bytes == 64 * token_bytes  # one page
    assert (steps.measured_seconds > 0).all()


@pytest.mark.parametrize(("dtype", "token_bytes"), [("bfloat16", 2 * 16 * 2), ("int8", 2 * 16 + 2 * 4)])
def test_it_reads_what_the_format_stores(dtype: str, token_bytes: int) -> None:
    steps = simulate(10, 1, query_heads=1, kv_heads=1, key_dim=16, dtype=dtype)
    assert np.diff(steps.bytes_read - steps.query_len * 16 * (4 if dtype == "int8" else 2)).tolist() == [
        token_bytes
    ]


def test_a_prefill_is_compute_bound_and_a_decode_step_memory_bound() -> None:
    steps = simulate(1000, 20, query_heads=8, kv_heads=8, key_dim=64)
    assert steps.bound == ["compute"] + ["memory"] * 20
    assert steps.intensity[0] > steps.hardware.ridge > steps.intensity[1:].max()
    expected = np.maximum(
        steps.flops / steps.hardware.flops_per_second,
        steps.bytes_read / steps.hardware.bytes_per_second,
    )
    assert steps.predicted_seconds.tolist() == expected.tolist()


def test_its_table_shows_the_prefill_and_a_few_rows_of_decode() -> None:
    lines = repr(simulate(64, 20, query_heads=2, kv_heads=1, key_dim=8)).splitlines()
    assert lines[2].split() == [
        "step",
        "tokens",
        "FLOP/byte",
        "MiB",
        "read",
        "measured",
        "predicted",
        "limit",
    ]
    assert [line.split()[0] for line in lines[3:]] == ["prefill"] + ["decode"] * 8
    assert lines[4].split()[1:4] == ["65", "to", "66"]
    assert lines[-1].split()[1:4] == ["82", "to", "84"]


def test_a_prompt_alone_is_a_table_too() -> None:
    lines = repr(simulate(5, 0, query_heads=1, kv_heads=1, key_dim=4)).splitlines()
    assert len(lines) == 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: simulate(0, 1), "prompt_tokens=0: expected 1 or more"),
        (lambda: simulate(1, -1), "new_tokens=-1: expected 0 or more"),
        (lambda: simulate(1, 1, query_heads=3, kv_heads=2), "query_heads=3 cannot share kv_heads=2"),
        (lambda: simulate(1, 1, dtype="float64"), "dtype='float64': expected"),
        (lambda: simulate(1, 1, threads=0), "threads=0"),
    ],
)
def test_what_cannot_be_simulated_is_refused(call: object, message: str) -> None:
    with pytest.raises(at.AttentionError, match=message):
        call()  # type: ignore[operator]
