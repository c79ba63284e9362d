"""Models that need no download: a transformer, and weights for it that are written by hand, not trained."""

from attnscope.models.copying import REACH as REACH
from attnscope.models.copying import copying_transformer as copying_transformer
from attnscope.models.layer import Layer as Layer
from attnscope.models.transformer import HeadReading as HeadReading
from attnscope.models.transformer import Reading as Reading
from attnscope.models.transformer import Transformer as Transformer

__all__ = ["HeadReading", "Layer", "Reading", "Transformer", "copying_transformer"]
