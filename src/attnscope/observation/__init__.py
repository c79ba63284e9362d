"""Where attention looks, in memory that grows with the rows: statistics, their report and their pictures."""

from attnscope.observation.cached import cached as cached
from attnscope.observation.drawing import draw_heads as draw_heads
from attnscope.observation.front import observe as observe
from attnscope.observation.heads import HeadSummary as HeadSummary
from attnscope.observation.influence import Influence as Influence
from attnscope.observation.influence import influence as influence
from attnscope.observation.join import join as join
from attnscope.observation.observation import Observation as Observation
from attnscope.observation.rollout import rollout as rollout
from attnscope.observation.scores import HeadScores as HeadScores
from attnscope.observation.scores import head_scores as head_scores

__all__ = [
    "HeadScores",
    "HeadSummary",
    "Influence",
    "cached",
    "draw_heads",
    "head_scores",
    "influence",
    "join",
    "rollout",
]
