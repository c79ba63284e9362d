"""Sizing: from a model's config to the bytes of its cache, and the seconds of its steps."""

from attnscope.sizing.hardware import Hardware as Hardware
from attnscope.sizing.plan import CachePlan as CachePlan
from attnscope.sizing.roofline import Roofline as Roofline
from attnscope.sizing.roofline import roofline as roofline
from attnscope.sizing.size import describe_model as describe_model
from attnscope.sizing.size import size as size
