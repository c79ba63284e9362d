"""attnscope bench: what it counts, and what it prints."""

import json
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import attnscope as at
from attnscope.bench import BenchCase, case_of, masked, visible_pairs
from attnscope.cli import main

SMALL = [
    "bench",
    "--query-heads",
    "4",
    "--query-len",
    "64",
    "--key-dim",
    "32",
    "--repeat",
    "2",
    "--threads",
    "1",
]
CASE: dict[str, Any] = {
    "batch": 2,
    "query_heads": 4,
    "kv_heads": None,
    "query_len": 5,
    "key_len": None,
    "key_dim": 8,
    "value_dim": None,
    "number_format": "float32",
    "causal": False,
    "window": None,
    "threads": 1,
    "repeat": 1,
}


def case(**changes: Any) -> BenchCase:
    return case_of(CASE | changes)


@pytest.mark.parametrize("key_len", [3, 5, 9])
@pytest.mark.parametrize("mask", [{}, {"causal": True}, {"window": 1}, {"window": 3}, {"window": 99}])
def test_pairs_are_counted_as_the_mask_shows_them(key_len: int, mask: dict[str, Any]) -> None:
    asked = case(key_len=key_len, **mask)
    visible = np.ones((5, key_len), bool) if asked.mask is None else asked.mask.visible(5, key_len)
    pairs, keys_seen = visible_pairs(asked)
    assert pairs == 2 * 4 * visible.sum()
    assert keys_seen == visible.any(axis=0).sum()


def test_what_is_left_open_follows_its_counterpart() -> None:
    asked = case()
    assert (asked.kv_heads, asked.key_len, asked.value_dim) == (4, 5, 8)
    assert masked(asked) == "no mask"
    assert asked.mask is None
    assert case(window=512).mask == at.Window(left=511, right=0)


def test_json_has_the_measurement() -> None:
    done = CliRunner().invoke(main, [*SMALL, "--causal", "--json"])
    assert done.exit_code == 0, done.output
    measured = json.loads(done.stdout)
    assert measured["visible_pairs"] == 4 * 64 * 65 // 2
    assert measured["least_seconds"] <= measured["median_seconds"] <= measured["most_seconds"]
    flops = 2 * (32 + 32) * measured["visible_pairs"] / measured["median_seconds"]
    assert measured["flops_per_second"] == pytest.approx(flops)
    assert measured["case"]["kv_heads"] == 4


@pytest.mark.parametrize("number_format", ["float32", "bfloat16", "float16", "float64"])
def test_the_table_names_what_ran(number_format: str) -> None:
    done = CliRunner().invoke(main, [*SMALL, "--window", "8", "--dtype", number_format])
    assert done.exit_code == 0, done.output
    printed = " ".join(done.stdout.split())
    assert (
        f"batch 1, 4 query heads on 4 kv heads, query_len 64, key_len 64, dims 32 and 32, {number_format}"
        in printed
    )
    assert "window 8" in printed
    assert "median of 2" in printed
    assert ("by the reference" in printed) == (number_format == "float64" or at.kernels.level() is None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--kv-heads", "3"], "kv_heads=3"),
        (["--key-dim", "2000"], "2000"),
        (["--batch", "100000000"], "GiB to be drawn, and this machine has"),
        (["--query-len", "0"], "0 is not in the range x>=1"),
        (["--dtype", "int8"], "'int8' is not one of 'float32'"),
    ],
)
def test_sizes_that_make_no_sense_end_with_a_message_and_code_2(options: list[str], message: str) -> None:
    done = CliRunner().invoke(main, [*SMALL, *options])
    assert done.exit_code == 2
    assert message in done.stderr
