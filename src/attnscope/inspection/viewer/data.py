"""The data of the page: JSON and packed arrays."""

from typing import Any

import numpy as np

from attnscope.inspection.attribution.result import MEANINGS, Attribution
from attnscope.inspection.inspection import Inspection
from attnscope.inspection.measures import KINDS, NOT_AN_INFLUENCE
from attnscope.inspection.segments import TEMPLATE
from attnscope.inspection.text import shown_name, shown_piece
from attnscope.inspection.viewer.packing import Array, Pack

MOST_TOP_KEYS = 8
MOST_WORDS = 120  # characters of a source in the list of effects
LEAST_TOP_KEYS = 2
TOP_KEYS_IN_ALL = (
    600_000  # of all heads and tokens together: a page of 2,000 tokens x 72 heads stays below 3 MB
)
SMALL = 65536  # tokens whose distances fit into 16 bits


def viewer_data(found: Inspection, effects: Attribution | None = None) -> tuple[dict[str, Any], str]:
    """The facts as JSON types, and the packed arrays as text."""
    pack = Pack()
    strongest = top_keys_kept(found)
    add_rows(pack, found, strongest)
    add_segments(pack, found)
    facts = {
        "text": shown_name(found.text_name),
        "model": shown_name(found.model_name),
        "facts": {shown_name(name): shown_name(fact) for name, fact in found.facts.items()},
        "note": NOT_AN_INFLUENCE,
        "tokens": [shown_piece(piece) for piece in found.tokens.pieces],
        "segments": segments_of(found),
        "measures": [vars(measure) for measure in found.measures],
        "kinds": KINDS,
        "layers": [
            {
                "number": layer.number,
                "name": layer.name,
                "mask": layer.mask,
                "heads": layer.head_names,
                "means": {name: significant(values) for name, values in layer.means.items()},
            }
            for layer in found.layers
        ],
        "topKeys": strongest,
        "map": list(found.layers[0].block_map.shape[1:]),
        "start": start_of(found, effects),
        "effects": None if effects is None else effects_of(effects),
        "arrays": pack.places,
    }
    return facts, pack.text()


def top_keys_kept(found: Inspection) -> int:
    """The number of strongest keys per token and head that the page has room for."""
    room = TOP_KEYS_IN_ALL // (found.heads * len(found.tokens.ids))
    observed = found.layers[0].top_keys.shape[-1]
    return int(min(observed, max(LEAST_TOP_KEYS, min(MOST_TOP_KEYS, room))))


def add_rows(pack: Pack, found: Inspection, strongest: int) -> None:
    """Add the statistics of each head and token."""
    tokens = len(found.tokens.ids)
    pack.numbers("entropy", of_all_heads(found, "entropy"))
    visible = np.stack([layer.visible_keys[0] for layer in found.layers]).astype(np.int64)
    steps = np.diff(visible, axis=1, prepend=0)  # nearly all are 0 or 1, so they compress well
    pack.integers("visibleSteps", (steps % 2**32).astype(np.uint32))
    keys = of_all_heads(found, "top_keys")[..., :strongest].astype(np.int64)
    weights = of_all_heads(found, "top_weights")[..., :strongest]
    kind, modulus = (np.uint16, 2**16) if tokens <= SMALL else (np.uint32, 2**32)
    distances = np.arange(tokens)[:, None] - keys
    pack.integers("topDistances", (np.where(keys < 0, 0, distances) % modulus).astype(kind))
    pack.shares("topWeights", np.where(keys < 0, 0.0, weights))
    pack.shares("received", of_all_heads(found, "received") / tokens)
    if found.has_sinks:
        pack.shares("sink", of_all_heads(found, "sink_mass"))
    pack.shares("mapWeights", of_all_heads(found, "block_map"))


def add_segments(pack: Pack, found: Inspection) -> None:
    """Add the label of each token and the weights per segment."""
    if found.segments is None:
        return
    pack.integers("labels", found.segments.labels.astype(np.uint8))
    pack.numbers("bySegmentShares", of_all_heads(found, "by_segment"))
    if found.evenly() is not None:
        pack.numbers(
            "evenlyShares", np.stack([layer.evenly for layer in found.layers if layer.evenly is not None])
        )


def of_all_heads(found: Inspection, name: str) -> Array:
    """An array of every layer, joined along the heads."""
    return np.concatenate([getattr(layer, name) for layer in found.layers])


def segments_of(found: Inspection) -> dict[str, Any] | None:
    if found.segments is None:
        return None
    names = list(found.segments.names)
    return {
        "names": [shown_name(name) for name in names],
        "sizes": found.segments.sizes,
        "template": names.index(TEMPLATE) if TEMPLATE in names else -1,
    }


def effects_of(found: Attribution) -> dict[str, Any]:
    """The drop of each source for each token of the answer, and the source of each token of the prompt."""
    return {
        "method": found.method,
        "meaning": MEANINGS[found.method],
        "sources": [
            {
                "name": shown_name(each.name.removeprefix(f"{each.source.whole}, ")),
                "text": shown_name(" ".join(each.text.split()))[:MOST_WORDS],
                "whole": each.source.whole is None,
                "drops": significant(each.drops),
            }
            for each in found.sources
        ],
        "owners": found.owners.tolist(),
    }


def start_of(found: Inspection, effects: Attribution | None) -> dict[str, int]:
    """The head with the highest induction score and the last token, of the prompt if there are effects."""
    best = found.ranked("induction")[-1]
    before = sum(layer.heads for layer in found.layers if layer.number < best.layer)
    tokens = len(found.tokens.ids) if effects is None else len(effects.owners)
    return {"head": before + best.head, "token": tokens - 1}


def significant(values: Array) -> list[float]:
    """Values rounded to four significant digits."""
    return [float(f"{value:.4g}") for value in np.nan_to_num(values)]
