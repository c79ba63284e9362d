"""Chunks of queries join to what the whole would have given."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import attnscope as at
from tests.tolerance import of_a_sum

RNG = np.random.default_rng(3)
QUERY, KEY, VALUE = (RNG.standard_normal((2, h, 90, 8)).astype(np.float32) for h in (4, 2, 2))
LABELS = np.arange(90) // 30


def chunk(first: int, end: int, **asked: Any) -> at.Observation:
    segments = LABELS[:end]
    arrays = QUERY[:, :, first:end], KEY[:, :, :end], VALUE[:, :, :end]
    return at.observe(
        *arrays, mask=at.Causal(), segments=segments, top_keys=min(4, end), received=True, **asked
    )


@pytest.mark.parametrize("cuts", [(0, 90), (0, 1, 90), (0, 2, 40, 89, 90)])
def test_joined_chunks_are_the_whole(cuts: tuple[int, ...]) -> None:
    whole = chunk(0, 90)
    joined = at.observation.join(*(chunk(first, end) for first, end in pairwise(cuts)))
    for name, array in vars(whole).items():
        if isinstance(array, np.ndarray) and name != "received":
            assert getattr(joined, name).tobytes() == array.tobytes(), name
    assert whole.received is not None
    assert joined.received is not None
    np.testing.assert_allclose(joined.received, whole.received, rtol=2 * of_a_sum(90))
    assert joined.segment_names == whole.segment_names
    assert (joined.query_len, joined.key_len) == (90, 90)


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ((), "join\\(\\) got no observation"),
        ((chunk(0, 90, block_map_size=3),), "observation 0 has a block map, expected none"),
        ((chunk(0, 50), chunk(50, 90, first_keys=2)), "observation 1 has other statistics"),
        ((chunk(0, 50), at.observe(QUERY, KEY, VALUE)), "observation 1 has other statistics"),
        (
            (chunk(0, 50), at.observe(QUERY[0], KEY[0], VALUE[0])),
            "observation 1 has \\[4\\] batch rows and heads",
        ),
    ],
)
def test_what_does_not_belong_together_is_refused(chunks: Any, message: str) -> None:
    with pytest.raises(at.AttentionError, match=message):
        at.observation.join(*chunks)
