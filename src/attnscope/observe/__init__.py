"""Where attention looks, in memory that grows with the rows: statistics, their report and their pictures."""

from attnscope.observe.asking import observe as observe
from attnscope.observe.heads import HeadSummary as HeadSummary
from attnscope.observe.influence import Influence as Influence
from attnscope.observe.observation import Observation as Observation
from attnscope.observe.scores import HeadScores as HeadScores
