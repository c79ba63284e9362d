"""at.observe: a function, and what belongs to it by name."""

from collections.abc import Sequence
from functools import update_wrapper
from typing import Any

from attnscope.observe import front
from attnscope.observe.cached import cached
from attnscope.observe.heads import HeadSummary
from attnscope.observe.influence import influence
from attnscope.observe.join import join
from attnscope.observe.rollout import rollout
from attnscope.observe.scores import head_scores


class Observe:
    """Callable as observe(query, key, value, ...); what answers more about an observation are its attributes."""

    __call__ = staticmethod(front.observe)
    cached = staticmethod(cached)
    join = staticmethod(join)
    influence = staticmethod(influence)
    head_scores = staticmethod(head_scores)
    rollout = staticmethod(rollout)

    @staticmethod
    def draw_heads(summaries: Sequence[HeadSummary], measure: str = "entropy", *, batch: int = 0) -> Any:
        """A dashboard of layers by heads, as a matplotlib figure (extra [plot]).

        Arguments
            summaries    observation.per_head() of each layer
            measure      "entropy", "normalized_entropy", "effective_keys", "max_weight", "first_mass", "mean_distance"
        Errors
            AttentionError for an unknown measure, and when there is no layer.
        """
        from attnscope.observe.plot import draw_heads

        return draw_heads(summaries, measure, batch=batch)


observe = Observe()
update_wrapper(observe, front.observe)
