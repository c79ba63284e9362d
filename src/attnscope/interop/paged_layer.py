"""One layer of a PagedCache: the pages of its rows, read in place."""

import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import cache_utils

from attnscope.cache import KVCache, attend_pages
from attnscope.errors import CacheError, UnsupportedProblemError
from attnscope.interop.paged_vectors import PagedVectors
from attnscope.interop.tensors import array_of, as_autocast, needs_gradients, vectors_of
from attnscope.interop.torch_attention import empty_output
from attnscope.problem import Window

FORMATS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class PageOptions:
    """How the layers of a cache keep their tokens: the arguments of PagedCache."""

    dtype: str | None
    page_tokens: int
    capacity_tokens: int | None

    def __post_init__(self) -> None:
        self.pages(1, 1, 1, "float32", None)  # checks the options before a model runs

    def pages(
        self, kv_heads: int, key_dim: int, value_dim: int, of_model: str, window: Window | None
    ) -> KVCache:
        """Make the pages of one layer, in the model's format if no other is asked for."""
        return KVCache(
            layers=1,
            kv_heads=kv_heads,
            key_dim=key_dim,
            value_dim=value_dim,
            dtype=of_model if self.dtype is None else self.dtype,
            page_tokens=self.page_tokens,
            capacity_tokens=self.capacity_tokens,
            window=window,
        )


@dataclass(frozen=True, eq=False)
class SharedPages:
    """The pages of one layer, of all caches that were forked from each other.

    Parameters
    ----------
    cache : KVCache
        Its only layer is 0.
    kv_heads, key_dim, value_dim : int
        Its sizes.
    format : torch.dtype
        Of the model's keys and values.
    abandoned : deque of int
        The sequences whose layer no longer exists.
    """

    cache: KVCache
    kv_heads: int
    key_dim: int
    value_dim: int
    format: torch.dtype
    abandoned: deque[int] = field(default_factory=deque)

    def settle(self) -> None:
        """Release abandoned sequences. A finalizer cannot: it may run in the middle of a change."""
        while self.abandoned:
            self.cache.release(self.abandoned.popleft())


