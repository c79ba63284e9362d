"""One call to try: sizes, options, seed, format and layout. It holds no arrays; `build` draws them."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from attnscope.audit.contract import Contract
from attnscope.audit.options import BY_NAME, DRAWN
from attnscope.probing import listed
from attnscope.problem import FORMATS, AttentionShape

FORMAT_NAMES = {np.dtype(kind): name for name, kind in FORMATS.items()}
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
        The memory layout of the arrays: see `arrays.LAYOUTS`.
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
        return self.spread != 1.0 or bool(self.offset) or large

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
        query = rng.standard_normal((sizes.batch, sizes.query_heads, sizes.query_len, sizes.key_dim))
        key = rng.standard_normal((sizes.batch, sizes.kv_heads, sizes.key_len, sizes.key_dim))
        value = rng.standard_normal((sizes.batch, sizes.kv_heads, sizes.key_len, sizes.value_dim))
        query, key = self.spread * query, self.spread * key
        if sizes.value_dim > 1:
            value[..., -1] = 1.0  # the output is 1 there if the weights sum to 1
        if self.spiked:
            large = np.zeros(sizes.key_len, np.bool_)
            large[:: max(1, sizes.key_len // SPIKES)], large[-200::7], large[-3:] = True, True, True
            value[:, :, large] *= 1_000 if self.number_format == "float16" else sizes.key_len
        if self.offset:
            side = np.sqrt(abs(self.offset) / (self.kind("scale") or sizes.key_dim**-0.5))
            query[..., 0], key[..., 0] = side, np.copysign(side, self.offset)
        return query, key, value

    def condition(self, but: tuple[str, ...] = ()) -> str:
        """The condition of a finding in words: ", when a key mask is also given, at query_len=1"."""
        rows = [BY_NAME[name] for name in self.options if name not in but]
        words = []
        if rows:
            verb = "is" if len(rows) == 1 and not rows[0].plural else "are"
            also = "also " if but else ""
            words.append(f"when {listed([row.words for row in rows])} {verb} {also}given")
        sizes = self.sizes
        if sizes.key_len > 16:
            words.append(f"at query_len={sizes.query_len}, key_len={sizes.key_len}")
        elif sizes.query_len != sizes.key_len:
            words.append(f"with query_len={sizes.query_len} and key_len={sizes.key_len}")
        words += [f"in {self.number_format}"] if self.number_format != "float32" else []
        words += [f"with {self.layout} arrays"] if self.layout != "contiguous" else []
        words += [f"when scores are around {self.offset:g}"] if self.offset else []
        words += ["when scores are large"] if self.spread > 1 else []
        return "".join(f", {each}" for each in words)

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
        yield from [f"{self.layout} arrays"] if self.layout != "contiguous" else []
        yield from [f"queries and keys {self.spread:g} times as large"] if self.spread != 1.0 else []
        yield from ["some values large"] if self.spiked else []
        yield from [f"every score moved by {self.offset:g}"] if self.offset else []
