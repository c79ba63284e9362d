"""The page: small, safe from any text, and with an ordered palette."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from attnscope.inspection import (
    AttributionRequest,
    Inspection,
    InspectionError,
    Request,
    attribute,
    inspect,
    page,
)
from attnscope.inspection.text import shown_name
from attnscope.inspection.viewer.data import top_keys_kept, viewer_data
from attnscope.inspection.viewer.page import asset
from tests.inspection.made import random_inspection
from tests.inspection.test_packing import unpacked as unpacked_of
from tests.tolerance import of_a_sum

HOSTILE = (
    "</script><script>alert(1)</script><!--<script> ]]> &amp; \" ' ${x} $policy \u2028 \x00 \u202e</style><b>"
)


def data_of(html: str) -> dict[str, object]:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    found: dict[str, object] = json.loads(text)
    return found


@pytest.fixture(scope="module")
def hostile() -> str:
    found = random_inspection(1, 2, 6, pieces=tuple(HOSTILE for _ in range(6)))
    assert found.segments is not None
    segments = replace(found.segments, names=(HOSTILE, "b", "c"))
    return page(
        replace(found, text_name=HOSTILE, model_name=HOSTILE, segments=segments, facts={HOSTILE: HOSTILE})
    )


def test_no_text_breaks_out(hostile: str) -> None:
    assert len(re.findall("<script", hostile)) == 3  # data, arrays, program
    assert len(re.findall("</script>", hostile)) == 3
    assert len(re.findall("</style>", hostile)) == 1
    assert "<!--" not in hostile
    assert "alert(1)\\u003c/script\\u003e" in hostile
    assert data_of(hostile)["text"] == shown_name(HOSTILE)
    tokens = data_of(hostile)["tokens"]
    assert isinstance(tokens, list)
    assert "␀" in tokens[0]
    assert "⟨U+202E⟩" in tokens[0]


def test_it_fetches_nothing_and_runs_nothing_else(hostile: str) -> None:
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)">', hostile)
    assert policy.startswith("default-src 'none'; ")
    for kind, pattern in (("script", r"<script>(.*?)</script>"), ("style", r"<style>(.*?)</style>")):
        (content,) = re.findall(pattern, hostile, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert not re.search(r"https?://|@import|url\(", hostile)


def test_no_html_is_made_from_text() -> None:
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", page(random_inspection(1, 1, 3))
    )


def test_2000_tokens_of_72_heads_take_less_than_3_mb() -> None:
    found = random_inspection(2, 36, 2000, segments=8)
    html = page(found)
    assert top_keys_kept(found) == 4
    assert len(html.encode()) < 3_000_000


@pytest.mark.parametrize(("heads", "tokens", "kept"), [(2, 5, 5), (2, 100, 8), (36, 4000, 4), (400, 4000, 2)])
def test_the_page_keeps_as_many_strongest_keys_as_it_has_room_for(heads: int, tokens: int, kept: int) -> None:
    layer = random_inspection(1, 1, min(tokens, 100)).layers[0]
    wide = replace(layer, head_names=tuple(map(str, range(heads))))
    found = random_inspection(1, 1, min(tokens, 100))
    many = replace(found.tokens, ids=np.zeros(tokens, np.int64))
    assert top_keys_kept(replace(found, layers=(wide,), tokens=many)) == kept


@pytest.fixture(scope="module")
def example() -> Inspection:
    return inspect(Request())


def test_the_arrays_are_what_was_observed(example: Inspection, monkeypatch: pytest.MonkeyPatch) -> None:
    from attnscope.inspection.viewer import data
    from attnscope.inspection.viewer.packing import Pack

    packs: list[Pack] = []
    monkeypatch.setattr(data, "Pack", lambda: packs.append(Pack()) or packs[-1])  # type: ignore[func-returns-value]
    facts, _ = viewer_data(example)
    (pack,) = packs
    tokens, kept = len(example.tokens.ids), facts["topKeys"]
    weights = unpacked_of(pack, "topWeights").reshape(8, tokens, kept)
    distances = unpacked_of(pack, "topDistances").reshape(8, tokens, kept)
    keys = np.arange(tokens)[:, None] - distances
    whole = np.concatenate([layer.top_keys for layer in example.layers])
    assert (keys[weights > 0] == whole[weights > 0]).all()
    entropy = unpacked_of(pack, "entropy").reshape(8, tokens)
    assert_of_16_bits(entropy, np.concatenate([layer.entropy for layer in example.layers]))
    steps = unpacked_of(pack, "visibleSteps").reshape(2, tokens)
    np.testing.assert_array_equal(
        steps.cumsum(axis=1), np.stack([layer.visible_keys[0] for layer in example.layers])
    )
    masses = unpacked_of(pack, "bySegmentShares").reshape(8, 7, 7)
    by_segment = [layer.by_segment for layer in example.layers if layer.by_segment is not None]
    assert_of_16_bits(masses, np.concatenate(by_segment))


def assert_of_16_bits(packed: Any, whole: Any) -> None:
    """Half a step of 65,535, and the rounding of the step itself."""
    assert np.abs(packed - whole).max() <= whole.max() * (1 / 131_070 + of_a_sum(0))


def test_it_opens_at_the_head_that_copies_and_the_last_token(example: Inspection) -> None:
    facts, _ = viewer_data(example)
    assert facts["start"] == {"head": 6, "token": len(example.tokens.ids) - 1}


def test_without_segments_there_are_none_in_it() -> None:
    facts, _ = viewer_data(inspect(Request("the cat sat")))
    assert facts["segments"] is None
    assert "labels" not in facts["arrays"]


def test_learned_sinks_are_packed_only_if_there_are_some(example: Inspection) -> None:
    facts, _ = viewer_data(example)
    assert "sink" in facts["arrays"]
    assert "sink_mass" in [measure["key"] for measure in facts["measures"]]
    facts, _ = viewer_data(random_inspection(1, 2, 20))
    assert "sink" not in facts["arrays"]
    assert "sink_mass" not in [measure["key"] for measure in facts["measures"]]


def test_a_mask_without_known_keys_has_no_even_shares(example: Inspection) -> None:
    layers = tuple(replace(layer, evenly=None) for layer in example.layers)
    facts, _ = viewer_data(replace(example, layers=layers))
    assert "evenlyShares" not in facts["arrays"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_palette_is_ordered_by_lightness_in_visible_steps(theme: str) -> None:
    """CIE L* of each colour: monotone, over most of the range, no step more than three times another."""
    (ramp,) = re.findall(rf"{theme}: \[(.*?)\]", asset("colour.js"))
    colours = (
        np.array([[int(each[at : at + 2], 16) for at in (1, 3, 5)] for each in re.findall(r"#\w{6}", ramp)])
        / 255
    )
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    lightness = 116 * np.cbrt(luminance) - 16
    steps = np.diff(lightness) * (-1 if theme == "light" else 1)
    assert steps.min() > 0
    assert steps.max() <= 3 * steps.min()
    assert np.ptp(lightness) > 75


@pytest.mark.parametrize("theme", [":root {", ':root\\[data-theme="dark"\\] {'])
def test_words_have_the_contrast_that_reading_needs(theme: str) -> None:
    """WCAG AA: 4.5 to 1 on cards and on the page."""
    (block,) = re.findall(theme + r"(.*?)}", asset("viewer.css"), re.DOTALL)
    colour = dict(re.findall(r"--(\w+): (#\w{6})", block))

    def luminance(name: str) -> float:
        parts = [int(colour[name][at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for words in ("ink", "soft", "accent", "by"):
        for ground in ("card", "page"):
            lighter, darker = sorted([luminance(words), luminance(ground)], reverse=True)
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, f"{words} on {ground}"


def test_the_page_of_an_attribution_needs_its_inspection() -> None:
    found = attribute(AttributionRequest(inspected=True))
    facts, _ = viewer_data(found.inspection, found) if found.inspection is not None else ({}, "")
    effects = facts["effects"]
    assert [len(each["drops"]) for each in effects["sources"]] == [len(found.answer.ids)] * 5
    assert len(effects["owners"]) == facts["start"]["token"] + 1
    assert "attnscope" in page(found)
    with pytest.raises(
        InspectionError, match=r"has no inspection.*AttributionRequest\(..., inspected=True\)"
    ):
        page(replace(found, inspection=None))