class PagedLayer(cache_utils.CacheLayerMixin):  # type: ignore[misc]  # Transformers has no types here
    """Keys and values of one layer, a sequence of pages per row of the batch.

    Parameters
    ----------
    options : PageOptions
        Format and sizes.
    sliding_window : int, optional
        How many tokens a query sees, its own among them. Pages that no later query sees are given back.
    """

    is_compileable = False
    is_croppable = True
    supports_early_init = False

    def __init__(self, options: PageOptions, sliding_window: int | None = None) -> None:
        self.options = options
        self.sliding_window = sliding_window
        self.record_past = False  # whether crop() may take back several updates
        self.shared: SharedPages | None = None
        self.sequences: list[int] = []  # one per row; changed in place, since the finalizer holds it
        self._drops = True  # whether the next update gives back what the window has left behind

    def __repr__(self) -> str:
        held = "empty" if self.shared is None else f"{len(self.sequences)} rows, {self.shared.cache}"
        return f"PagedLayer({held})"

    @property
    def is_sliding(self) -> bool:
        return self.sliding_window is not None

    @property
    def is_initialized(self) -> bool:
        return self.shared is not None

    @property
    def keys(self) -> torch.Tensor | None:
        return None if self.shared is None else self._vectors(0)

    @property
    def values(self) -> torch.Tensor | None:
        return None if self.shared is None else self._vectors(1)

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Make the pages, for a model's first keys and values.

        Parameters
        ----------
        key_states : Tensor, (batch, kv_heads, tokens, key_dim)
        value_states : Tensor, (batch, kv_heads, tokens, value_dim)
        """
        batch, kv_heads, _, key_dim = key_states.shape
        window = None if self.sliding_window is None else Window(left=self.sliding_window - 1, right=0)
        of_model = str(key_states.dtype).removeprefix("torch.")
        cache = self.options.pages(kv_heads, key_dim, value_states.shape[-1], of_model, window)
        shared = SharedPages(cache, kv_heads, key_dim, value_states.shape[-1], key_states.dtype)
        self._hold(shared, [cache.new_sequence() for _ in range(batch)])

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write new tokens into the pages.

        Parameters
        ----------
        key_states : Tensor, (batch, kv_heads, tokens, key_dim)
        value_states : Tensor, (batch, kv_heads, tokens, value_dim)

        Returns
        -------
        PagedVectors, PagedVectors
            All kept keys and values, without memory: attnscope's attention reads the pages.

        Raises
        ------
        CacheError
            If the tensors are of another model, or of another number of rows.
        CacheFullError
            If capacity_tokens does not suffice. Nothing was written.
        UnsupportedProblemError
            If torch records gradients of the tensors.
        """
        if needs_gradients(key_states, value_states):
            raise UnsupportedProblemError(
                "a PagedCache keeps numbers and no gradients. Run the model under torch.no_grad(), or train "
                "it with use_cache=False."
            )
        key_states, value_states = as_autocast(key_states, value_states)
        if self.shared is None:
            self.lazy_initialization(key_states, value_states)
        assert self.shared is not None
        self._check(key_states, value_states)
        self.shared.settle()
        cache = self.shared.cache
        new = (vectors_of(self._stored_as(each)) for each in (key_states, value_states))
        cache.drops_unseen = self._drops
        cache.append(self.sequences, 0, *new)
        if self.record_past:
            self._drops = False
        return self._vectors(0), self._vectors(1)

    def check_current(self, key: torch.Tensor, keys_read: int) -> None:
        """Raise CacheError if keys are of an earlier state of the cache, or the mask is of fewer keys."""
        kept = self.get_seq_length() - self._first_kept
        if key.shape[2] != kept or keys_read != kept:
            raise CacheError(
                f"the attention is given {key.shape[2]} keys and a mask of {keys_read}, and the cache holds "
                f"{kept}: one of them is of an earlier call. Let the model make its mask: pass "
                "attention_mask as [batch, all tokens]."
            )

    def attend(self, query: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
        """Compute attention to the pages, in place.

        Parameters
        ----------
        query : Tensor, (batch, query_heads, tokens, key_dim)
            The last tokens.
        options : dict
            The other arguments of attention(); the mask is of the kept keys.

        Returns
        -------
        Tensor, (batch, query_heads, tokens, value_dim)
        """
        assert self.shared is not None
        pages, _ = self.shared.cache.reading(self.sequences, 0, query.shape[2])
        if first := self._first_kept:
            blocks = pages.block_table[:, first // self.options.page_tokens :]
            pages = pages._replace(block_table=np.ascontiguousarray(blocks), key_lens=pages.key_lens - first)
        output = empty_output(query, self._vectors(1))
        attend_pages(vectors_of(query), pages, out=array_of(output), **({"mask": None} | options))
        return output

    def dense(self, which: int, dtype: torch.dtype) -> torch.Tensor:
        """Copies of the kept keys (0) or values (1), (batch, kv_heads, kept tokens, dim)."""
        assert self.shared is not None
        first, cache = self._first_kept, self.shared.cache
        rows = [torch.from_numpy(_plain(cache.stored(each, 0)[which])) for each in self.sequences]
        return torch.stack([each[:, first:] for each in rows]).to(dtype)

    def check_room(self, tokens: int) -> None:
        """Raise CacheFullError if update() with so many tokens per row would; change nothing."""
        if self.shared is None:
            return
        self.shared.settle()
        cache = self.shared.cache
        cache.drops_unseen = self._drops
        cache.check_room(self.sequences, 0, tokens)

    @property
    def bytes_used(self) -> int:
        """Bytes of the pages in use, of all forks."""
        if self.shared is None:
            return 0
        self.shared.settle()
        return self.shared.cache.bytes_used

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # torch has no types here; a lock cannot be traced
    def get_seq_length(self) -> int:
        """Return how many tokens each row has, dropped ones among them."""
        if self.shared is None or not self.sequences:
            return 0
        return self.shared.cache.tokens(self.sequences[0], 0)

    def get_max_length(self) -> int:
        """Return -1: there is no maximum per row."""
        return -1

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # torch has no types here; a lock cannot be traced
    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return how many keys the next update() will return, and the position of the first of them."""
        tokens = self.get_seq_length()
        first = self._first_kept
        if self.sliding_window is not None and self._drops:
            page = self.options.page_tokens
            first = max(first, (tokens - self.sliding_window + 1) // page * page)
        return tokens + query_length - first, first

    def activate_past_recording(self) -> None:
        """Keep pages until crop(), which may then take back several updates."""
        self.record_past = True

    def crop(self, tokens_to_remove: int) -> None:
        """Remove the last tokens of every row.

        Parameters
        ----------
        tokens_to_remove : int
            Their number, negative, as in Transformers.

        Raises
        ------
        CacheError
            If the number is positive, if there are fewer tokens, or if the window has dropped what the next
            query would see.
        """
        if tokens_to_remove > 0:
            raise CacheError(
                f"crop({tokens_to_remove}): expected a negative number, of the tokens to remove from the end."
            )
        self._drops = True
        if self.shared is None or not tokens_to_remove:
            return
        tokens = self.get_seq_length() + tokens_to_remove
        if tokens < 0:
            raise CacheError(f"crop({tokens_to_remove}): expected at least -{self.get_seq_length()}.")
        for each in self.sequences:
            self.shared.cache.truncate(each, tokens)

    def reset(self) -> None:
        """Release all rows."""
        if self.shared is not None:
            self._replace([])
        self.shared = None

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Let row i continue row beam_idx[i]. Rows share the pages that they have in common."""
        self.select(beam_idx.tolist())

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep the rows of these numbers, in this order, or where a tensor of bools is True."""
        chosen = indices.nonzero()[:, 0] if indices.dtype == torch.bool else indices
        self.select(chosen.tolist())

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Let each row be `repeats` rows, one after the other, that share its pages."""
        self.select([row for row in range(len(self.sequences)) for _ in range(repeats)])

    def select(self, rows: Sequence[int]) -> None:
        """Let the cache's rows be these of its present rows. One that is named twice is forked."""
        if self.shared is None:
            return
        old = list(self.sequences)
        first_use = {old[row]: place for place, row in reversed(list(enumerate(rows)))}
        self._replace([
            old[row] if first_use[old[row]] == place else self.shared.cache.fork(old[row])
            for place, row in enumerate(rows)
        ])

    def fork(self) -> "PagedLayer":
        """Make a layer with the same tokens, which shares the pages until one side writes to them."""
        other = PagedLayer(self.options, self.sliding_window)
        other.record_past, other._drops = self.record_past, self._drops  # of the same class
        if self.shared is not None:
            other._hold(self.shared, [self.shared.cache.fork(each) for each in self.sequences])
        return other

    def _hold(self, shared: SharedPages, sequences: list[int]) -> None:
        """Refer to sequences, until this layer no longer exists."""
        self.shared, self.sequences = shared, sequences
        weakref.finalize(self, shared.abandoned.extend, sequences).atexit = False

    def _replace(self, sequences: Sequence[int]) -> None:
        """Put other sequences in place of the present ones, and release those that are not among them."""
        assert self.shared is not None
        gone = set(self.sequences) - set(sequences)
        self.sequences[:] = sequences
        for each in gone:
            self.shared.cache.release(each)

    @property
    def _first_kept(self) -> int:
        if self.shared is None or not self.sequences:
            return 0
        return self.shared.cache.first_kept(self.sequences[0], 0)

    def _vectors(self, which: int) -> PagedVectors:
        shared = self.shared
        assert shared is not None
        kept = self.get_seq_length() - self._first_kept
        dim = (shared.key_dim, shared.value_dim)[which]
        return PagedVectors(self, (len(self.sequences), shared.kv_heads, kept, dim), shared.format)

    def _stored_as(self, given: torch.Tensor) -> torch.Tensor:
        """The tensor in the format of the pages; for int8 as it is."""
        wanted = FORMATS.get(self.options.dtype or "")
        return given if wanted is None else given.to(wanted)

    def _check(self, key: torch.Tensor, value: torch.Tensor) -> None:
        """Raise CacheError unless new tensors continue the rows of this cache."""
        rows, shared = len(self.sequences), self.shared
        assert shared is not None
        held = (shared.kv_heads, shared.key_dim, shared.value_dim)
        given = (key.shape[1], key.shape[3], value.shape[3])
        if given != held:
            raise CacheError(
                f"the cache holds {held[0]} heads of {held[1]} and {held[2]} numbers, and the model gives "
                f"{given[0]} of {given[1]} and {given[2]}: a cache belongs to one model. Make a new "
                "PagedCache(model.config)."
            )
        if key.shape[0] != rows:
            raise CacheError(
                f"the cache holds {rows} rows, and the model gives {key.shape[0]}. To continue one text in "
                f"several rows, PagedCache.from_prefix(cache, batch={key.shape[0]}); for other texts, make a "
                "new PagedCache."
            )


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    """In a format that torch reads."""
    return array if array.dtype in (np.float32, np.float16) else array.astype(np.float32)
