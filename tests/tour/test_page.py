"""Shades, labels and sizes of the page."""

import pytest

from attnscope.tour.page import shade, size, two_columns


@pytest.mark.parametrize(
    ("weight", "sign"),
    [
        (None, "  "),
        (0.0, "· "),
        (0.0099, "· "),
        (0.01, "░░"),
        (0.1, "▒▒"),
        (0.5, "▓▓"),
        (0.9, "██"),
        (1.0, "██"),
    ],
)
def test_a_weight_has_its_shade(weight: float | None, sign: str) -> None:
    assert shade(weight) == sign


@pytest.mark.parametrize(("label", "drawn"), [("a", "a "), ("注", "注"), ("…", "… ")])
def test_a_label_takes_two_columns(label: str, drawn: str) -> None:
    assert two_columns(label) == drawn


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.00 KiB"),
        (131_072, "128 KiB"),
        (27_787_264, "26.5 MiB"),
        (2**30, "1.00 GiB"),
    ],
)
def test_sizes_are_in_binary_units(amount: int, text: str) -> None:
    assert size(amount) == text
