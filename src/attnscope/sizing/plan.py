"""The size of a cache: one row per kind of layer, in one engine's cache, and what fits into a memory."""

from collections.abc import Callable
from dataclasses import dataclass, field

from attnscope.errors import ConfigError
from attnscope.sizing.engines import Engine
from attnscope.sizing.model import Layer, ModelDescription, State
from attnscope.sizing.units import bytes_of, in_units
from attnscope.sizing.weights import Weights


@dataclass(frozen=True)
class LayerRow:
    """The layers of one kind: one row of a plan's table.

    Parameters
    ----------
    kind : str
        full, sliding, chunked, latent, indexed latent, linear, cross, "sliding, shared", ...
    layers : int
        How many there are.
    tokens : int
        Tokens for which each layer holds memory; 0 if it caches none.
    bytes_per_token : int
        Bytes of one token in one layer.
    state_bytes : int
        Bytes of one sequence's states in one layer.
    cache_bytes : int
        Bytes of all layers and the whole batch.
    formula : str
        How cache_bytes is computed, in numbers.
    """

    kind: str
    layers: int
    tokens: int
    bytes_per_token: int
    state_bytes: int
    cache_bytes: int
    formula: str


@dataclass(frozen=True)
class CacheRequest:
    """What a cache is sized for: the engine, the number of sequences and the number formats."""

    engine: Engine
    batch: int
    kv_dtype: str
    state_dtype: str
    encoder_tokens: int | None


def layer_rows(model: ModelDescription, request: CacheRequest, context: int) -> tuple[LayerRow, ...]:
    """One row per kind of layer; raises ConfigError if the engine has no cache for a kind."""
    return tuple(
        _row(model.model_type, layer, number, request, context) for layer, number in model.kinds.items()
    )


def growth(model: ModelDescription, request: CacheRequest) -> int:
    """Bytes that one more token of one sequence adds in the layers that keep all tokens."""
    return sum(
        _bytes_per_token(layer, request)
        for layer in model.layers
        if layer.grows or (layer.window and not request.engine.has_window(model.model_type))
    )


def _bytes_per_token(layer: Layer, request: CacheRequest) -> int:
    engine = request.engine
    return sum(engine.row_bytes(rows, 1, request.kv_dtype) for rows in engine.rows(layer))


def _row(model_type: str, layer: Layer, number: int, request: CacheRequest, context: int) -> LayerRow:
    if layer.shared or not (layer.rows or layer.states):
        why = "reads an earlier layer's keys and values" if layer.shared else "caches nothing"
        return LayerRow(layer.kind, number, 0, 0, 0, 0, f"{number} layers: each {why} = 0 bytes")
    engine, terms = request.engine, []
    length = (request.encoder_tokens or 0) if layer.of_encoder else context
    tokens = engine.tokens_of(model_type, layer, length) if layer.rows else 0
    rows_bytes = sum(engine.row_bytes(rows, tokens, request.kv_dtype) for rows in engine.rows(layer))
    if layer.rows:
        numbers = " + ".join(
            f"{rows.heads} x {rows.dim} {rows.name}" if rows.heads > 1 else f"{rows.dim} {rows.name}"
            for rows in engine.rows(layer)
        )
        terms.append(f"{tokens:,} tokens x ({numbers}) in {request.kv_dtype} = {rows_bytes:,} bytes")
    state_bytes = 0
    for state in _states(layer, engine):
        number_format = state.number_format or request.state_dtype
        one_state = bytes_of(state.numbers, number_format)
        state_bytes += one_state
        shape = " x ".join(map(str, state.shape))
        terms.append(f"{state.name} state {shape} in {number_format} = {one_state:,} bytes")
    total = number * request.batch * (rows_bytes + state_bytes)
    sequences = f"{request.batch:,} sequences x " if request.batch > 1 else ""
    formula = f"{sequences}{number} layers x [{'; '.join(terms)}] = {total:,} bytes"
    return LayerRow(layer.kind, number, tokens, _bytes_per_token(layer, request), state_bytes, total, formula)


def _states(layer: Layer, engine: Engine) -> tuple[State, ...]:
    if layer.states and engine.states is None:
        raise ConfigError(
            f"engine={engine.name!r} cannot be sized for {layer.kind} layers, which keep a state: "
            f"{engine.no_states}. Use engine='hf', 'hf-static' or 'llama.cpp'."
        )
    return engine.states(layer) if engine.states else ()


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
