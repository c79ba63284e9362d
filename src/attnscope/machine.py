"""Which attnscope runs here, and on what: the line that every report opens with."""

from dataclasses import dataclass
from importlib import metadata

from attnscope.kernels import default_threads, level


@dataclass(frozen=True)
class Machine:
    """The package's version, and what it computes with.

    Parameters
    ----------
    version : str
        Of the installed package.
    level : str or None
        The kernel's CPU level; None if the CPU supports none and the reference runs instead.
    threads : int
        Threads of a call.
    """

    version: str
    level: str | None
    threads: int

    def __str__(self) -> str:
        speed = f"kernel level {self.level}" if self.level else "no kernel level: the reference runs"
        return f"attnscope {self.version}, {speed}, {self.threads} thread{'s' if self.threads != 1 else ''}"


def this_machine(threads: int | None = None) -> Machine:
    """Describe this installation and this CPU.

    Parameters
    ----------
    threads : int or None
        Threads of a call; the default number unless given.

    Returns
    -------
    Machine
        Version, level and threads.
    """
    try:
        version = metadata.version("attnscope")
    except metadata.PackageNotFoundError:
        version = "(not installed)"
    return Machine(version, level(), threads or default_threads())
