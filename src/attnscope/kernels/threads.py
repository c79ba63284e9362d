"""How many threads a call uses where it does not say."""

import os
from functools import cache

from attnscope.errors import AttentionError

ENVIRONMENT_VARIABLE = "ATTNSCOPE_THREADS"
MOST_THREADS = 1024

_default: int | None = None


def default_threads() -> int:
    """The process's default: set_default_threads(), else ATTNSCOPE_THREADS, else the CPUs this process may use."""
    return _default or _from_environment()


def set_default_threads(threads: int | None) -> None:
    """Set how many threads a call without `threads=` uses; None takes the setting back.

    Errors
        AttentionError unless threads is an integer from 1 to 1024.
    """
    global _default
    _default = None if threads is None else checked_threads(threads, "threads")


def checked_threads(threads: int, name: str) -> int:
    """Return threads, or say what is wrong with it."""
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= MOST_THREADS:
        raise AttentionError(
            f"{name}={threads!r}: expected an integer from 1 to {MOST_THREADS}. Leave it out to use all CPUs."
        )
    return threads


@cache
def _from_environment() -> int:
    asked = os.environ.get(ENVIRONMENT_VARIABLE)
    if not asked:
        # the CPUs that this process may run on, which can be fewer than there are
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return checked_threads(int(asked) if asked.isdecimal() else 0, f"{ENVIRONMENT_VARIABLE} (was {asked!r})")
