"""One call to try: sizes, options, seed, format and layout; and the smallest one that fails in the same way.

A case holds no arrays: `build` draws them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from attnscope.audit.contract import Contract
from attnscope.audit.data import LAYOUTS, REGIMES, Vectors
from attnscope.audit.options import BY_NAME, DRAWN
from attnscope.probing import listed, shrink
from attnscope.problem import FORMATS, AttentionShape, accumulation_dtype

CACHE_LINE = 64  # bytes
SPIKES = 13


@dataclass(frozen=True, eq=False)
class Call:
    """The arguments of one call, as arrays: `fn(*call.arrays, **call.options)`.

    Parameters
    ----------
    query : (batch, query_heads, query_len, key_dim) array
    key : (batch, kv_heads, key_len, key_dim) array
    value : (batch, kv_heads, key_len, value_dim) array
    options : dict
        Keyword arguments.
    """

    query: NDArray[Any]
    key: NDArray[Any]
    value: NDArray[Any]
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def arrays(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Query, key and value."""
        return self.query, self.key, self.value

    @property
    def named_arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays of the call, those of its options included."""
        options = {name: each for name, each in self.options.items() if isinstance(each, np.ndarray)}
        return {"query": self.query, "key": self.key, "value": self.value, **options}

    def copy(self) -> "Call":
        """The same call on new arrays in C order, aligned to cache lines, on which rounding can depend."""
        options = {
            name: aligned(each) if isinstance(each, np.ndarray) else each
            for name, each in self.options.items()
        }
        return Call(aligned(self.query), aligned(self.key), aligned(self.value), options)


def aligned(array: NDArray[Any]) -> NDArray[Any]:
    """A copy that starts at a cache line."""
    room = np.empty(array.nbytes + CACHE_LINE, np.uint8)
    start = -room.ctypes.data % CACHE_LINE
    copied = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copied[...] = array
    return copied


@dataclass(frozen=True)
class Case:
    """The description of one call, from which its arrays are drawn.

    Parameters
    ----------
    sizes : AttentionShape
        The seven sizes.
    seed : int
        Determines all random numbers: the same case always builds the same arrays.
    causal : bool
        Whether a query sees no key after its position.
    given : tuple of (str, kind)
        The other options that are passed: see `options.Option`.
    logsumexp : bool
        Whether the logsumexp is requested.
    number_format : str
        The format of query, key and value.
    layout : str
        A memory layout: see `data.LAYOUTS`.
    placed : str
        The array with this layout: "query", "key", "value", an option's name, or "all".
    regime : str
        The kind of numbers in query, key and value: see `data.REGIMES`.
    spread : float
        Standard deviation of query and key.
    offset : float
        Added to every score, by one dimension that is the same for all queries and keys.
    spiked : bool
        Whether some values, the last ones among them, are so large that a wrong weight of one key among
        many shows.

    Examples
    --------
    >>> case = Case(AttentionShape(1, 1, 1, 2, 3, 4, 4), causal=True)
    >>> case.options, case.build(Contract(causal=True)).options
    (('causal',), {'causal': True})
    """

    sizes: AttentionShape
    seed: int = 0
    causal: bool = False
    given: tuple[tuple[str, Any], ...] = ()
    logsumexp: bool = False
    number_format: str = "float32"
    layout: str = "contiguous"
    placed: str = "all"
    regime: str = "usual"
    spread: float = 1.0
    offset: float = 0.0
    spiked: bool = False

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options that are passed, and "grouped_heads" if heads are grouped."""
        grouped = ("grouped_heads",) if self.sizes.query_heads != self.sizes.kv_heads else ()
        causal = ("causal",) if self.causal else ()
        return (*causal, *(name for name, _ in self.given), *grouped)

    def kind(self, option: str) -> Any:
        """The kind of an option, or None if it is not passed."""
        return dict(self.given).get(option)

    @property
    def extreme(self) -> bool:
        """Whether scores are large, or an option makes them large."""
        large = any(kind in BY_NAME[name].extreme_kinds for name, kind in self.given)
        return self.spread != 1.0 or bool(self.offset) or large or REGIMES[self.regime].extreme

    @property
    def work(self) -> int:
        """The number of scores."""
        sizes = self.sizes
        return sizes.batch * sizes.query_heads * sizes.query_len * sizes.key_len

    def but(self, **changes: Any) -> Self:
        """The same case with some fields, sizes or options changed; None removes an option."""
        sizes = {name: changes.pop(name) for name in list(changes) if hasattr(self.sizes, name)}
        kinds = dict(self.given) | {name: changes.pop(name) for name in list(changes) if name in DRAWN}
        given = tuple((name, kinds[name]) for name in DRAWN if kinds.get(name) is not None)
        return replace(self, sizes=replace(self.sizes, **sizes), given=given, **changes)

    def build(self, contract: Contract) -> Call:
        """Draw the arrays."""
        query, key, value = (array.astype(FORMATS[self.number_format]) for array in self.vectors())
        options: dict[str, Any] = {"causal": self.causal} if contract.causal is True else {}
        for name, kind in self.given:
            row = BY_NAME[name]
            assert row.draw is not None
            drawn = row.draw(kind, self.seed, self.sizes)
            options[name] = drawn.astype(FORMATS[self.number_format]) if row.in_format else drawn
        if self.logsumexp:
            options["return_logsumexp"] = True
        return Call(query, key, value, options)

    def vectors(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Query, key and value in float64."""
        sizes = self.sizes
        rng = np.random.default_rng([self.seed, sizes.query_len, sizes.key_len])
        shapes = (
            (sizes.batch, sizes.query_heads, sizes.query_len, sizes.key_dim),
            (sizes.batch, sizes.kv_heads, sizes.key_len, sizes.key_dim),
            (sizes.batch, sizes.kv_heads, sizes.key_len, sizes.value_dim),
        )
        drawn_as: Any = accumulation_dtype(self.number_format)  # float32 is twice as fast
        query, key, value = (rng.standard_normal(shape, drawn_as).astype(np.float64) for shape in shapes)
        query, key = self.spread * query, self.spread * key
        if sizes.value_dim > 1:
            value[..., -1] = 1.0  # the output is 1 there if the weights sum to 1
        if self.spiked and not REGIMES[self.regime].extreme:
            kept = max(1, sizes.value_dim - 1)  # the last dim stays 1
            value[:, :, self.spikes(rng), :kept] *= (
                1_000 if self.number_format == "float16" else sizes.key_len
            )
        scale = self.kind("scale") or sizes.key_dim**-0.5
        REGIMES[self.regime].change(Vectors(query, key, value, rng, self.number_format, scale))
        if self.offset:
            side = np.sqrt(abs(self.offset) / scale)
            query[..., 0], key[..., 0] = side, np.copysign(side, self.offset)
        return query, key, value

    def spikes(self, rng: np.random.Generator) -> NDArray[Any]:
        """The keys with large values: the last one and another one; many more if numbers are exact enough."""
        length = self.sizes.key_len
        if self.number_format in ("float16", "bfloat16"):
            return np.unique([length - 1, int(rng.integers(length))])
        large = np.zeros(length, np.bool_)
        large[:: max(1, length // SPIKES)], large[-200::7], large[-3:] = True, True, True
        return np.flatnonzero(large)

    def laid_out(self, call: Call) -> Call:
        """The same call on new arrays, of which those in `placed` have the case's layout."""
        lay, own = LAYOUTS[self.layout], call.copy()
        arrays = {
            name: lay(array) if self.placed in ("all", name) else array
            for name, array in own.named_arrays.items()
        }
        query, key, value = (arrays.pop(name) for name in ("query", "key", "value"))
        return Call(query, key, value, own.options | arrays)

    def condition(self, but: tuple[str, ...] = ()) -> str:
        """The condition of a finding in words: ", when a key mask is also given, at query_len=1"."""
        rows = [BY_NAME[name] for name in self.options if name not in but]
        words = []
        if rows:
            verb = "is" if len(rows) == 1 and not rows[0].plural else "are"
            also = "also " if but else ""
            words.append(
                f"when {listed([row.phrase(self.kind(row.name)) for row in rows])} {verb} {also}given"
            )
        kinds = [f"{name}: {self.kind(name)}" for name in but if BY_NAME[name].is_special(self.kind(name))]
        words += [f"with {kind}" for kind in kinds]
        sizes = self.sizes
        if sizes.key_len > 16:
            words.append(f"at query_len={sizes.query_len}, key_len={sizes.key_len}")
        elif sizes.query_len != sizes.key_len:
            words.append(f"with query_len={sizes.query_len} and key_len={sizes.key_len}")
        words += [f"in {self.number_format}"] if self.number_format != "float32" else []
        words += [f"with {self.layout_in_words}"] if self.layout != "contiguous" else []
        words += [f"when scores are around {self.offset:g}"] if self.offset else []
        words += ["when scores are large"] if self.spread > 1 else []
        words += [f"when {REGIMES[self.regime].words}"] if self.regime != "usual" else []
        return "".join(f", {each}" for each in words)

    @property
    def layout_in_words(self) -> str:
        """The layout, and which array has it."""
        return f"{self.layout} arrays" if self.placed == "all" else f"the {self.placed} as {self.layout}"

    def __str__(self) -> str:
        return f"{', '.join(self.parts())}, seed={self.seed}"

    def parts(self) -> Iterator[str]:
        """The parts of the case's description."""
        sizes = self.sizes
        heads = f"query_heads={sizes.query_heads}, kv_heads={sizes.kv_heads}"
        yield f"batch={sizes.batch}"
        yield f"heads={sizes.kv_heads}" if sizes.query_heads == sizes.kv_heads else heads
        yield f"query_len={sizes.query_len}, key_len={sizes.key_len}"
        dims = f"key_dim={sizes.key_dim}, value_dim={sizes.value_dim}"
        yield f"dim={sizes.key_dim}" if sizes.key_dim == sizes.value_dim else dims
        yield from ["causal"] if self.causal else []
        yield from (f"{name}={kind!r}" for name, kind in self.given)
        yield from ["with the logsumexp"] if self.logsumexp else []
        yield from [self.number_format] if self.number_format != "float32" else []
        yield from [self.layout_in_words] if self.layout != "contiguous" else []
        yield from [self.regime] if self.regime != "usual" else []
        yield from [f"queries and keys {self.spread:g} times as large"] if self.spread != 1.0 else []
        yield from ["some values large"] if self.spiked else []
        yield from [f"every score moved by {self.offset:g}"] if self.offset else []


def shrink_case(case: Case, contract: Contract, same: Callable[[Case], bool], seconds: float = 1.5) -> Case:
    """The smallest case found that still fails in the same way."""
    return shrink(case, lambda tried: simpler(tried, contract), same, seconds=seconds)


def simpler(case: Case, contract: Contract) -> Iterator[Case]:
    """Simpler cases, the largest steps first."""
    yield from plainer(case, contract)
    yield from fewer_options(case, contract)
    yield from smaller_sizes(case, contract)
    for name, kind in case.given:
        yield from (case.but(**{name: simple}) for simple in BY_NAME[name].simpler(kind))


def plainer(case: Case, contract: Contract) -> Iterator[Case]:
    plain = {
        "layout": "contiguous",
        "number_format": contract.main_format,
        "regime": "usual",
        "offset": 0.0,
        "spread": 1.0,
        "spiked": False,
    }
    for name, value in plain.items():
        if getattr(case, name) != value:
            yield case.but(**{name: value})
    if case.layout != "contiguous" and case.placed == "all":
        yield from (
            case.but(placed=name) for name in ("key", "value", "query", *(each for each, _ in case.given))
        )


def fewer_options(case: Case, contract: Contract) -> Iterator[Case]:
    if case.logsumexp:
        yield case.but(logsumexp=False)
    for name in case.options:
        if name == "grouped_heads":
            yield case.but(query_heads=case.sizes.kv_heads)
        elif name != "causal":
            yield case.but(**{name: None})
        elif contract.causal is True:
            yield case.but(causal=False)


def smaller_sizes(case: Case, contract: Contract) -> Iterator[Case]:
    sizes = case.sizes
    yield from (case.but(batch=batch) for batch in range(1, sizes.batch))
    yield from fewer_heads(case)
    if sizes.query_len == sizes.key_len:
        yield from (case.but(query_len=length, key_len=length) for length in shorter(sizes.key_len))
    if contract.unequal_lengths:
        yield from (case.but(query_len=length) for length in shorter(sizes.query_len))
        yield from (case.but(key_len=length) for length in shorter(sizes.key_len))
    for dim in (1, 2, 4):
        if dim < sizes.key_dim:
            yield case.but(key_dim=dim, value_dim=min(dim, sizes.value_dim))


def fewer_heads(case: Case) -> Iterator[Case]:
    """Fewer kv heads with groups of the same size, then smaller groups."""
    kv_heads = case.sizes.kv_heads
    group = case.sizes.query_heads // kv_heads
    yield from (case.but(kv_heads=fewer, query_heads=fewer * group) for fewer in range(1, kv_heads))
    yield from (case.but(query_heads=kv_heads * fewer) for fewer in range(2, group))


def shorter(length: int) -> Iterator[int]:
    """Shorter lengths to try: very short, half, and slightly shorter."""
    tried = (1, 2, 3, 4, length // 2, length - length // 4, length - length // 8, length - 1)
    yield from sorted({each for each in tried if 1 <= each < length})
