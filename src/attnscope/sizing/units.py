"""Quantities as text: number formats, tokens, bytes, operations and seconds."""

import re
from fractions import Fraction
from typing import Any

from attnscope.arguments import brief
from attnscope.errors import ConfigError

BITS = {"float32": 32, "bfloat16": 16, "float16": 16, "int8": 8, "fp8": 8, "int4": 4}
FLOATS = ("float32", "bfloat16", "float16")
FORMAT_ALIASES = {
    **dict.fromkeys(("fp32", "f32", "float"), "float32"),
    "bf16": "bfloat16",
    **dict.fromkeys(("fp16", "f16", "half"), "float16"),
    **dict.fromkeys(("i8", "q8_0"), "int8"),
    **dict.fromkeys(("float8", "f8", "fp8_e4m3", "fp8_e5m2", "float8_e4m3fn", "float8_e5m2"), "fp8"),
    **dict.fromkeys(("i4", "q4_0"), "int4"),
}
TOKEN_UNITS = {"": 1, "k": 2**10, "m": 2**20}
BINARY_UNITS = {"TiB": 2**40, "GiB": 2**30, "MiB": 2**20, "KiB": 2**10}  # the largest first
BYTE_UNITS = (
    {"": 1, "b": 1}
    | {letters: 2 ** (10 * power) for power, each in enumerate("kmgt", 1) for letters in (each, f"{each}ib")}
    | {f"{each}b": 10 ** (3 * power) for power, each in enumerate("kmgt", 1)}
)
FLOP_UNITS = {"EFLOP": 1e18, "PFLOP": 1e15, "TFLOP": 1e12, "GFLOP": 1e9, "MFLOP": 1e6, "kFLOP": 1e3}
QUANTITY = re.compile(r"([0-9][0-9_,]*(?:\.[0-9]+)?)\s*([a-z]*)", re.IGNORECASE | re.ASCII)
LONGEST_TEXT = 40


def known_number_format(given: Any) -> str | None:
    """The canonical name of a number format, or None if it is not known.

    >>> known_number_format("bf16"), known_number_format("torch.float16"), known_number_format("float7")
    ('bfloat16', 'float16', None)
    """
    if not isinstance(given, str):
        return None
    word = given.strip().lower().removeprefix("torch.")
    word = FORMAT_ALIASES.get(word, word)
    return word if word in BITS else None


def read_number_format(given: Any, name: str = "kv_dtype") -> str:
    """Return the canonical name of a number format; raise ConfigError if it is not known."""
    known = known_number_format(given)
    if known is None:
        raise ConfigError(f"{name}={brief(given)}: expected one of {', '.join(BITS)}.")
    return known


def bytes_of(numbers: int, number_format: str) -> int:
    """Bytes of so many numbers, rounded up to whole bytes.

    >>> bytes_of(3, "bfloat16"), bytes_of(3, "int4")
    (6, 2)
    """
    return -(-numbers * BITS[number_format] // 8)


def read_tokens(given: str, name: str = "context") -> int:
    """Parse a number of tokens; k is 1,024 and m is 1,048,576.

    Parameters
    ----------
    given : str
        A number with an optional unit, such as "8192" or "128k".
    name : str
        The argument that errors name.

    Returns
    -------
    int
        The number of tokens.

    Raises
    ------
    ConfigError
        If the text is not a whole number of tokens.

    Examples
    --------
    >>> read_tokens("128k"), read_tokens("1m"), read_tokens("8192")
    (131072, 1048576, 8192)
    """
    return _read(
        given,
        TOKEN_UNITS,
        f"{name}={brief(given)}: expected tokens, such as 8192, 128k (131,072) or 1m (1,048,576).",
    )


def read_bytes(given: str, name: str = "memory") -> int:
    """Parse a number of bytes; GiB and g are 2^30, GB is 10^9, and likewise k, m and t.

    Parameters
    ----------
    given : str
        A number with an optional unit, such as "80GiB", "80GB" or "1TiB".
    name : str
        The argument that errors name.

    Returns
    -------
    int
        The number of bytes.

    Raises
    ------
    ConfigError
        If the text is not a whole number of bytes.

    Examples
    --------
    >>> read_bytes("80GiB"), read_bytes("80GB"), read_bytes("1.5g")
    (85899345920, 80000000000, 1610612736)
    """
    return _read(
        given,
        BYTE_UNITS,
        f"{name}={brief(given)}: expected bytes, such as 80GiB (2^30 each), 80GB (10^9) or 80g (GiB).",
    )


def _read(given: str, units: dict[str, int], expected: str) -> int:
    match = QUANTITY.fullmatch(given.strip()) if len(given) <= LONGEST_TEXT else None
    unit = units.get(match.group(2).lower()) if match else None
    if match is None or unit is None:
        raise ConfigError(expected)
    number = Fraction(match.group(1).replace("_", "").replace(",", "")) * unit
    if number.denominator != 1:
        raise ConfigError(f"{expected} The number must be whole.")
    return number.numerator


def largest_unit(number_of_bytes: int) -> tuple[str, int]:
    """The largest binary unit that is not larger than the number, and its bytes."""
    return next(
        ((name, unit) for name, unit in BINARY_UNITS.items() if number_of_bytes >= unit), ("bytes", 1)
    )


def in_units(number_of_bytes: int) -> str:
    """Format bytes in the largest binary unit that fits.

    >>> in_units(131072), in_units(2**30 * 5 // 2), in_units(1000)
    ('128.00 KiB', '2.50 GiB', '1,000 bytes')
    """
    name, unit = largest_unit(number_of_bytes)
    return f"{number_of_bytes:,} bytes" if unit == 1 else f"{number_of_bytes / unit:,.2f} {name}"


def in_flops(flops: float) -> str:
    """Format operations in the largest unit that fits.

    >>> in_flops(2.5e12), in_flops(12.0)
    ('2.50 TFLOP', '12 FLOP')
    """
    for name, scale in FLOP_UNITS.items():
        if flops >= scale:
            return f"{flops / scale:,.2f} {name}"
    return f"{flops:,.0f} FLOP"


def in_seconds(seconds: float) -> str:
    """Format a time in s, ms or us.

    >>> in_seconds(0.0123), in_seconds(4.2e-5), in_seconds(2.5)
    ('12.3 ms', '42.0 us', '2.50 s')
    """
    if seconds >= 1:
        return f"{seconds:,.2f} s"
    return f"{seconds * 1e3:.1f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} us"
