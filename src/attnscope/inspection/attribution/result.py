"""The result of an attribution: how far the answer's log probability falls without each source."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.inspection.attribution.answer import Answer
from attnscope.inspection.attribution.sources import Source
from attnscope.inspection.inspection import Inspection
from attnscope.inspection.text import InspectionError

Floats = NDArray[np.float64]
MEANINGS = {
    "knockout": "the source is hidden from the rows of question and answer, in all layers",
    "removal": "the source is cut out of the text, and the rest is run again",
    "attention": "no source is ablated: the mean weight alone, which is no effect",
    "gradient": "no source is ablated: attention times gradient, a knockout to first order",
    "sampled": "random subsets are ablated, and a sparse linear model (LASSO) is fitted",
}


@dataclass(frozen=True, eq=False)
class SourceEffect:
    """What the answer loses without one source.

    Parameters
    ----------
    source : Source
        The source.
    text : str
        Its text.
    drops : ndarray of float64, (answer tokens,)
        By how many nats the log probability of each token falls; NaN for the method attention. Of gradient
        and sampled: that of the token's sentence in equal shares.
    attention : float or None
        The weight that the rows which predict the answer give to it: a mean over layers and heads.
    through_others : float or None
        The drop of removal minus that of knockout, in nats: what reached the answer through other tokens.
    error : float or None
        Of the method sampled: the standard error of the drop, in nats.
    """

    source: Source
    text: str
    drops: Floats
    attention: float | None
    through_others: float | None = None
    error: float | None = None

    @property
    def name(self) -> str:
        """The name of the source."""
        return self.source.name

    @property
    def drop(self) -> float:
        """By how many nats the log probability of the answer falls."""
        return float(self.drops.sum())


@dataclass(frozen=True, eq=False)
class Attribution:
    """A prompt, an answer, and the effect of each source of the prompt on the answer.

    Parameters
    ----------
    method : {"knockout", "removal", "attention", "gradient", "sampled"}
        How effects were measured.
    model_name, prompt : str
        The model, and the text that it read before the answer.
    answer : Answer
        The answer.
    log_probs : ndarray of float64, (answer tokens,)
        The log probability of each token after the whole prompt, in nats.
    sources : tuple of SourceEffect
        The sources in the order of the text; parts of a source follow it.
    rows : int
        How many rows the model computed: tokens that went through all layers.
    seconds : float
        The time, without that of loading the model.
    facts : dict of str
        Where prompt, model and numbers are from.
    inspection : Inspection or None
        What every head reads on prompt and answer, if the request asked for it.
    owners : ndarray of int64, (tokens,)
        The number of the finest source that each token of the prompt belongs to; -1 is none.
    roles : dict of str to ndarray of float64, (answer tokens,)
        What each token loses without all sources of a role, if the request asked for it.
    """

    method: str
    model_name: str
    prompt: str
    answer: Answer
    log_probs: Floats
    sources: tuple[SourceEffect, ...]
    rows: int
    seconds: float
    facts: dict[str, str] = field(default_factory=dict)
    inspection: Inspection | None = None
    owners: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    roles: dict[str, Floats] = field(default_factory=dict)

    @property
    def drops(self) -> Floats:
        """By how many nats the answer falls without each source, (sources,)."""
        return np.array([each.drop for each in self.sources])

    @property
    def by_sentence(self) -> Floats:
        """The same for each sentence of the answer, (sources, sentences)."""
        return np.stack([self.sums(each.drops) for each in self.sources])

    def sums(self, values: Floats) -> Floats:
        """Sum values of the answer's tokens per sentence.

        Parameters
        ----------
        values : ndarray of float64, (answer tokens,)
            The values.

        Returns
        -------
        ndarray of float64, (sentences,)
            The sums.
        """
        return np.asarray(np.bincount(self.answer.labels, values), np.float64)

    def top(self, count: int = 3) -> list[SourceEffect]:
        """The sources with the largest effects, the largest first.

        Parameters
        ----------
        count : int, default 3
            How many.

        Returns
        -------
        list of SourceEffect
            Without sources whose parts are listed. By attention if the method is attention.
        """
        wholes = {each.source.whole for each in self.sources}
        finest = [each for each in self.sources if each.name not in wholes]
        return sorted(finest, key=self.ranking, reverse=True)[:count]

    @property
    def ranking(self) -> Callable[[SourceEffect], float]:
        """What sources are ranked by: their drops, or their attention if that is the method."""
        if self.method == "attention":
            return lambda each: each.attention or 0.0
        return lambda each: each.drop

    def plot(self, count: int = 20) -> Any:
        """Draw the drops of the sources as bars. Needs the extra [plot].

        Parameters
        ----------
        count : int, default 20
            Draw at most so many sources, those with the largest effects.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        InspectionError
            If count is not positive.
        """
        from attnscope.inspection.attribution.plot import bars

        if count < 1:
            raise InspectionError(f"count={count}, expected 1 or more.")
        chosen = sorted(self.sources, key=lambda each: abs(self.ranking(each)), reverse=True)[:count]
        shown = [each for each in self.sources if each in chosen]
        unit = "share of the weight" if self.method == "attention" else "drop of the log probability in nats"
        return bars(
            [each.name for each in shown], [self.ranking(each) for each in shown], f"{unit}, {self.method}"
        )

    def as_json(self) -> dict[str, Any]:
        """Return all numbers as types that JSON has.

        Returns
        -------
        dict
            Method, prompt, answer, sources with drops and attention, rows, seconds. `start` and `end` are
            characters of the prompt, `drop` and `parts` are in nats, `parts` are the answer's sentences.
        """
        facts: dict[str, Any] = {
            "method": self.method,
            "prompt": self.prompt,
            "answer": {"text": self.answer.text, "log_prob": float(self.log_probs.sum())},
            "sources": [self._source_as_json(each) for each in self.sources],
            "rows": self.rows,
            "seconds": self.seconds,
        }
        if self.roles:
            facts["roles"] = [
                {"role": role, "drop": float(drops.sum()), "parts": self.sums(drops).tolist()}
                for role, drops in self.roles.items()
            ]
        return facts

    def _source_as_json(self, effect: SourceEffect) -> dict[str, Any]:
        measured = self.method != "attention"
        facts: dict[str, Any] = {
            "name": effect.name,
            "text": effect.text,
            "start": effect.source.start,
            "end": effect.source.end,
            "drop": effect.drop if measured else None,
            "attention": effect.attention,
            "parts": self.sums(effect.drops).tolist() if measured else None,
        }
        if effect.through_others is not None:
            facts["through_other_tokens"] = effect.through_others
        if effect.error is not None:
            facts["error"] = effect.error
        return facts

    def __repr__(self) -> str:
        lines = [
            f"Attribution by {self.method}: log probability {self.log_probs.sum():.2f} nats of "
            f"{self.answer.text!r}",
            f"{'source':30} {'drop':>8} {'attention':>10}",
        ]
        for each in self.sources:
            attention = "" if each.attention is None else f"{each.attention:.3f}"
            lines.append(f"{each.name[:30]:30} {each.drop:z8.2f} {attention:>10}")
        return "\n".join(lines)
