"""Pictures of many heads; matplotlib is loaded when one is drawn."""

from collections.abc import Sequence
from typing import Any

from attnscope.observation.heads import HeadSummary


def draw_heads(summaries: Sequence[HeadSummary], measure: str = "entropy", *, batch: int = 0) -> Any:
    """A dashboard of layers by heads, as a matplotlib figure (extra [plot]).

    Arguments
        summaries    observation.per_head() of each layer
        measure      "entropy", "normalized_entropy", "effective_keys", "max_weight", "first_mass", "mean_distance"
    Errors
        AttentionError for an unknown measure, and when there is no layer.
    """
    from attnscope.observation.plot import draw_heads as draw

    return draw(summaries, measure, batch=batch)
