"""Tokens and bytes as people write them: 128k, 80GiB."""

import re
from fractions import Fraction

from attnscope.arguments import brief
from attnscope.errors import ConfigError

TOKENS = {"": 1, "k": 2**10, "m": 2**20}
BYTES = {
    "": 1, "b": 1,
    "k": 2**10, "kib": 2**10, "kb": 10**3,
    "m": 2**20, "mib": 2**20, "mb": 10**6,
    "g": 2**30, "gib": 2**30, "gb": 10**9,
    "t": 2**40, "tib": 2**40, "tb": 10**12,
}  # fmt: skip
WRITTEN = re.compile(r"([0-9][0-9_,]*(?:\.[0-9]+)?)\s*([a-z]*)", re.IGNORECASE | re.ASCII)
LONGEST = 40


def read_tokens(given: str, name: str = "context") -> int:
    """A number of tokens: k is 1,024 and m 1,048,576.

    Errors
        ConfigError.

    >>> read_tokens("128k"), read_tokens("1m"), read_tokens("8192")
    (131072, 1048576, 8192)
    """
    return _read(
        given,
        TOKENS,
        f"{name}={brief(given)}: expected tokens, such as 8192, 128k (131,072) or 1m (1,048,576).",
    )


def read_bytes(given: str, name: str = "memory") -> int:
    """A number of bytes: GiB and g are 2^30, GB is 10^9; KiB, MiB and TiB likewise.

    Errors
        ConfigError.

    >>> read_bytes("80GiB"), read_bytes("80GB"), read_bytes("1.5g")
    (85899345920, 80000000000, 1610612736)
    """
    return _read(
        given,
        BYTES,
        f"{name}={brief(given)}: expected bytes, such as 80GiB (2^30 each), 80GB (10^9) or 80g (GiB).",
    )


def _read(given: str, units: dict[str, int], expected: str) -> int:
    match = WRITTEN.fullmatch(given.strip()) if len(given) <= LONGEST else None
    unit = units.get(match.group(2).lower()) if match else None
    if match is None or unit is None:
        raise ConfigError(expected)
    number = Fraction(match.group(1).replace("_", "").replace(",", "")) * unit
    if number.denominator != 1:
        raise ConfigError(f"{expected} This is no whole number of them.")
    return number.numerator
