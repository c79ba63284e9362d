"""Which attnscope runs here, and on what: the line that every report opens with."""

from dataclasses import dataclass
from importlib import metadata

import attnscope as at


@dataclass(frozen=True)
class Machine:
    """level is None where the CPU has none of the kernel's levels, and the reference runs instead."""

    version: str
    level: str | None
    threads: int

    def __str__(self) -> str:
        speed = f"kernel level {self.level}" if self.level else "no kernel level: the reference runs"
        return f"attnscope {self.version}, {speed}, {self.threads} thread{'s' if self.threads != 1 else ''}"


def this_machine(threads: int | None = None) -> Machine:
    """Ask the package and the CPU; threads as given, or the default."""
    try:
        version = metadata.version("attnscope")
    except metadata.PackageNotFoundError:
        version = "(not installed)"
    return Machine(version, at.kernels.level(), threads or at.kernels.default_threads())
