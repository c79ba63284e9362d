"""The JSON: the numbers of the inspection, in types that JSON has."""

import json

from attnscope.inspection import Request, inspect
from attnscope.inspection.measures import MEASURES, NOT_AN_INFLUENCE
from tests.inspection.made import random_inspection


def test_it_is_json_with_all_numbers() -> None:
    found = inspect(Request())
    facts = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert facts["note"] == NOT_AN_INFLUENCE
    assert "".join(token["piece"] for token in facts["tokens"]) == "".join(found.tokens.pieces)
    assert facts["tokens"][3]["received"] == found.received()[3]
    assert [head["name"] for head in facts["layers"][1]["heads"]] == ["induction", "background"]
    assert (
        {measure.key for measure in MEASURES} == set(facts["measures"]) <= set(facts["layers"][0]["heads"][0])
    )
    names = facts["segments"]["names"]
    generated, hopper = names.index("generated"), names.index("hopper.txt")
    assert facts["layers"][1]["heads"][0]["by_segment"][generated][hopper] > 0.75
    assert facts["segments"]["by_segment"][generated][hopper] == found.by_segment()[generated, hopper]
    assert len(facts["segments"]["labels"]) == len(facts["tokens"])
    assert "sink_mass" in facts["measures"]


def test_a_model_without_sinks_has_no_measure_of_them() -> None:
    facts = random_inspection(1, 2, 20).as_json()
    assert "sink_mass" not in facts["measures"]
    assert "sink_mass" not in facts["layers"][0]["heads"][0]


def test_without_segments_they_are_null() -> None:
    facts = inspect(Request("the cat sat")).as_json()
    assert facts["segments"] is None
    assert facts["layers"][0]["heads"][0]["by_segment"] is None
