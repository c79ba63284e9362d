"""Names of number formats, and how many bits an element takes."""

from typing import Any

from attnscope.arguments import brief
from attnscope.errors import ConfigError

BITS = {"float32": 32, "bfloat16": 16, "float16": 16, "int8": 8, "fp8": 8, "int4": 4}
SHORT = {
    "fp32": "float32", "f32": "float32", "float": "float32",
    "bf16": "bfloat16",
    "fp16": "float16", "f16": "float16", "half": "float16",
    "i8": "int8", "q8_0": "int8",
    "float8": "fp8", "f8": "fp8", "fp8_e4m3": "fp8", "fp8_e5m2": "fp8", "float8_e4m3fn": "fp8", "float8_e5m2": "fp8",
    "i4": "int4", "q4_0": "int4",
}  # fmt: skip


def read_number_format(given: Any, name: str = "kv_dtype") -> str:
    """The long name of a number format.

    Errors
        ConfigError.

    >>> read_number_format("bf16"), read_number_format("torch.float16")
    ('bfloat16', 'float16')
    """
    if isinstance(given, str):
        word = given.strip().lower().removeprefix("torch.")
        word = SHORT.get(word, word)
        if word in BITS:
            return word
    raise ConfigError(f"{name}={brief(given)}: expected one of {', '.join(BITS)}.")


def bytes_of(numbers: int, number_format: str) -> int:
    """Bytes of so many numbers, the last byte filled up.

    >>> bytes_of(3, "bfloat16"), bytes_of(3, "int4")
    (6, 2)
    """
    return -(-numbers * BITS[number_format] // 8)
