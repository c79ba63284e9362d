"""The KV cache: sequences that grow, share what they have in common, and are attended to."""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from attnscope.arguments import brief, whole_number
from attnscope.cache.layout import Layout
from attnscope.cache.mixed import check_shared, group_by_query_len
from attnscope.cache.new_tokens import read_new_tokens
from attnscope.cache.paged import CAUSAL, attend_checked
from attnscope.cache.store import Store
from attnscope.cache.windows import read_windows
from attnscope.errors import AttentionShapeError, CacheError
from attnscope.kernels import Pages
from attnscope.problem import Dense, Mask, Window, check_vectors, plain

Vectors = NDArray[Any]
Query = TypeVar("Query", NDArray[Any], Sequence[NDArray[Any]])


class KVCache:
    """Keys and values of many sequences, in pages of page_tokens tokens, one arena a layer.

    bytes = pages held * page_tokens * kv_heads * (key_dim + value_dim) * bytes of an element, summed over layers

    A decoded row equals the row of a prefill, byte for byte, whatever the page size, threads, chunking and history
    of forks and truncations. Methods may be called from many threads; what a call attends to is what the sequences
    held when it began, and a sequence must not be released while it is attended to.

    Arguments
        layers             how many; all alike
        kv_heads           heads of keys and values
        key_dim            the last axis of keys and queries; value_dim that of values, as key_dim unless given
        dtype              "float32", "bfloat16", "float16", or "int8": a float32 scale a token and head, with an
                           error of at most max |x| / 254 an element (attnscope.cache.quantize)
        page_tokens        tokens a page
        capacity_tokens    a hard limit for each layer, over all sequences, rounded up to whole pages;
                           None: arenas grow as needed
        window             Window(left=..., right=0) where a query sees only so many tokens before its own: one for all
                           layers, or a list of one, or None, for each. Such a layer joins it (&) to every mask,
                           and gives back the pages that no later query can see.
    Errors
        AttentionError and its kinds; CacheError for sequences and layers that are not there; CacheFullError where
        tokens do not fit. Whatever is raised, nothing has been written.

    >>> cache = KVCache(layers=1, kv_heads=1, key_dim=2)
    >>> text = cache.new_sequence()
    >>> cache.append(text, 0, np.ones((1, 3, 2), np.float32), np.full((1, 3, 2), 5, np.float32))
    >>> cache.attend(text, 0, np.ones((1, 1, 2), np.float32))
    array([[[5., 5.]]], dtype=float32)
    """

    def __init__(
        self,
        *,
        layers: int,
        kv_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dtype: str = "float32",
        page_tokens: int = 64,
        capacity_tokens: int | None = None,
        window: Window | Sequence[Window | None] | None = None,
    ) -> None:
        layers = whole_number(layers, "layers", minimum=1, error=AttentionShapeError)
        self._layout = Layout(
            kv_heads, key_dim, key_dim if value_dim is None else value_dim, dtype, page_tokens
        )
        most_pages = None
        if capacity_tokens is not None:
            capacity_tokens = whole_number(
                capacity_tokens, "capacity_tokens", minimum=1, error=AttentionShapeError
            )
            most_pages = self._layout.blocks_of(capacity_tokens)
        self._windows = read_windows(window, layers)
        self._store = Store(self._layout, most_pages, self._windows)

    def new_sequence(self) -> int:
        """An empty sequence, by the number it is known by until it is released."""
        with self._store.lock:
            return self._store.add()

    def append(self, sequence: int | Sequence[int], layer: int, key: Vectors, value: Vectors) -> None:
        """Write new tokens of one layer at the end of a sequence, or of several: all of them or none.

        Shapes
            key      (kv_heads, tokens, key_dim)      in the cache's format, for int8 in float32, bfloat16 or float16
            value    (kv_heads, tokens, value_dim)    0 tokens are legal
            for a list of sequences: (sequences, kv_heads, tokens, dim), as many new tokens for each
        Errors
            CacheError, CacheFullError, AttentionShapeError, AttentionFormatError.
        """
        with self._store.lock:
            known = self._known([sequence] if _is_one(sequence) else sequence)
            number = self._layer_number(layer)
            layout = self._layout
            new = read_new_tokens(
                key,
                value,
                (len(known), layout.kv_heads),
                (layout.key_dim, layout.value_dim),
                layout.dtype,
            )
            if known and new[0].shape[2]:
                self._store.append(known, number, new)

    def attend(  # noqa: PLR0913  # as attention()
        self,
        sequences: int | Sequence[int],
        layer: int,
        query: Query,
        *,
        mask: Mask | NDArray[np.bool_] | None = CAUSAL,
        scale: float | None = None,
        softcap: float | None = None,
        bias: Vectors | None = None,
        alibi_slopes: Vectors | Sequence[float] | None = None,
        sinks: Vectors | Sequence[float] | None = None,
        out: Vectors | None = None,
        threads: int | None = None,
    ) -> Query:
        """Attention of queries over what one layer holds of their sequences; the last query meets the last token.

        output[s] = attention(query[s], all keys of s, all values of s, mask=...), bit for bit

        Shapes
            query     (sequences, query_heads, query_len, key_dim)      float32, bfloat16 or float16
                      for one sequence that is not in a list: (query_heads, query_len, key_dim)
                      for queries of different number: a list of (query_heads, query_len, key_dim), one a sequence
            output    the same with value_dim as last axis, in the query's format; a list for a list
        Arguments
            mask      Causal() unless given; None: every token of the sequence. A layer's window is joined to it.
                      Sizes that a mask or a bias is checked against are
                      (sequences, query_heads, query_len, tokens of the longest sequence).
            scale, softcap, bias, alibi_slopes, sinks, out, threads
                      as in attention(); bias and out, and masks of a row each, for one array of queries only
        Errors
            CacheError for an unknown sequence or layer, and for queries that would see what the window has dropped;
            AttentionError and its other kinds as in attention().
        """
        options: dict[str, Any] = {
            "mask": mask, "scale": scale, "softcap": softcap, "bias": bias, "alibi_slopes": alibi_slopes, "sinks": sinks,
            "out": out, "threads": threads,
        }  # fmt: skip
        answer: Any
        if isinstance(query, list | tuple):
            answer = self._attend_mixed(sequences, layer, query, options)
        elif _is_one(sequences):
            together = _vectors(query)[None]
            if out is not None:
                options["out"] = plain(out, "out")[None]
            answer = self._attend([sequences], layer, together, **options)[0]
        else:
            answer = self._attend(sequences, layer, _vectors(query), **options)
        return answer if out is None else out  # type: ignore[return-value]  # an array where query is one

    def fork(self, sequence: int) -> int:
        """A new sequence with the same tokens. Pages are shared, and copied when one side writes to them."""
        with self._store.lock:
            (known,) = self._known([sequence])
            return self._store.fork(known)

    def truncate(self, sequence: int, tokens: int) -> None:
        """Keep the first tokens of a sequence, in every layer.

        Errors
            CacheError when a layer has fewer, or when the next query would see what a window has dropped.
        """
        with self._store.lock:
            (known,) = self._known([sequence])
            tokens = whole_number(tokens, "tokens", minimum=0, error=CacheError)
            self._store.truncate(known, tokens)

    def release(self, sequence: int) -> None:
        """Give back what a sequence holds; its number means nothing from now on."""
        with self._store.lock:
            (known,) = self._known([sequence])
            self._store.release(known)

    @property
    def sequences(self) -> tuple[int, ...]:
        """The numbers of all sequences that are not released, in the order in which they were made.

        After an exception that interrupted new_sequence() or fork(), a number may be here that the caller never got.
        """
        with self._store.lock:
            return tuple(self._store.tables)

    def tokens(self, sequence: int, layer: int | None = None) -> int:
        """How many tokens a layer has of a sequence, those dropped from a window included; None: the fewest of all."""
        with self._store.lock:
            (known,) = self._known([sequence])
            if layer is not None:
                return self._store.tables[known][self._layer_number(layer)].tokens
            return min(table.tokens for table in self._store.tables[known])

    def stored(self, sequence: int, layer: int) -> tuple[Vectors, Vectors]:
        """Copies of a sequence's keys and values as they are read: what attend() works on, for attention() or the eye.

        Shapes
            key      (kv_heads, tokens, key_dim)      in the cache's format; float32 for int8
            value    (kv_heads, tokens, value_dim)    zeros for tokens that a window has dropped
        """
        with self._store.lock:
            (known,) = self._known([sequence])
            number = self._layer_number(layer)
            return self._store.layers[number].stored(self._store.tables[known][number])

    @property
    def bytes_used(self) -> int:
        """Of the pages that sequences hold, over all layers; a shared page counts once."""
        with self._store.lock:
            self._store.settle()
            return sum(layer.arena.bytes_used for layer in self._store.layers)

    @property
    def bytes_reserved(self) -> int:
        """Of the arenas. The system gives them memory page by page, as it is first written to."""
        return sum(layer.arena.bytes_reserved for layer in self._store.layers)

    def __repr__(self) -> str:
        layout, layers, sequences = self._layout, len(self._store.layers), len(self._store.tables)
        return (
            f"KVCache({layers} layer{'s' * (layers > 1)} of {layout.kv_heads} x ({layout.key_dim} + {layout.value_dim}) "
            f"{layout.dtype}, pages of {layout.page_tokens} tokens, {sequences} sequence{'s' * (sequences != 1)}: "
            f"{self.bytes_used / 2**20:,.1f} MiB used of {self.bytes_reserved / 2**20:,.1f} MiB)"
        )

    def reading(
        self,
        sequences: Sequence[int],
        layer: int,
        query_len: int,
        mask: Mask | NDArray[np.bool_] | None = CAUSAL,
    ) -> tuple[Pages, Mask | NDArray[np.bool_] | None]:
        """The pages that attend() would read, where they lie, and the mask with the layer's window joined to it.

        For attnscope.cache.attend() and kernels of one's own: views, which hold until a sequence is written to.

        Errors
            As in attend().
        """
        with self._store.lock:
            known, number = self._known(sequences), self._layer_number(layer)
            one_layer, window = self._store.layers[number], self._windows[number]
            tables = [self._store.tables[each][number] for each in known]
            if window is not None:
                for each, table in zip(known, tables, strict=True):
                    one_layer.check_in_sight(table, query_len, each, number)
            pages = one_layer.pages_of(tables)
        return pages, mask if window is None else joined(mask, window)

    def _attend(
        self,
        sequences: Any,
        layer: int,
        query: Vectors,
        *,
        mask: Mask | NDArray[np.bool_] | None,
        **options: Any,
    ) -> Vectors:
        pages, mask = self.reading(sequences, layer, query.shape[2] if query.ndim == 4 else 0, mask)
        return attend_checked(query, pages, mask=mask, **options)

    def _attend_mixed(
        self, sequences: Any, layer: int, queries: Sequence[Any], options: dict[str, Any]
    ) -> list[Vectors]:
        """Queries of the same number together, each group in a call of its own."""
        if _is_one(sequences):
            raise CacheError(
                f"query is a list, expected an array for one sequence, or a list of sequences: [{sequences}]."
            )
        with self._store.lock:
            known = self._known(sequences)
        groups = group_by_query_len(queries, len(known))
        check_shared(options)
        output: dict[int, Vectors] = {}
        for members in groups:
            together = (
                np.stack([queries[i] for i in members]) if len(members) > 1 else queries[members[0]][None]
            )
            found = self._attend([known[i] for i in members], layer, together, **options)
            output.update(zip(members, found, strict=True))
        return [output[i] for i in range(len(known))]

    def _layer_number(self, layer: Any) -> int:
        number = whole_number(layer, "layer", error=CacheError)
        if not 0 <= number < len(self._store.layers):
            raise CacheError(f"layer={number}: expected 0 to {len(self._store.layers) - 1}.")
        return number

    def _known(self, sequences: Any) -> list[int]:
        """The sequences' numbers, each of which is there, and once."""
        if not isinstance(sequences, list | tuple | range | np.ndarray):
            raise CacheError(
                f"sequences={brief(sequences)}: expected a sequence's number, or a list of them."
            )
        known = [
            each if type(each) is int else whole_number(each, "sequence", error=CacheError)
            for each in sequences
        ]
        for number in known:
            if number not in self._store.tables:
                was = "has been released" if 0 <= number < self._store.numbers_used else "was never made"
                raise CacheError(f"sequence {number} {was}: expected a number from new_sequence() or fork().")
        if len(set(known)) < len(known):
            twice = next(number for number in known if known.count(number) > 1)
            raise CacheError(f"sequence {twice} is named twice in one call. fork() makes a second one of it.")
        return known


def joined(mask: Mask | NDArray[np.bool_] | None, window: Window) -> Mask:
    """What both show. A window that looks back is causal itself."""
    if mask is None or mask is CAUSAL:
        return window
    return window & (mask if isinstance(mask, Mask) else Dense(mask))


def _vectors(query: Any) -> Vectors:
    array = plain(query, "query")
    check_vectors(array, "query")
    return array


def _is_one(sequence: Any) -> bool:
    return isinstance(sequence, int | np.integer)
