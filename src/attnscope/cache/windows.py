"""Which layers of a cache see only so many tokens back."""

from typing import Any

from attnscope.arguments import brief
from attnscope.errors import CacheError
from attnscope.problem import Window


def read_windows(given: Any, layers: int) -> tuple[Window | None, ...]:
    """One window for all layers, or one, or None, for each.

    Errors
        CacheError.
    """
    if given is None or isinstance(given, Window):
        given = [given] * layers
    if not isinstance(given, list | tuple) or len(given) != layers:
        raise CacheError(
            f"window={brief(given)}: expected a Window, or a list of {layers}, a Window or None for each layer. "
            "A config's sliding_window: W is Window(left=W - 1, right=0)."
        )
    for window in given:
        if window is not None and not _looks_back(window):
            raise CacheError(
                f"window={window if isinstance(window, Window) else brief(window)}: expected Window(left=..., right=0), "
                "or None: pages are dropped as queries move on. Pass other masks to attend()."
            )
    return tuple(given)


def _looks_back(window: Any) -> bool:
    return (
        isinstance(window, Window) and window.left is not None and window.right == 0 and window.offset is None
    )
