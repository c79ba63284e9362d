"""Which architectures can be sized, and how each one's config is read."""

from attnscope.sizing.architectures.known import known_model_types as known_model_types
from attnscope.sizing.architectures.read import read_model as read_model
