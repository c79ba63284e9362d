"""One call to try: sizes, options, seed, format and layout. It holds no arrays; it builds them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from attnscope.audit.contract import Contract
from attnscope.audit.drawn import BIASES, DOCUMENTS, KEY_MASKS, MASKS
from attnscope.problem import FORMATS, AttentionShape

FORMAT_NAMES = {np.dtype(kind): name for name, kind in FORMATS.items()}
CACHE_LINE = 64  # bytes
SPIKES = 13
LARGE = 10.0  # a sink or a scale: e^score spans more than float16
HIDING = ("causal", "key_mask", "mask", "window", "documents")


@dataclass(frozen=True, eq=False)
class Call:
    """The arguments of one call, as arrays: `fn(*call.arrays, **call.options)`.

    Shapes
        query    (batch, query_heads, query_len, key_dim)
        key      (batch, kv_heads, key_len, key_dim)
        value    (batch, kv_heads, key_len, value_dim)
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
        """All arrays of the call, those among its options too."""
        options = {name: each for name, each in self.options.items() if isinstance(each, np.ndarray)}
        return {"query": self.query, "key": self.key, "value": self.value, **options}

    def copy(self) -> "Call":
        """The same call on arrays of its own, in C order, aligned alike: some code rounds by the alignment."""
        options = {
            name: aligned(each) if isinstance(each, np.ndarray) else each
            for name, each in self.options.items()
        }
        return Call(aligned(self.query), aligned(self.key), aligned(self.value), options)


def aligned(array: NDArray[Any]) -> NDArray[Any]:
    """A copy that begins at a cache line."""
    room = np.empty(array.nbytes + CACHE_LINE, np.uint8)
    start = -room.ctypes.data % CACHE_LINE
    copied = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copied[...] = array
    return copied


