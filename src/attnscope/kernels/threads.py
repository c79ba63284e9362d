"""The number of threads of a call that does not choose one."""

import os
from functools import cache

from attnscope.errors import AttentionError
from attnscope.kernels import core

ENVIRONMENT_VARIABLE = "ATTNSCOPE_THREADS"
MOST_THREADS = 1024

_default: int | None = None


def default_threads() -> int:
    """Return the number of threads of a call without `threads=`.

    Returns
    -------
    int
        The number set by set_default_threads(), else by the environment variable ATTNSCOPE_THREADS, else the
        number of CPUs that this process may use.

    Raises
    ------
    AttentionError
        If ATTNSCOPE_THREADS is not an integer from 1 to 1024.
    """
    return _default or _from_environment()


def set_default_threads(threads: int | None) -> None:
    """Set the number of threads of a call without `threads=`, for this process.

    Parameters
    ----------
    threads : int or None
        From 1 to 1024. None removes the setting.

    Raises
    ------
    AttentionError
        If `threads` is not an integer from 1 to 1024.

    Examples
    --------
    >>> set_default_threads(2)
    >>> default_threads()
    2
    >>> set_default_threads(None)
    """
    global _default
    _default = None if threads is None else checked_threads(threads, "threads")


def use_openmp(use: bool = True) -> bool:
    """Run calls on the threads of the OpenMP that this process has loaded, as torch's, from now on.

    OpenMP's threads spin for a while after each operation of torch. Calls that alternate with such operations
    would have to share the CPUs with them. Importing attnscope.interop.torch or .transformers does this. The
    bits do not depend on it.

    Parameters
    ----------
    use : bool
        False: the library's own threads again.

    Returns
    -------
    bool
        Whether OpenMP's threads are used. False if none is loaded where all libraries see it, and in a child
        process after os.fork(), where OpenMP's threads do not exist.
    """
    return core.use_openmp(use)


def checked_threads(threads: int, name: str) -> int:
    """Return threads; raise AttentionError unless it is an integer from 1 to 1024."""
    number = int(threads) if isinstance(threads, int) and not isinstance(threads, bool) else 0
    if not 1 <= number <= MOST_THREADS:  # a subclass of int may compare as it likes
        raise AttentionError(
            f"{name}={threads!r}: expected an integer from 1 to {MOST_THREADS}. Leave it out to use all CPUs."
        )
    return number


@cache
def _from_environment() -> int:
    asked = os.environ.get(ENVIRONMENT_VARIABLE)
    if not asked:
        # may be fewer than the machine has
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return checked_threads(int(asked) if asked.isdecimal() else 0, f"{ENVIRONMENT_VARIABLE} (was {asked!r})")
