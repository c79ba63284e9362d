"""What a cache takes: a row for each kind of layer, and what follows from their sum."""

from collections.abc import Callable
from dataclasses import dataclass, field

from attnscope.sizing.layer_rows import LayerRow
from attnscope.sizing.model import ModelDescription
from attnscope.sizing.table import explanation, table
from attnscope.sizing.weights import Weights

LONGEST_CONTEXT = 2**40


@dataclass(frozen=True)
class CachePlan:
    """What the cache of a model takes with one engine.

    context, batch, kv_dtype, engine     what was asked
    layers              a LayerRow for each kind of layer; their bytes add up to cache_bytes
    bytes_per_token     what one more token of one sequence adds once all windows are full, before rounding
    weights             Weights: their bytes, and whether they were counted or estimated
    memory              bytes that weights and cache have together, or None
    notes               what the reader must know: fields that were filled in, formats that states keep, ...
    model               the ModelDescription that was sized
    rounding            how the engine rounds, and where that stands
    rows_at             a context -> the same rows for it

    >>> import attnscope as at
    >>> shape = at.AttentionShape(1, 32, 8, 1, 100, 128, 128)
    >>> plan = at.size(shape, context=100)
    >>> plan.cache_bytes, plan.bytes_per_token
    (409600, 4096)
    """

    model: ModelDescription
    context: int
    batch: int
    kv_dtype: str
    engine: str
    layers: tuple[LayerRow, ...]
    bytes_per_token: int
    weights: Weights
    memory: int | None
    notes: tuple[str, ...]
    rounding: str
    rows_at: Callable[[int], tuple[LayerRow, ...]] = field(compare=False)

    @property
    def cache_bytes(self) -> int:
        """Bytes of the whole batch."""
        return sum(row.cache_bytes for row in self.layers)

    @property
    def weight_bytes(self) -> int | None:
        """Bytes of the weights; None where the config does not tell them."""
        return self.weights.weight_bytes

    @property
    def memory_for_cache(self) -> int | None:
        """What the weights leave of the memory, at least 0; None where either is not known."""
        if self.memory is None or self.weight_bytes is None:
            return None
        return max(0, self.memory - self.weight_bytes)

    @property
    def max_sequences(self) -> int | None:
        """How many sequences of this context fit into the memory beside the weights; None where that is not known."""
        each = self.cache_bytes // self.batch
        if self.memory_for_cache is None or not each:
            return None
        return self.memory_for_cache // each

    @property
    def max_context(self) -> int | None:
        """The longest context of which the batch fits; None where that is not known, or where the cache never grows."""
        room = self.memory_for_cache
        if room is None or not self.bytes_per_token:
            return None
        fits, too_long = 0, LONGEST_CONTEXT
        while too_long - fits > 1:
            middle = (fits + too_long) // 2
            if sum(row.cache_bytes for row in self.rows_at(middle)) <= room:
                fits = middle
            else:
                too_long = middle
        return fits

    def explain(self) -> str:
        """The formula with its numbers, a line for each kind of layer, and the sum."""
        return explanation(self)

    def __repr__(self) -> str:
        return table(self)

    __str__ = __repr__
