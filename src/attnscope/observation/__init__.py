"""Statistics of attention weights, in memory that grows with the rows, with their reports and pictures."""

from attnscope.observation.cached import cached as cached
from attnscope.observation.front import observe as observe
from attnscope.observation.gradient import attention_times_gradient as attention_times_gradient
from attnscope.observation.heads import HeadSummary as HeadSummary
from attnscope.observation.join import join as join
from attnscope.observation.observation import Observation as Observation
from attnscope.observation.observation import draw_heads as draw_heads
from attnscope.observation.rollout import rollout as rollout
from attnscope.observation.scores import HeadScores as HeadScores
from attnscope.observation.scores import head_scores as head_scores
from attnscope.reference import Influence as Influence
from attnscope.reference import influence as influence

__all__ = [
    "HeadScores",
    "HeadSummary",
    "Influence",
    "attention_times_gradient",
    "cached",
    "draw_heads",
    "head_scores",
    "influence",
    "join",
    "rollout",
]
