"""Sliding windows: which blocks no later query sees, and which calls remain possible without them."""

from array import array
from dataclasses import dataclass
from typing import Any

from attnscope.arguments import brief
from attnscope.cache.page_table import PageTable
from attnscope.errors import CacheError
from attnscope.problem import Array, Causal, Dense, Mask, Window

CAUSAL = Causal()


@dataclass(frozen=True)
class LayerWindow:
    """How many tokens before its own a query of one layer sees, and what follows for its page tables.

    Parameters
    ----------
    left : int or None
        None: all tokens, so nothing is ever dropped.
    page_tokens : int
        Tokens per block.
    """

    left: int | None
    page_tokens: int

    def without_unseen(self, table: PageTable) -> PageTable:
        """The table without the blocks that end before the first token that the next query sees."""
        if self.left is None:
            return table
        dropped = max(table.dropped, (table.tokens - self.left) // self.page_tokens)
        if dropped == table.dropped:
            return table
        return PageTable(table.tokens, dropped, array("i", bytes(4 * dropped)) + table.pages[dropped:])

    def first_kept(self, table: PageTable) -> int:
        """The first token that is not dropped."""
        return table.dropped * self.page_tokens

    def least_truncation(self, table: PageTable) -> int:
        """The fewest tokens to which it can be cut back: what the next query sees must still be there."""
        return self.first_kept(table) + (self.left or 0) if table.dropped else 0

    def check_queries(self, table: PageTable, queries: int, sequence: int, layer: int) -> None:
        """Raise CacheError if the last `queries` tokens of a sequence see a token that is dropped."""
        if self.left is None:
            return
        position, kept = table.tokens - queries, self.first_kept(table)
        if max(0, position - self.left) < kept:
            raise CacheError(
                f"query_len={queries}: the first query is token {position} of sequence {sequence} and sees "
                f"{self.left} tokens before it, but layer {layer} has dropped the tokens before {kept}. "
                "Attend after each append, with no more queries than it appended tokens."
            )

    def check_truncation(self, table: PageTable, tokens: int, sequence: int, layer: int) -> None:
        """Raise CacheError if a sequence has fewer tokens, or would lack what its next query sees."""
        if tokens > table.tokens:
            raise CacheError(
                f"tokens={tokens}: expected at most {table.tokens}, the tokens of sequence {sequence} in "
                f"layer {layer}."
            )
        least = min(self.least_truncation(table), table.tokens)
        if 0 < tokens < least:
            raise CacheError(
                f"tokens={tokens}: expected 0, or {least} or more: the window of layer {layer} has dropped "
                "what the "
                f"next query of sequence {sequence} would see. To go back further, fork() before appending."
            )


def read_windows(given: Any, layers: int) -> tuple[Window | None, ...]:
    """One window per layer, or None, from one for all or a list; raise CacheError for anything else."""
    if given is None or isinstance(given, Window):
        given = [given] * layers
    if not isinstance(given, list | tuple) or len(given) != layers:
        raise CacheError(
            f"window={brief(given)}: expected a Window, or a list of {layers}, a Window or None per layer. "
            "A config's sliding_window: W is Window(left=W - 1, right=0)."
        )
    for window in given:
        if window is not None and not _looks_back(window):
            raise CacheError(
                f"window={window if isinstance(window, Window) else brief(window)}: expected "
                "Window(left=..., "
                "right=0) or None, because pages are dropped as queries advance. Pass other masks to "
                "attend()."
            )
    return tuple(given)


def joined(mask: Mask | Array | None, window: Window | None) -> Mask | Array | None:
    """The keys that both show. A window that looks back is causal itself."""
    if window is None:
        return mask
    if mask is None or (isinstance(mask, Causal) and mask == CAUSAL):
        return window
    return window & (mask if isinstance(mask, Mask) else Dense(mask))


def _looks_back(window: Any) -> bool:
    return (
        isinstance(window, Window) and window.left is not None and window.right == 0 and window.offset is None
    )
