"""Sizing: from a model's config to the bytes of its cache and the seconds of its steps."""

from attnscope.sizing.hardware import Hardware as Hardware
from attnscope.sizing.hardware import read_hardware as read_hardware
from attnscope.sizing.model import ModelDescription as ModelDescription
from attnscope.sizing.plan import CachePlan as CachePlan
from attnscope.sizing.plan import EngineCache as EngineCache
from attnscope.sizing.plan import comparison_table as comparison_table
from attnscope.sizing.roofline import roofline as roofline
from attnscope.sizing.roofline_result import Roofline as Roofline
from attnscope.sizing.size import compare_engines as compare_engines
from attnscope.sizing.size import describe_model as describe_model
from attnscope.sizing.size import size as size
from attnscope.sizing.units import read_bytes as read_bytes
from attnscope.sizing.units import read_tokens as read_tokens
