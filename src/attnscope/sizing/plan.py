"""The size of a cache: one row per kind of layer, and what fits into a memory."""

from collections.abc import Callable
from dataclasses import dataclass, field

from attnscope.sizing.layer_rows import LayerRow
from attnscope.sizing.model import ModelDescription
from attnscope.sizing.units import in_units
from attnscope.sizing.weights import Weights

LONGEST_CONTEXT = 2**40


@dataclass(frozen=True)
class CachePlan:
    """The cache of one model with one engine; it prints as a table.

    Parameters
    ----------
    model : ModelDescription
        The model that was sized.
    context, batch : int
        Tokens per sequence, and sequences.
    kv_dtype, engine : str
        Number format of keys and values, and the engine's name.
    layers : tuple of LayerRow
        One row per kind of layer; their bytes add up to `cache_bytes`.
    bytes_per_token : int
        Bytes that one more token of one sequence adds once all windows are full, before rounding.
    weights : Weights
        Bytes of the weights, and whether they were counted or estimated.
    memory : int or None
        Bytes for weights and cache together.
    notes : tuple of str
        What the reader must know: fields that were filled in, formats of states, and so on.
    rounding : str
        How the engine rounds, and where that is documented.
    rows_at : callable
        The rows for another context.

    Examples
    --------
    >>> import attnscope as at
    >>> shape = at.AttentionShape(1, 32, 8, 1, 100, 128, 128)
    >>> plan = at.size(shape, context=100)  # 100 tokens * 8 heads * (128 + 128) numbers * 2 bytes
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
        """Bytes of the weights; None if the config does not determine them."""
        return self.weights.weight_bytes

    @property
    def memory_for_cache(self) -> int | None:
        """Bytes of the memory that the weights leave, at least 0; None if either is not known."""
        if self.memory is None or self.weight_bytes is None:
            return None
        return max(0, self.memory - self.weight_bytes)

    @property
    def max_sequences(self) -> int | None:
        """How many sequences of this context fit beside the weights; None if that is not known."""
        each = self.cache_bytes // self.batch
        if self.memory_for_cache is None or not each:
            return None
        return self.memory_for_cache // each

    @property
    def max_context(self) -> int | None:
        """The longest context of which the batch fits; None if not known, or if the cache stops growing."""
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
        """Return the formulas with their numbers.

        Returns
        -------
        str
            One line per kind of layer, the sum, and the engine's rounding.
        """
        lines = [f"{row.kind}: {row.formula}" for row in self.layers]
        total = (
            f"{self.cache_bytes:,} bytes = {in_units(self.cache_bytes)} ({self.cache_bytes / 1e9:,.2f} GB)"
        )
        lines.append(f"cache: {' + '.join(f'{row.cache_bytes:,}' for row in self.layers)} = {total}")
        lines.append(f"each further token of a sequence: {self.bytes_per_token:,} bytes")
        lines.append(f"engine {self.engine}: {self.rounding}")
        return "\n".join([*lines, *self._capacity(), *self.notes])

    def __repr__(self) -> str:
        return "\n".join([self._title(), *self._table(), *self._capacity(), *self.notes])

    __str__ = __repr__

    def _title(self) -> str:
        sequences = f"{self.batch:,} sequence{'s' if self.batch > 1 else ''}"
        return (
            f"{self.model.model_type}: {sequences} of {self.context:,} tokens, {self.kv_dtype}, "
            f"engine {self.engine}"
        )

    def _table(self) -> list[str]:
        rows = [("layers", "kind", "tokens", "bytes/token", "states", "cache")]
        rows += [
            (
                str(row.layers),
                row.kind,
                f"{row.tokens:,}" if row.tokens else "-",
                f"{row.bytes_per_token:,}" if row.bytes_per_token else "-",
                in_units(row.state_bytes) if row.state_bytes else "-",
                in_units(row.cache_bytes),
            )
            for row in self.layers
        ]
        rows.append(("", "sum", "", f"{self.bytes_per_token:,}", "", in_units(self.cache_bytes)))
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        return [
            "  ".join(
                cell.ljust(width) if i == 1 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]

    def _capacity(self) -> list[str]:
        lines = []
        if self.weight_bytes is not None:
            lines.append(f"weights: {in_units(self.weight_bytes)}, {self.weights.source}")
        elif self.weights.source:
            lines.append(f"weights: not known, {self.weights.source}")
        if self.memory is not None:
            fits = "not known" if self.max_sequences is None else f"{self.max_sequences:,}"
            longest = "not known" if self.max_context is None else f"{self.max_context:,}"
            lines.append(
                f"in {in_units(self.memory)}: {fits} sequences of {self.context:,} tokens, "
                f"or {self.batch:,} of {longest}"
            )
        return lines


@dataclass(frozen=True)
class EngineCache:
    """One engine's plan, or the reason why it has none.

    Parameters
    ----------
    engine : str
        The engine's name.
    plan : CachePlan or None
        Its plan.
    why_not : str or None
        The error if there is no plan.
    """

    engine: str
    plan: CachePlan | None
    why_not: str | None = None


def comparison_table(caches: tuple[EngineCache, ...]) -> str:
    """Format one row per engine: the cache, and what fits if a memory was given.

    Parameters
    ----------
    caches : tuple of EngineCache
        As `compare_engines` returns them.

    Returns
    -------
    str
        The table.
    """
    rows: list[tuple[str, ...]] = [("engine", "cache", "", "bytes/token", "sequences", "context")]
    rows += [_comparison_row(each) for each in caches]
    with_memory = any(each.plan is not None and each.plan.memory is not None for each in caches)
    columns = range(6 if with_memory else 4)
    widths = [max(len(row[i]) for row in rows if len(row) > 2) for i in range(6)]
    return "\n".join(
        "  ".join(
            row[i].rjust(widths[i]) if i else row[i].ljust(widths[0]) for i in columns if i < len(row)
        ).rstrip()
        for row in rows
    )


def _comparison_row(each: EngineCache) -> tuple[str, ...]:
    if each.plan is None:
        return each.engine, f"{each.why_not}"
    plan = each.plan
    sequences, longest = (
        "-" if most is None else f"{most:,}" for most in (plan.max_sequences, plan.max_context)
    )
    in_gb = f"({plan.cache_bytes / 1e9:,.2f} GB)"
    return each.engine, in_units(plan.cache_bytes), in_gb, f"{plan.bytes_per_token:,}", sequences, longest
