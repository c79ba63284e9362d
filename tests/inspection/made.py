"""An inspection of random arrays of any size."""

import numpy as np

import attnscope as at
from attnscope.inspection import Inspection, Segments, Tokens
from attnscope.inspection.layer_summary import summarize
from attnscope.inspection.subject import ObservedLayer

MAP_SIZE = 64


def random_inspection(
    layers: int,
    heads: int,
    tokens: int,
    *,
    segments: int = 3,
    pieces: tuple[str, ...] = (),
    causal: bool = True,
) -> Inspection:
    """A model whose heads are neither peaked nor uniform, so that nothing of them compresses well."""
    rng = np.random.default_rng(0)
    labels = np.sort(rng.permutation(tokens) % segments)
    ids = rng.integers(0, max(2, tokens // 3), tokens)
    seen = []
    for number in range(layers):
        query, key, value = 1.7 * rng.standard_normal((3, heads, tokens, 32)).astype(np.float32)
        observation = at.observe(
            query,
            key,
            value,
            mask=at.Causal() if causal else None,
            segments=labels,
            top_keys=min(8, tokens),
            received=True,
            block_map_size=min(MAP_SIZE, tokens),
        )
        names = tuple(str(head) for head in range(heads))
        seen.append(
            summarize(ObservedLayer(number, f"layers.{number}.attention", names, observation), ids, labels)
        )
    words = pieces or tuple(f" word{token}" for token in range(tokens))
    places = np.arange(tokens)
    return Inspection(
        "a random text",
        "a random model",
        Tokens(ids, words, places, places + 1),
        Segments(labels, tuple(f"part {segment}" for segment in range(segments))),
        tuple(seen),
        {"text": "random"},
    )
