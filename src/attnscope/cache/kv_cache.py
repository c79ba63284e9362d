"""The KV cache: sequences that grow, share pages, and are attended to."""

from collections.abc import Sequence
from typing import Any, Unpack, overload

from numpy.typing import NDArray

from attnscope.arguments import whole_number
from attnscope.cache.layout import Layout
from attnscope.cache.new_tokens import read_new_tokens
from attnscope.cache.paged import Out, PagedOptions, attend_pages
from attnscope.cache.queries import as_batch, by_shape, check_shared, is_one, listed
from attnscope.cache.sequences import CachedSequences
from attnscope.cache.windows import CAUSAL, joined, read_windows
from attnscope.errors import AttentionShapeError
from attnscope.problem import Array, Mask, Pages, ScoringOptions, Window, plain

Vectors = NDArray[Any]
Sequences = int | Sequence[int]


class KVCache(CachedSequences):
    """Keys and values of many sequences, in pages of page_tokens tokens, one arena per layer.

    bytes = sum over layers of used pages * page_tokens * kv_heads * (key_dim + value_dim) * element bytes

    Parameters
    ----------
    layers : int
        The number of layers; all have the same sizes.
    kv_heads : int
        Heads of keys and values.
    key_dim : int
        The last axis of keys and queries.
    value_dim : int, optional
        The last axis of values; key_dim by default.
    dtype : {"float32", "bfloat16", "float16", "int8"}
        The format of the stored elements. int8 has one float32 scale per token and head, and an error of at
        most `max |x| / 254` per element: see attnscope.cache.quantize().
    page_tokens : int, default 64
        Tokens per page.
    capacity_tokens : int, optional
        A hard limit per layer, over all sequences, rounded up to whole pages. None: arenas grow as needed.
    window : Window or sequence of Window or None, optional
        Window(left=..., right=0) if a query sees only so many tokens before its own: one for all layers, or
        one per layer. Such a layer joins the window (&) to every mask, and gives back the pages that no later
        query sees.

    Raises
    ------
    AttentionError
        One of its kinds, if an argument is wrong.

    Notes
    -----
    A decoded row equals the row of a prefill, byte for byte, whatever the page size, threads, chunks and
    history of forks and truncations.

    Methods may be called from many threads. A call attends to the tokens that the sequences had when it
    began; do not release, truncate or append to a sequence during a call that attends to it. After os.fork(),
    the child has a copy of the cache.

    An exception at any moment of a method, such as KeyboardInterrupt or MemoryError, leaves each sequence as
    it was before the call, or as it is after it. One thing may be done of an interrupted append(): the pages
    that a window has left behind are given back.

    Examples
    --------
    >>> import numpy as np
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
        value_dim = key_dim if value_dim is None else value_dim
        layout = Layout(kv_heads, key_dim, value_dim, dtype, page_tokens)
        most_pages = None
        if capacity_tokens is not None:
            tokens = whole_number(capacity_tokens, "capacity_tokens", minimum=1, error=AttentionShapeError)
            most_pages = layout.blocks_of(tokens)
        super().__init__(layout, most_pages, read_windows(window, layers))

    def append(self, sequence: Sequences, layer: int, key: Array, value: Array) -> None:
        """Write new tokens of one layer at the end of one sequence or of several: for all or for none.

        Parameters
        ----------
        sequence : int or sequence of int
            One sequence, or several that get as many new tokens each.
        layer : int
            The layer, from 0.
        key : ndarray, shape (kv_heads, tokens, key_dim)
            In the cache's format; for int8 in float32, bfloat16 or float16. 0 tokens are legal. For a list of
            sequences: (sequences, kv_heads, tokens, key_dim).
        value : ndarray, shape (kv_heads, tokens, value_dim)
            In the same format. For a list of sequences: (sequences, kv_heads, tokens, value_dim).

        Raises
        ------
        CacheError
            If there is no such sequence or layer.
        CacheFullError
            If the tokens do not fit. Nothing was written.
        AttentionShapeError, AttentionFormatError
            If the arrays do not fit the cache.
        """
        layout = self._layout
        with self._store.lock:
            known, number = self._store.known(listed(sequence)), self._store.layer_number(layer)
            rows, dims = (len(known), layout.kv_heads), (layout.key_dim, layout.value_dim)
            new = read_new_tokens(key, value, rows, dims, layout.dtype)
            if known and new[0].shape[2]:
                self._store.append(known, number, new)

    @overload
    def attend(
        self, sequences: Sequences, layer: int, query: Array, **options: Unpack[PagedOptions]
    ) -> Vectors: ...

    @overload
    def attend(
        self, sequences: Sequences, layer: int, query: Array, *, out: Out, **options: Unpack[PagedOptions]
    ) -> Out: ...

    @overload
    def attend(
        self, sequences: Sequence[int], layer: int, query: Sequence[Array], **options: Unpack[PagedOptions]
    ) -> list[Vectors]: ...

    def attend(
        self,
        sequences: Sequences,
        layer: int,
        query: Array | Sequence[Array],
        *,
        mask: Mask | Array | None = CAUSAL,
        out: Array | None = None,
        threads: int | None = None,
        **scoring: Unpack[ScoringOptions],
    ) -> Array | list[Vectors]:
        """Compute attention over one layer of some sequences. The last query belongs to the last token.

        output[s] = attention(query[s], all keys of s, all values of s, mask=...), bit for bit

        Parameters
        ----------
        sequences : int or sequence of int
            One sequence, or several.
        layer : int
            The layer, from 0.
        query : ndarray, shape (query_heads, query_len, key_dim), or a list of them
            float32, bfloat16 (ml_dtypes) or float16. For a list of sequences: an array of shape (sequences,
            query_heads, query_len, key_dim), or, for different query_len, a list of one array per sequence.
        mask : Mask or ndarray of bool, default Causal()
            Which keys each query sees; None: every token of the sequence. The layer's window is joined to it.
            A mask or a bias is checked against the sizes (sequences, query_heads, query_len, tokens of the
            longest sequence).
        out : ndarray, shape (..., query_heads, query_len, value_dim), optional
            Receives the output, in the query's format; also returned. Not for a list of queries.
        threads : int, optional
            The largest number of threads; kernels.default_threads() by default.
        **scoring : Unpack[ScoringOptions]
            scale, softcap, bias, alibi_slopes and sinks, as in attention(). No bias for a list of queries.

        Returns
        -------
        ndarray, shape (..., query_heads, query_len, value_dim), or a list of them
            In the query's format; a list for a list.

        Raises
        ------
        CacheError
            If there is no such sequence or layer, or if a query would see tokens that the window has dropped.
        AttentionError
            One of its other kinds, as attention() raises them.
        """
        if isinstance(query, list | tuple):
            check_shared(mask, out, scoring)
            self._store.known(listed(sequences))

            def one_shape(some: list[int], rows: Vectors) -> Vectors:
                return self.attend(some, layer, rows, mask=mask, threads=threads, **scoring)

            return by_shape(query, sequences, one_shape)
        rows, one = as_batch(query, sequences), is_one(sequences)
        pages, shown = self.reading(sequences, layer, rows.shape[2], mask)
        into = plain(out, "out")[None] if one and out is not None else out
        output = attend_pages(rows, pages, mask=shown, out=into, threads=threads, **scoring)
        return (output[0] if one else output) if out is None else out

    def stored(self, sequence: int, layer: int) -> tuple[Vectors, Vectors]:
        """Return copies of a sequence's keys and values as attend() reads them.

        Parameters
        ----------
        sequence : int
            The sequence.
        layer : int
            The layer, from 0.

        Returns
        -------
        key : ndarray, shape (kv_heads, tokens, key_dim)
            In the cache's format; float32 for int8. Zeros for tokens that a window has dropped.
        value : ndarray, shape (kv_heads, tokens, value_dim)
            The same.

        Raises
        ------
        CacheError
            If there is no such sequence or layer.
        """
        with self._store.lock:
            (known,) = self._store.known([sequence])
            number = self._store.layer_number(layer)
            return self._store.layers[number].stored(self._store.tables[known][number])

    def __repr__(self) -> str:
        layout, layers, sequences = self._layout, len(self._windows), len(self._store.tables)
        return (
            f"KVCache({layers} layer{'s' * (layers > 1)} of {layout.kv_heads} x ({layout.key_dim} + "
            f"{layout.value_dim}) {layout.dtype}, pages of {layout.page_tokens} tokens, "
            f"{sequences} sequence{'s' * (sequences != 1)}: "
            f"{self.bytes_used / 2**20:,.1f} MiB used of {self.bytes_reserved / 2**20:,.1f} MiB)"
        )

    def reading(
        self, sequences: Sequences, layer: int, query_len: int, mask: Mask | Array | None = CAUSAL
    ) -> tuple[Pages, Mask | Array | None]:
        """Return the pages that attend() would read, in place, and the mask joined with the layer's window.

        For attnscope.cache.attend() and your own kernels. The views are valid until a sequence is written to.

        Parameters
        ----------
        sequences : int or sequence of int
            One sequence, or several.
        layer : int
            The layer, from 0.
        query_len : int
            How many queries, at the end of each sequence, will be computed.
        mask : Mask or ndarray of bool, default Causal()
            Which keys each query sees; None: every token.

        Returns
        -------
        pages : Pages
            Views of the layer's arena, and a block table of the sequences.
        mask : Mask or ndarray of bool or None
            The given mask and the layer's window (&).

        Raises
        ------
        CacheError
            If there is no such sequence or layer, or if a query would see tokens that the window has dropped.
        """
        with self._store.lock:
            known, number = self._store.known(listed(sequences)), self._store.layer_number(layer)
            tables = [self._store.tables[each][number] for each in known]
            one_layer = self._store.layers[number]
            if one_layer.window.left is not None:
                for each, table in zip(known, tables, strict=True):
                    one_layer.window.check_queries(table, query_len, each, number)
            pages = one_layer.pages_of(tables)
        return pages, joined(mask, self._windows[number])
