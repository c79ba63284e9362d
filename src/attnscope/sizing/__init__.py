"""Sizing: from a model's config to the bytes of its cache."""

from attnscope.sizing.plan import CachePlan as CachePlan
from attnscope.sizing.size import describe_model as describe_model
from attnscope.sizing.size import size as size
