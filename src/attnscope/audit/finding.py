"""What an audit found: one mistake, with the smallest call that shows it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Severity(StrEnum):
    """How bad a finding is; the worst comes first.

    leak        what must not be seen moves the output: a hidden slot, or another item of the batch
    wrong       the answer is not what the contract says
    unstable    right within rounding, but not repeatable, or not without side effects
    inexact     no mistake but rounding, and more of it than honest arithmetic in this format makes
    """

    LEAK = "leak"
    WRONG = "wrong"
    UNSTABLE = "unstable"
    INEXACT = "inexact"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return list(Severity).index(self)


@dataclass(frozen=True, eq=False)
class Counterexample:
    """The smallest call that shows a finding, with all that is needed to repeat it.

    description    the call in a line: sizes, options, seed
    seed           what the arrays were drawn from
    indices        where to look: batch, head, query, key, ...
    arrays         what went in, what came out, what was expected
    """

    description: str
    seed: int
    indices: Mapping[str, int] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def save(self, path: str | Path) -> Path:
        """Write the arrays as a .npz file; formats that NumPy does not know, bfloat16 say, as float32.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Counterexample("one key", 7, {"key": 0}, {"key": np.ones(2)}).save(f"{folder}/a.npz")
        ...     float(np.load(path)["key"].sum()), int(np.load(path)["index_of_key"])
        (2.0, 0)
        """
        path = Path(path)
        kept = {
            name: array if array.dtype.isbuiltin == 1 else array.astype(np.float32)
            for name, array in self.arrays.items()
        }
        places = {f"index_of_{name}": np.array(index) for name, index in self.indices.items()}
        with path.open("wb") as file:
            np.savez(file, **kept, **places, description=np.array(self.description), seed=np.array(self.seed))  # type: ignore[arg-type]
        return path


@dataclass(frozen=True, eq=False)
class Finding:
    """One mistake.

    check             which promise is broken: "alignment", "window", "poison", ...
    severity          leak, wrong, unstable or inexact
    sentence          what happens, where: "query 3 reads key 4, which causal hides (...)"
    counterexample    the smallest call that shows it
    cause             a known mistake that answers alike, or None
    fix               the way out, or None
    cases             how many of the calls that were tried showed it
    """

    check: str
    severity: Severity
    sentence: str
    counterexample: Counterexample | None = None
    cause: str | None = None
    fix: str | None = None
    cases: int = 1

    def __str__(self) -> str:
        lines = [f"{self.severity.upper()}  {self.check}: {self.sentence}"]
        if self.cause:
            lines.append(f"  likely cause  {self.cause}")
        if self.fix:
            lines.append(f"  fix           {self.fix}")
        if self.counterexample:
            lines.append(f"  smallest      {self.counterexample.description}")
        if self.cases > 1:
            lines.append(f"  seen in       {self.cases} of the calls")
        return "\n".join(lines)
