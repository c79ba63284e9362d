"""Models that need no download: a transformer, and weights for it, written by hand or trained."""

from attnscope.models.copying import REACH as REACH
from attnscope.models.copying import copying_transformer as copying_transformer
from attnscope.models.layer import Layer as Layer
from attnscope.models.trained import WORD as WORD
from attnscope.models.trained import Vocabulary as Vocabulary
from attnscope.models.trained import trained_transformer as trained_transformer
from attnscope.models.trained import transformer_of as transformer_of
from attnscope.models.transformer import HeadReading as HeadReading
from attnscope.models.transformer import Reading as Reading
from attnscope.models.transformer import Transformer as Transformer

__all__ = [
    "HeadReading",
    "Layer",
    "Reading",
    "Transformer",
    "Vocabulary",
    "copying_transformer",
    "trained_transformer",
]
