"""Models that run without a download: a transformer, and weights for it that are written, not trained."""

from attnscope.models.copying import copying_transformer as copying_transformer
from attnscope.models.transformer import HeadReading as HeadReading
from attnscope.models.transformer import Layer as Layer
from attnscope.models.transformer import Reading as Reading
from attnscope.models.transformer import Transformer as Transformer
