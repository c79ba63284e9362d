"""A dozen numbers and statements that lessons on attention often get wrong, and that must be right here.

Each row: the page, what it must say (in its text or printed by its code), and what no page may say.
"""

import re

import pytest

from tests.lesson.page import LESSON, Page, canonical, pages

ERRORS = [
    pytest.param(
        "05-heads.md", "1.24 TB", r"100 ?TB", id="all scores of 96 heads in 96 layers at 8,192 tokens"
    ),
    pytest.param(
        "07-cache.md",
        "21.5 GB =  20.0 GiB",
        r"17\.2 GB",
        id="cache of 80 layers of 8,192 numbers at 8,192 tokens",
    ),
    pytest.param("07-cache.md", "335.5 GB = 312.5 GiB", r"268 GB", id="the same at 128,000 tokens"),
    pytest.param(
        "07-cache.md", "604.0 GB = 562.5 GiB", r"580 GB", id="96 layers of 12,288 numbers at 128,000 tokens"
    ),
    pytest.param(
        "07-cache.md", "**GB** is $10^9$ bytes, **GiB** is $2^{30}$", r"1,056", id="the unit is said"
    ),
    pytest.param(
        "08-flash-attention.md",
        "1.5 to 2.0 times faster than FlashAttention-2",
        r"3 ?[x×] ",
        id="FlashAttention-3",
    ),
    pytest.param(
        "08-flash-attention.md", r"\Theta\!\left(\frac{n^2 d^2}{M}\right)", r"n\^2 d ?/ ?M", id="traffic"
    ),
    pytest.param(
        "08-flash-attention.md",
        r"\Theta(nd + n^2)",
        r"O\(n\^2\)\$? (?:memory )?accesses",
        id="traffic, written out",
    ),
    pytest.param(
        "05-heads.md",
        "The score matrices do *not* shrink with shared keys",
        r"n\^2 ?/ ?[Hh]\b",
        id="grouped scores",
    ),
    pytest.param("03-masks.md", "$i - W + 1, \\dots, i$", r"\[i ?- ?w, ?i ?\+ ?w\]", id="a causal window"),
    pytest.param(
        "10-language-models.md",
        "acts **in the row of $[B]$**",
        r"previous-token head\*? acts at the second",
        id="who acts where",
    ),
    pytest.param(
        "06-positions.md",
        r"\frac{q_i \cdot k_j}{\sqrt{d}} - m_a",
        r"= q_i \\cdot k_j - m",
        id="ALiBi keeps the scale",
    ),
    pytest.param(
        "03-masks.md", "join masks with **and**", r"use `?mask < -1e10", id="masks are joined as booleans"
    ),
]


@pytest.mark.parametrize(("name", "right", "wrong"), ERRORS)
def test_what_is_often_wrong_is_right_here(name: str, right: str, wrong: str) -> None:
    said = " ".join(Page.read(LESSON / name).text.split())
    assert " ".join(right.split()) in said
    for path in pages():
        assert not re.search(wrong, " ".join(path.read_text(encoding="utf-8").split())), path.name


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("05-heads.md", ["1.24 TB"]),
        (
            "07-cache.md",
            ["1.0 GiB", "2.5 GiB", "21.5 GB", "20 GiB", "335.5 GB", "312.5 GiB", "604 GB", "562.5 GiB"],
        ),
        ("08-flash-attention.md", ["1.32", "2.00"]),
    ],
)
def test_the_right_numbers_are_computed(name: str, printed: list[str]) -> None:
    assert {canonical(number) for number in printed} <= Page.read(LESSON / name).printed_numbers()
