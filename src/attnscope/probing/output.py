"""Output of foreign code, captured per thread, so that other threads lose no line.

`contextlib.redirect_stdout` replaces `sys.stdout` for the whole process. Two threads that use it at once
receive each other's lines, and the one that ends last restores the other's buffer. Here the standard
streams are replaced at most once, by a router that looks up the calling thread: threads that capture write
to their own buffer, all others to the real stream.
"""

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import StringIO
from typing import Any


class Router:
    """A standard stream that sends a capturing thread's lines to its buffer, others to the real stream."""

    def __init__(self, onwards: Any) -> None:
        self.onwards = onwards

    def __getattr__(self, name: str) -> Any:
        return getattr(buffers()[-1] if buffers() else self.onwards, name)


class WarningRouter:
    """A `warnings.showwarning` that drops the warnings of capturing threads."""

    def __init__(self, onwards: Any) -> None:
        self.onwards = onwards

    def __call__(self, *details: Any, **more: Any) -> None:
        if not buffers():
            self.onwards(*details, **more)


THREAD = threading.local()
INSTALLING = threading.Lock()
ROUTED = ((sys, "stdout", Router), (sys, "stderr", Router), (warnings, "showwarning", WarningRouter))
users = 0  # captures under way; guarded by INSTALLING


def buffers() -> list[StringIO]:
    """The buffers of this thread's captures, the innermost last."""
    if not hasattr(THREAD, "buffers"):
        THREAD.buffers = []
    found: list[StringIO] = THREAD.buffers
    return found


@contextmanager
def captured(into: StringIO | None = None) -> Iterator[StringIO]:
    """Send what this thread prints to a buffer, and drop its warnings; other threads are not affected.

    A thread that works on behalf of another passes that thread's buffer as `into`.
    """
    buffer = StringIO() if into is None else into
    own = buffers()
    with ExitStack() as ends:
        install()
        ends.callback(uninstall)
        own.append(buffer)
        ends.callback(own.pop)
        if threading.current_thread() is threading.main_thread():  # filters belong to the process
            ends.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        yield buffer


def install() -> None:
    """Put the routers in place, unless they are."""
    global users
    with INSTALLING:
        users += 1
        for place, name, router in ROUTED:
            if not isinstance(getattr(place, name), router):
                setattr(place, name, router(getattr(place, name)))


def uninstall() -> None:
    """Restore the real streams after the last capture; a stream that other code put in their place stays."""
    global users
    with INSTALLING:
        users -= 1
        for place, name, router in ROUTED:
            if users == 0 and isinstance(getattr(place, name), router):
                setattr(place, name, getattr(place, name).onwards)
