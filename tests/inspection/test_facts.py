"""The JSON: the numbers of the inspection, in JSON's own types."""

import json

from attnscope.inspection import Request, inspect
from attnscope.inspection.facts import facts_of_inspection
from attnscope.inspection.measures import MEASURES, NOT_AN_INFLUENCE


def test_it_is_json_and_says_everything() -> None:
    found = inspect(Request())
    facts = json.loads(json.dumps(facts_of_inspection(found), allow_nan=False))
    assert facts["note"] == NOT_AN_INFLUENCE
    assert "".join(token["piece"] for token in facts["tokens"]) == "".join(found.tokens.pieces)
    assert facts["tokens"][3]["received"] == found.received()[3]
    assert [head["name"] for head in facts["layers"][1]["heads"]] == ["induction", "background"]
    assert (
        {measure.key for measure in MEASURES} == set(facts["measures"]) <= set(facts["layers"][0]["heads"][0])
    )
    names = facts["segments"]["names"]
    written, hopper = names.index("written"), names.index("hopper.txt")
    assert facts["layers"][1]["heads"][0]["by_segment"][written][hopper] > 0.75
    assert facts["segments"]["by_segment"][written][hopper] == found.by_segment()[written, hopper]
    assert len(facts["segments"]["labels"]) == len(facts["tokens"])


def test_without_segments_it_says_none() -> None:
    facts = facts_of_inspection(inspect(Request("the cat sat")))
    assert facts["segments"] is None
    assert facts["layers"][0]["heads"][0]["by_segment"] is None
