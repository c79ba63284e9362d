"""What a program reads: the same facts as the report, in full numbers."""

from typing import Any

from attnscope.inspection.inspection import Inspection
from attnscope.inspection.measures import MEASURES, NOT_AN_INFLUENCE


def facts_of_inspection(found: Inspection) -> dict[str, Any]:
    """JSON's own types: means a head, masses a segment, and what each token is and draws."""
    shares = found.received()
    return {
        "text": found.text_name,
        "model": found.model_name,
        "facts": found.facts,
        "note": NOT_AN_INFLUENCE,
        "tokens": [
            {"id": int(token_id), "piece": piece, "received": float(share)}
            for token_id, piece, share in zip(found.tokens.ids, found.tokens.pieces, shares, strict=True)
        ],
        "segments": segments_of(found),
        "measures": {measure.key: {"unit": measure.unit, "meaning": measure.meaning} for measure in MEASURES},
        "layers": [
            {
                "number": layer.number,
                "name": layer.name,
                "mask": layer.mask,
                "heads": [
                    {
                        "name": layer.head_names[head],
                        **{name: float(values[head]) for name, values in layer.means.items()},
                        "by_segment": None if layer.by_segment is None else layer.by_segment[head].tolist(),
                    }
                    for head in range(layer.heads)
                ],
            }
            for layer in found.layers
        ],
    }


def segments_of(found: Inspection) -> dict[str, Any] | None:
    """Rows of by_segment and evenly read, columns are read, in the order of the names."""
    if found.segments is None:
        return None
    evenly = found.evenly()
    return {
        "names": list(found.segments.names),
        "sizes": found.segments.sizes,
        "labels": found.segments.labels.tolist(),
        "by_segment": found.by_segment().tolist(),
        "evenly": None if evenly is None else evenly.tolist(),
    }
