"""Real mistakes of models, each planted by overriding one step, with the check that must find it."""

from tests.audit.models.planted import caches, generations, neighbours, order, padding
from tests.audit.models.planted.registry import PLANTED

__all__ = ["PLANTED", "caches", "generations", "neighbours", "order", "padding"]
