"""Tokens and bytes as people write them."""

import pytest

import attnscope as at
from attnscope.sizing.units import read_bytes, read_tokens


@pytest.mark.parametrize(
    ("written", "tokens"),
    [
        ("1", 1),
        ("8192", 8192),
        ("8_192", 8192),
        ("8,192", 8192),
        ("128k", 131_072),
        ("128K", 131_072),
        ("1m", 1_048_576),
        ("1.5k", 1536),
    ],
)
def test_tokens(written: str, tokens: int) -> None:
    assert read_tokens(written) == tokens


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("512", 512),
        ("80GiB", 80 * 2**30),
        ("80 gib", 80 * 2**30),
        ("80g", 80 * 2**30),
        ("80GB", 80 * 10**9),
        ("1TB", 10**12),
        ("1TiB", 2**40),
        ("1.5GiB", 3 * 2**29),
        ("4MiB", 2**22),
        ("4kB", 4000),
    ],
)
def test_bytes(written: str, number: int) -> None:
    assert read_bytes(written) == number


@pytest.mark.parametrize(
    "written", ["", "k", "-1", "1e3", "nan", "0x10", "128kk", "128 GiB", "1.0001k", "٣", "9" * 50]
)
def test_what_are_no_tokens_is_refused(written: str) -> None:
    with pytest.raises(
        at.ConfigError, match=r"context=.*: expected tokens, such as 8192, 128k \(131,072\) or 1m"
    ):
        read_tokens(written)


@pytest.mark.parametrize("written", ["", "GiB", "-1g", "80 gigs", "80Gb it", "nan", "0.3b"])
def test_what_are_no_bytes_is_refused(written: str) -> None:
    with pytest.raises(
        at.ConfigError, match=r"memory=.*: expected bytes, such as 80GiB \(2\^30 each\), 80GB"
    ):
        read_bytes(written)
