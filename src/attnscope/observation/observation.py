"""What a call of attention looked at: the arrays, what follows from them, and how they show themselves."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from attnscope.observation.heads import HeadSummary, summarize
from attnscope.problem import Questions
from attnscope.result import Statistics

Kind = Literal["entropy", "map", "segments", "received"]


@dataclass(frozen=True, eq=False, repr=False)
class Observation(Statistics):
    """attention()'s output, and statistics of the weights that made it, exact, without their matrix.

    A weight says what was read, not what it did: a heavy key whose value changes nothing, or a light one whose value
    changes much, both exist (Jain & Wallace 2019, arXiv:1902.10186). observation.influence() shows both side by side.

    Shapes
        output    (batch, query_heads, query_len, value_dim)    bit for bit what attention() returns
        The rest as in Statistics; without the axes that the query came without.
    """

    output: NDArray[Any]
    segment_names: tuple[str, ...]
    first_keys: int
    key_len: int

    @classmethod
    def of(
        cls, output: NDArray[Any], seen: Statistics, asked: Questions, key_len: int, drop: tuple[int, ...]
    ) -> "Observation":
        """Put a call's results together, without the axes that its query came without."""
        arrays: dict[str, Any] = {
            name: None if array is None else array[drop] for name, array in vars(seen).items()
        }
        return cls(
            **arrays,
            output=output[drop],
            segment_names=asked.segment_names,
            first_keys=asked.first_keys,
            key_len=key_len,
        )

    @property
    def query_len(self) -> int:
        return int(self.entropy.shape[-1])

    @property
    def effective_keys(self) -> NDArray[Any]:
        """How many keys of equal weight would have this entropy: e^entropy, 1 for a row that sees one key."""
        keys: NDArray[Any] = np.exp(self.entropy)
        return keys

    @property
    def normalized_entropy(self) -> NDArray[Any]:
        """Entropy over its largest value, ln of the visible keys: 0 looks at one key, 1 at all alike.

        0 where a row sees one key or none: there is nothing to choose.
        """
        most = np.log(np.maximum(self.visible_keys, 1))
        return np.where(most > 0, self.entropy / np.where(most > 0, most, 1.0), 0.0)

    def per_head(self) -> HeadSummary:
        """Means over the queries that see something, a row a head."""
        return summarize(self)

    def plot(self, kind: Kind = "entropy", *, batch: int = 0, head: int | None = None) -> Any:
        """Draw it: a matplotlib figure (extra [plot]).

        "entropy": over position, all heads or one; "map": who reads whom, pooled, of one head; "segments": bars of what
        each head reads from each segment; "received": what each key is given.

        Errors
            AttentionError for an unknown kind, for a head that is not there, and for what was not asked of observe().
        """
        from attnscope.observation.plot import draw

        return draw(self, kind, batch=batch, head=head)

    def __repr__(self) -> str:
        return str(self.per_head())
