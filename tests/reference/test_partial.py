"""Parts of the keys, merged, are the whole."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attnscope as at
from attnscope import reference
from attnscope.errors import AttentionShapeError
from attnscope.result import PartialAttention
from tests.problems import Case, problems
from tests.reference.test_definition import small_case
from tests.tolerance import assert_within, error_bound


def parts_of(case: Case, cuts: list[int]) -> list[PartialAttention]:
    """Partials of the keys between the cuts; the first takes the sinks."""
    edges = [0, *sorted(cuts), case.key.shape[2]]
    parts: list[PartialAttention] = []
    for first, end in pairwise(edges):
        options: dict[str, Any] = {k: v for k, v in case.options.items() if k in ("scale", "softcap")}
        if first == 0 and not parts and "sinks" in case.options:
            options["sinks"] = case.options["sinks"]
        keys = slice(first, end)
        parts.append(
            reference.partial_attention(case.query, case.key[:, :, keys], case.value[:, :, keys], **options)
        )
    return parts


@given(problems(max_tokens=20, max_dim=5), st.data())
def test_splitting_and_merging_is_the_whole(case: Case, data: st.DataObject) -> None:
    options = {k: v for k, v in case.options.items() if k in ("scale", "softcap", "sinks")}
    plain = Case(*case.arrays, options)
    cuts = data.draw(st.lists(st.integers(0, case.key.shape[2]), max_size=4))
    whole = reference.partial_attention(*plain.arrays, **options)
    merged = reference.merge_partials(*parts_of(plain, cuts))
    bound = error_bound(plain, arithmetic=np.float64, output=np.float64)
    assert_within(merged.output, whole.output, bound.output, "output")
    assert_within(merged.logsumexp, whole.logsumexp, bound.logsumexp, "logsumexp")


def nothing_seen(like: PartialAttention) -> PartialAttention:
    return PartialAttention(np.zeros_like(like.output), np.full_like(like.logsumexp, -np.inf))


def test_an_empty_part_changes_nothing() -> None:
    part = reference.partial_attention(*small_case().arrays)
    for merged in (
        reference.merge_partials(part, nothing_seen(part)),
        reference.merge_partials(nothing_seen(part), part),
    ):
        np.testing.assert_array_equal(merged.output, part.output)
        np.testing.assert_array_equal(merged.logsumexp, part.logsumexp)


def test_empty_parts_merge_to_an_empty_part() -> None:
    nothing = nothing_seen(reference.partial_attention(*small_case().arrays))
    merged = reference.merge_partials(nothing, nothing)
    assert not merged.output.any()
    assert np.isneginf(merged.logsumexp).all()


def test_a_nan_in_one_part_stays_in_its_rows() -> None:
    part = reference.partial_attention(*small_case().arrays)
    broken = PartialAttention(part.output.copy(), part.logsumexp.copy())
    broken.output[0, 0, 1], broken.logsumexp[0, 0, 1] = np.nan, np.nan
    merged = reference.merge_partials(part, broken)
    assert np.isnan(merged.output).all(axis=-1).sum() == 1
    assert np.isnan(merged.logsumexp[0, 0, 1])


def test_merging_nothing_is_refused() -> None:
    with pytest.raises(
        AttentionShapeError, match=r"merge_partials\(\) got no partial, expected at least one"
    ):
        reference.merge_partials()


def test_partials_of_other_queries_are_refused() -> None:
    part = reference.partial_attention(*small_case().arrays)
    shorter = PartialAttention(part.output[:, :, 1:], part.logsumexp[:, :, 1:])
    with pytest.raises(
        AttentionShapeError, match=r"partial 1 has output \(1, 2, 3, 2\).*expected \(1, 2, 4, 2\)"
    ):
        reference.merge_partials(part, shorter)


def test_a_partial_has_the_axes_of_its_query() -> None:
    for rank in (2, 3, 4):
        arrays = [np.ones((1, 2, 3, 4)[4 - rank :], np.float32)] * 3
        for part in (
            at.partial_attention(*arrays),
            reference.partial_attention(*arrays),
            reference.blockwise(*arrays),
        ):
            assert part.output.shape == at.attention(*arrays).shape
            assert part.logsumexp.shape == part.output.shape[:-1]
