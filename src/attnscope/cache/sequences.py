"""The sequences of a cache: made, shared, cut back and released. What they hold is KVCache's."""

from collections.abc import Sequence

from attnscope.arguments import whole_number
from attnscope.cache.layout import Layout
from attnscope.cache.queries import listed
from attnscope.cache.store import Store
from attnscope.errors import CacheError
from attnscope.problem import Window


class CachedSequences:
    """The part of KVCache that counts tokens and pages, without arrays.

    Parameters
    ----------
    layout : Layout
        Sizes of a page.
    most_pages : int or None
        A fixed number of pages per layer, or None for arenas that grow.
    windows : sequence of Window or None
        The window of each layer.
    """

    def __init__(self, layout: Layout, most_pages: int | None, windows: Sequence[Window | None]) -> None:
        self._layout = layout
        self._windows = windows
        self._store = Store(layout, most_pages, windows)

    def new_sequence(self) -> int:
        """Make an empty sequence.

        Returns
        -------
        int
            Its number, until it is released.
        """
        with self._store.lock:
            return self._store.add()

    def fork(self, sequence: int) -> int:
        """Make a sequence with the same tokens. Pages are shared until one side writes to them.

        Parameters
        ----------
        sequence : int
            The sequence whose tokens are shared.

        Returns
        -------
        int
            The number of the new sequence.

        Raises
        ------
        CacheError
            If there is no such sequence.
        """
        with self._store.lock:
            (known,) = self._store.known([sequence])
            return self._store.fork(known)

    def truncate(self, sequence: int, tokens: int) -> None:
        """Keep the first tokens of a sequence, in every layer.

        Parameters
        ----------
        sequence : int
            The sequence to cut back.
        tokens : int
            How many tokens to keep.

        Raises
        ------
        CacheError
            If there is no such sequence, if a layer has fewer tokens, or if the next query would see tokens
            that a window has dropped.
        """
        with self._store.lock:
            (known,) = self._store.known([sequence])
            self._store.truncate(known, whole_number(tokens, "tokens", minimum=0, error=CacheError))

    def release(self, sequence: int) -> None:
        """Give back the pages of a sequence. Its number is not used again.

        Parameters
        ----------
        sequence : int
            The sequence to release.

        Raises
        ------
        CacheError
            If there is no such sequence.
        """
        with self._store.lock:
            (known,) = self._store.known([sequence])
            self._store.release(known)

    @property
    def sequences(self) -> tuple[int, ...]:
        """The numbers of all sequences that are not released, in the order in which they were made.

        After an exception interrupted new_sequence() or fork(), one may be here that the caller did not
        receive.
        """
        with self._store.lock:
            return tuple(self._store.tables)

    def tokens(self, sequence: int, layer: int | None = None) -> int:
        """Return how many tokens a sequence has, including those that a window has dropped.

        Parameters
        ----------
        sequence : int
            The sequence.
        layer : int, optional
            One layer. None: the fewest of all layers, which differ between the appends of one step.

        Returns
        -------
        int
            The number of tokens.

        Raises
        ------
        CacheError
            If there is no such sequence or layer.
        """
        with self._store.lock:
            (known,) = self._store.known([sequence])
            tables = self._store.tables[known]
            if layer is not None:
                return tables[self._store.layer_number(layer)].tokens
            return min(table.tokens for table in tables)

    def first_kept(self, sequence: int, layer: int) -> int:
        """Return the first token that the window of a layer has not dropped.

        Parameters
        ----------
        sequence : int
            The sequence.
        layer : int
            The layer, from 0.

        Returns
        -------
        int
            The number of a token, from 0; a multiple of page_tokens.

        Raises
        ------
        CacheError
            If there is no such sequence or layer.
        """
        with self._store.lock:
            (known,) = self._store.known([sequence])
            number = self._store.layer_number(layer)
            return self._store.layers[number].window.first_kept(self._store.tables[known][number])

    def check_room(self, sequence: int | Sequence[int], layer: int, tokens: int) -> None:
        """Check that append() of so many tokens would fit. Nothing is changed.

        Parameters
        ----------
        sequence : int or sequence of int
            One sequence, or several that would get as many new tokens each.
        layer : int
            The layer, from 0.
        tokens : int
            New tokens per sequence.

        Raises
        ------
        CacheError
            If there is no such sequence or layer.
        CacheFullError
            If the tokens do not fit.
        """
        with self._store.lock:
            known, number = self._store.known(listed(sequence)), self._store.layer_number(layer)
            new = whole_number(tokens, "tokens", minimum=0, error=CacheError)
            if known and new:
                self._store.check_room(known, number, new)

    @property
    def drops_unseen(self) -> bool:
        """Whether append() gives back the pages that a window has left behind. True at first.

        Set it to False before appending tokens that truncate() may take back, as in speculative decoding.
        """
        return self._store.drops_unseen

    @drops_unseen.setter
    def drops_unseen(self, drops: bool) -> None:
        with self._store.lock:
            self._store.drops_unseen = bool(drops)

    @property
    def bytes_used(self) -> int:
        """Bytes of the pages that sequences use, over all layers. A shared page counts once."""
        with self._store.lock:
            self._store.settle()
            return sum(layer.arena.bytes_used for layer in self._store.layers)

    @property
    def bytes_reserved(self) -> int:
        """Bytes of the arenas. The operating system provides memory page by page, at the first write."""
        return sum(layer.arena.bytes_reserved for layer in self._store.layers)
