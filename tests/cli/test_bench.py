"""attnscope bench: what it counts, and what it prints."""

import json
import re
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import attnscope as at
from attnscope.bench import BenchCase, case_of
from attnscope.bench.call import visible_pairs
from attnscope.bench.decode import DecodeCase, decode_cases, filled_cache
from attnscope.bench.report import mask_name
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
    assert mask_name(asked) == "no mask"
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
        (["--batch", "100000000"], "GiB, and this machine has"),
        (["--query-len", "0"], "0 is not in the range x>=1"),
        (["--dtype", "int4"], "'int4' is not one of 'float32'"),
    ],
)
def test_sizes_that_make_no_sense_end_with_a_message_and_code_2(options: list[str], message: str) -> None:
    done = CliRunner().invoke(main, [*SMALL, *options])
    assert done.exit_code == 2
    assert message in done.stderr


DECODE = ["bench", "--decode", "--query-heads", "4", "--key-dim", "16", "--repeat", "1", "--threads", "1"]


def decode_case(**changes: Any) -> DecodeCase:
    sizes: dict[str, Any] = {
        "batch": 2,
        "query_heads": 4,
        "kv_heads": 2,
        "key_len": 100,
        "key_dim": 8,
        "value_dim": 6,
    }
    options: dict[str, Any] = {"number_format": "float32", "page_tokens": 16, "threads": 1, "repeat": 1}
    return DecodeCase(**(sizes | options | changes))


def test_decode_asks_for_three_lengths_unless_one_is_given() -> None:
    options = {
        "batch": 1,
        "query_heads": None,
        "kv_heads": None,
        "key_len": None,
        "key_dim": 128,
        "value_dim": None,
        "number_format": "float32",
        "page_tokens": None,
        "threads": None,
        "repeat": 9,
    }
    cases = decode_cases(options)
    assert [(c.query_heads, c.kv_heads, c.key_len, c.value_dim) for c in cases] == [
        (32, 8, 4096, 128),
        (32, 8, 32768, 128),
        (32, 8, 131072, 128),
    ]
    assert [c.key_len for c in decode_cases(options | {"key_len": 7, "query_heads": 2})] == [7]


@pytest.mark.parametrize(
    ("number_format", "row_bytes"), [("float32", 56), ("bfloat16", 28), ("int8", 14 + 8)]
)
def test_decode_counts_what_the_cache_stores(number_format: str, row_bytes: int) -> None:
    case = decode_case(number_format=number_format)
    assert case.bytes_read == 2 * 2 * 100 * row_bytes


def test_decode_takes_layers_in_turn_until_no_cache_holds_them() -> None:
    case = decode_case(key_len=10_000, key_dim=512, value_dim=512)
    assert case.layers == 2  # 156 MiB each
    cache, sequences, query = filled_cache(case)
    assert cache.tokens(sequences[1]) == 10_000
    assert cache.attend(sequences, 1, query).shape == (2, 4, 1, 512)


def test_decode_prints_a_row_a_length() -> None:
    done = CliRunner().invoke(main, [*DECODE, "--key-len", "30000", "--kv-heads", "2", "--dtype", "int8"])
    assert done.exit_code == 0, done.output
    printed = " ".join(done.stdout.split())
    assert "1 sequence, 4 query heads on 2 kv heads" in printed
    assert "a int8" not in printed
    assert "30,000" in printed
    assert "GB/s of a streaming read" in printed


def test_decode_json_has_a_list_of_measurements() -> None:
    done = CliRunner().invoke(main, [*DECODE, "--key-len", "30000", "--json"])
    assert done.exit_code == 0, done.output
    (measured,) = json.loads(done.stdout)
    assert measured["bytes_read"] == 30_000 * 1 * 32 * 4
    share = measured["bytes_per_second"] / measured["read_bandwidth_bytes_per_second"]
    assert measured["share_of_read_bandwidth"] == pytest.approx(share)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--decode", "--causal"], "--causal applies only without --decode"),
        (["--decode", "--window", "5"], "--window applies only without --decode"),
        (["--decode", "--query-len", "2"], "--query-len applies only without --decode"),
        (["--decode", "--dtype", "float64"], "--dtype float64 applies only without --decode"),
        (["--page-tokens", "8"], "--page-tokens applies only with --decode"),
        (["--dtype", "int8"], "--dtype int8 applies only with --decode"),
        (
            ["--decode", "--query-heads", "3", "--kv-heads", "2", "--key-len", "64"],
            "query_heads=3 cannot share",
        ),
        (["--decode", "--batch", "100000"], "the cache takes 3,125.* GiB, and this machine has"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: list[str], message: str) -> None:
    done = CliRunner().invoke(main, ["bench", *options])
    assert done.exit_code == 2
    assert re.search(message, " ".join(done.output.split()))