@dataclass(frozen=True)
class Case:
    """What one call asks. None: the option plays no part; a word: how its array is drawn.

    sizes            the seven sizes
    seed             of everything that is drawn
    causal           whether a query sees no key after its position
    key_mask, mask, documents, bias
                     how the array is drawn: see `drawn`
    window           neighbours to the left, to the right
    number_format    of query, key and value
    layout           how the arrays lie in memory: see `layouts`
    spread           standard deviation of query and key
    offset           added to every score, through a dimension that all queries and keys share
    spiked           some values are so large that one key among many shows: the last ones, and some before

    >>> case = Case(AttentionShape(1, 1, 1, 2, 3, 4, 4), causal=True)
    >>> case.options, case.build(Contract(causal=True)).options
    (('causal',), {'causal': True})
    """

    sizes: AttentionShape
    seed: int = 0
    causal: bool = False
    key_mask: str | None = None
    mask: str | None = None
    window: tuple[int, int] | None = None
    documents: str | None = None
    scale: float | None = None
    softcap: float | None = None
    bias: str | None = None
    sinks: float | None = None
    logsumexp: bool = False
    number_format: str = "float32"
    layout: str = "contiguous"
    spread: float = 1.0
    offset: float = 0.0
    spiked: bool = False

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options that play a part."""
        names = ("key_mask", "mask", "window", "documents", "scale", "softcap", "bias", "sinks")
        grouped = ("grouped_heads",) if self.sizes.query_heads != self.sizes.kv_heads else ()
        causal = ("causal",) if self.causal else ()
        return (*causal, *(name for name in names if getattr(self, name) is not None), *grouped)

    @property
    def extreme(self) -> bool:
        """Whether its numbers are far from usual: large scores, or options that make them large."""
        large = (abs(self.sinks or 0.0), self.scale or 0.0)
        return self.spread != 1.0 or bool(self.offset) or max(large) > LARGE or self.bias == "large"

    @property
    def work(self) -> int:
        """How many scores there are."""
        sizes = self.sizes
        return sizes.batch * sizes.query_heads * sizes.query_len * sizes.key_len

    def but(self, **changes: Any) -> Self:
        """The same case with some fields, or some sizes, changed."""
        sizes = {name: changes.pop(name) for name in list(changes) if hasattr(self.sizes, name)}
        return replace(self, sizes=replace(self.sizes, **sizes), **changes)

    def build(self, contract: Contract) -> Call:
        """Draw the arrays; the same case always draws the same."""
        query, key, value = (array.astype(FORMATS[self.number_format]) for array in self.vectors())
        causal = {"causal": self.causal} if contract.causal is True else {}
        logs = {"return_logsumexp": True} if self.logsumexp else {}
        return Call(query, key, value, {**causal, **self.scoring(), **self.drawn(), **logs})

    def vectors(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Query, key and value in float64."""
        sizes = self.sizes
        rng = np.random.default_rng([self.seed, sizes.query_len, sizes.key_len])
        query = rng.standard_normal((sizes.batch, sizes.query_heads, sizes.query_len, sizes.key_dim))
        key = rng.standard_normal((sizes.batch, sizes.kv_heads, sizes.key_len, sizes.key_dim))
        value = rng.standard_normal((sizes.batch, sizes.kv_heads, sizes.key_len, sizes.value_dim))
        query, key = self.spread * query, self.spread * key
        if sizes.value_dim > 1:
            value[..., -1] = 1.0  # so that a row whose weights do not sum to 1 shows it
        if self.spiked:
            large = np.zeros(sizes.key_len, np.bool_)
            large[:: max(1, sizes.key_len // SPIKES)], large[-200::7], large[-3:] = True, True, True
            value[:, :, large] *= 1_000 if self.number_format == "float16" else sizes.key_len
        if self.offset:
            side = np.sqrt(abs(self.offset) / (self.scale or sizes.key_dim**-0.5))
            query[..., 0], key[..., 0] = side, np.copysign(side, self.offset)
        return query, key, value

    def scoring(self) -> dict[str, Any]:
        """The options that are no arrays."""
        given = {name: getattr(self, name) for name in ("window", "scale", "softcap")}
        return {name: value for name, value in given.items() if value is not None}

    def drawn(self) -> dict[str, Any]:
        """The options that are arrays."""
        dtype, options = FORMATS[self.number_format], {}
        for name, tables in DRAWN.items():
            kind = getattr(self, name)
            if kind is not None:
                array = tables[kind](np.random.default_rng([self.seed, len(name)]), self.sizes)
                options[name] = array.astype(dtype) if name == "bias" else array
        if self.sinks is not None:
            rng = np.random.default_rng([self.seed, 7])
            options["sinks"] = (self.sinks + rng.standard_normal(self.sizes.query_heads)).astype(dtype)
        return options

    def __str__(self) -> str:
        sizes = self.sizes
        heads = f"heads={sizes.query_heads}" if sizes.query_heads == sizes.kv_heads else (
            f"query_heads={sizes.query_heads}, kv_heads={sizes.kv_heads}")  # fmt: skip
        dims = f"dim={sizes.key_dim}" if sizes.key_dim == sizes.value_dim else (
            f"key_dim={sizes.key_dim}, value_dim={sizes.value_dim}")  # fmt: skip
        said = [f"batch={sizes.batch}, {heads}, query_len={sizes.query_len}, key_len={sizes.key_len}, {dims}"]
        said += ["causal"] if self.causal else []
        said += [f"{name}={getattr(self, name)!r}" for name in
                 ("key_mask", "mask", "window", "documents", "scale", "softcap", "bias", "sinks")
                 if getattr(self, name) is not None]  # fmt: skip
        said += ["with the logsumexp"] if self.logsumexp else []
        said += [self.number_format] if self.number_format != "float32" else []
        said += [f"{self.layout} arrays"] if self.layout != "contiguous" else []
        said += [f"queries and keys {self.spread:g} times as large"] if self.spread != 1.0 else []
        said += ["some values large"] if self.spiked else []
        said += [f"every score moved by {self.offset:g}"] if self.offset else []
        return f"{', '.join(said)}, seed={self.seed}"


DRAWN: dict[str, dict[str, Callable[[np.random.Generator, AttentionShape], NDArray[Any]]]] = {
    "key_mask": KEY_MASKS,
    "mask": MASKS,
    "documents": DOCUMENTS,
    "bias": BIASES,
}
