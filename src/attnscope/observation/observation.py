"""The result of observe(): the output and the statistics of its weights, as a table or a picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from attnscope.observation.heads import HeadSummary, summarize
from attnscope.problem import Questions
from attnscope.result import Statistics

Kind = Literal["entropy", "map", "segments", "received"]


@dataclass(frozen=True, eq=False, repr=False)
class Observation(Statistics):
    """Attention's output, with exact statistics of the weights that made it. Prints as a table of heads.

    Parameters
    ----------
    logsumexp : ndarray, shape (batch, query_heads, query_len)
        Natural log of the softmax denominator; -inf if no key is visible.
    entropy : ndarray, shape (batch, query_heads, query_len)
        -sum_j w ln w, in nats.
    max_weight : ndarray, shape (batch, query_heads, query_len)
        The largest weight; 0 if no key is visible.
    max_key : ndarray of int, shape (batch, query_heads, query_len)
        The key with the largest score, the first of equals; -1 if no key is visible.
    first_mass : ndarray, shape (batch, query_heads, query_len)
        Sum of w over the first keys, where attention sinks are.
    mean_distance : ndarray, shape (batch, query_heads, query_len)
        `sum_j w |position - j|`, in tokens.
    sink_mass : ndarray, shape (batch, query_heads, query_len)
        exp(sink - logsumexp), the sink's share of the softmax; 0 without a sink.
    visible_keys : ndarray of int, shape (batch, query_heads, query_len)
        Number of keys that the row sees.
    segment_mass : ndarray, shape (batch, query_heads, query_len, segments), or None
        Sum of w over the keys of each segment.
    top_keys : ndarray of int, shape (batch, query_heads, query_len, top_keys), or None
        The keys with the largest weights, largest first; -1 past the last visible key.
    top_weights : ndarray, shape (batch, query_heads, query_len, top_keys), or None
        Their weights.
    received : ndarray, shape (batch, query_heads, key_len), or None
        sum_i w, the attention that each key receives.
    block_map : ndarray, shape (batch, query_heads, map_rows, map_columns), or None
        Mean over a block's queries of their weight on a block of keys.
    output : ndarray, shape (batch, query_heads, query_len, value_dim)
        Bit for bit what attention() returns.
    segment_names : tuple of str
        The names of the segments, in the order of segment_mass.
    first_keys : int
        How many keys count for first_mass.
    key_len : int
        Number of keys.

    Notes
    -----
    A weight shows what was read, not what it changed: a large weight on a value that changes nothing is
    possible, and so is a small weight on a value that changes much. observation.influence() computes both.

    References
    ----------
    Jain & Wallace 2019, arXiv:1902.10186.
    """

    output: NDArray[Any]
    segment_names: tuple[str, ...]
    first_keys: int
    key_len: int

    @classmethod
    def of(
        cls, output: NDArray[Any], seen: Statistics, asked: Questions, key_len: int, drop: tuple[int, ...]
    ) -> "Observation":
        """Combine the results of a call.

        Parameters
        ----------
        output : ndarray, shape (batch, query_heads, query_len, value_dim)
        seen : Statistics
            With all axes.
        asked : Questions
            Which statistics were requested.
        key_len : int
            Number of keys.
        drop : tuple of int
            The index that removes the axes that the query lacks.

        Returns
        -------
        Observation
        """
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

    def per_head(self) -> HeadSummary:
        """Average over the queries that see a key, for each head.

        Returns
        -------
        HeadSummary
        """
        return summarize(self, self.segment_names, self.first_keys)

    def plot(self, kind: Kind = "entropy", *, batch: int = 0, head: int | None = None) -> Any:
        """Draw one of four pictures. Needs the extra [plot].

        Parameters
        ----------
        kind : {"entropy", "map", "segments", "received"}, default "entropy"
            "entropy": over position. "map": the block map of one head, or the mean of all. "segments": bars
            of what each head reads from each segment. "received": what each key receives.
        batch : int, default 0
            The batch row.
        head : int, optional
            One head; all by default.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        AttentionError
            If the kind is unknown, the head does not exist, or observe() was not asked for the statistic.
        """
        from attnscope.observation.plot import draw

        return draw(
            self, kind, key_len=self.key_len, segment_names=self.segment_names, batch=batch, head=head
        )

    def __repr__(self) -> str:
        return str(self.per_head())


def draw_heads(summaries: Sequence[HeadSummary], measure: str = "entropy", *, batch: int = 0) -> Any:
    """Draw a dashboard of layers by heads; each cell is a head's mean of the measure. Needs the extra [plot].

    Parameters
    ----------
    summaries : sequence of HeadSummary
        Of each layer, from first to last: observation.per_head().
    measure : str, default "entropy"
        Or "normalized_entropy", "effective_keys", "max_weight", "first_mass", "mean_distance".
    batch : int, default 0
        The batch row.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    AttentionError
        If the measure is unknown, or there is no layer.
    """
    from attnscope.observation import plot

    return plot.draw_heads(summaries, measure, batch=batch)
