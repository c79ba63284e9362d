"""The effects of a case's sources, level by level, and of all sources of one role together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from attnscope.inspection.attribution.case import Case
from attnscope.inspection.attribution.request import ABLATIONS, SAMPLES, AttributionRequest
from attnscope.inspection.attribution.result import Floats, SourceEffect
from attnscope.inspection.attribution.scorer import Bools
from attnscope.inspection.attribution.sources import (
    PARAGRAPH,
    SENTENCE,
    Source,
    Splitter,
    owners_of,
    paragraphs,
    split,
    tokens_of,
)
from attnscope.inspection.run import Progress

SHARE_THAT_MATTERS = 0.1  # of the largest drop
NATS_THAT_MATTER = 0.05
# (ablations, drops of the sentences) -> coefficients (sources, sentences), standard errors of their sums
Fit = Callable[[Bools, Floats], tuple[Floats, Floats]]


@dataclass(eq=False)
class Run:
    """The ablations of one case, level by level."""

    request: AttributionRequest
    case: Case
    progress: Progress
    fit: Fit | None = None

    def __post_init__(self) -> None:
        self.log_probs = self.case.baseline()
        self.received = self.case.received()

    def effects(self, splitter: Splitter) -> list[SourceEffect]:
        """The effect of each source; by default, sentences of those that matter follow them."""
        prompt, by = self.case.prompt, self.request.by
        if by in (PARAGRAPH, SENTENCE):
            parts = split(prompt.sources, prompt.text, by, paragraphs if by == PARAGRAPH else splitter)
            return self.of_sources(parts)
        wholes = self.of_sources(prompt.sources)
        if by is not None or self.request.method == "attention":
            return wholes
        names = those_that_matter(wholes)
        owners = prompt.sources
        parts = [each for each in split(owners, prompt.text, SENTENCE, splitter) if each.whole in names]
        counts = [sum(each.whole == name for each in parts) for name in names]
        several = [name for name, count in zip(names, counts, strict=True) if count > 1]
        effects = self.of_sources([each for each in parts if each.whole in several])
        return [
            each
            for one in wholes
            for each in (one, *(part for part in effects if part.source.whole == one.name))
        ]

    def of_sources(self, sources: Sequence[Source]) -> list[SourceEffect]:
        """The effects of these sources, each ablated alone."""
        if self.request.cuts:
            sources = [each for each in sources if not each.is_template]  # a chat cannot be read without it
        if not sources:
            return []
        alone = np.eye(len(sources), dtype=np.bool_)
        errors: Sequence[float | None] = [None] * len(sources)
        if self.fit is None:
            drops = self.drops(sources, alone, self.request.method)
        else:
            drops, errors = self.sampled(sources, self.fit)
        others: list[float | None] = [None] * len(sources)
        if self.request.through_others:
            cut = [number for number, each in enumerate(sources) if not each.is_template]
            ablations = np.eye(len(cut), dtype=np.bool_)
            removed = self.drops([sources[number] for number in cut], ablations, "removal")
            for number, drop in zip(cut, removed, strict=True):
                others[number] = float(drop.sum() - drops[number].sum())
        texts = texts_of(sources, self.case.prompt.text)
        return [
            SourceEffect(source, text, drop, attention, other, error)
            for source, text, drop, attention, other, error in zip(
                sources, texts, drops, self.attention(sources), others, errors, strict=True
            )
        ]

    def sampled(self, sources: Sequence[Source], fit: Fit) -> tuple[Floats, list[float | None]]:
        """The drops by a linear model of random subsets, (sources, answer), and their standard errors."""
        ablations = random_subsets(self.request.samples or SAMPLES, len(sources))
        drops = self.drops(sources, ablations, self.request.ablation or ABLATIONS[0])
        sentences = np.eye(int(self.case.labels.max()) + 1)[self.case.labels]
        coefficients, errors = fit(ablations, drops @ sentences)
        return self.case.shared_out(coefficients), [float(each) for each in errors]

    def by_role(self) -> dict[str, Floats]:
        """The drops without all sources of one role, by role: (answer,) each."""
        sources = self.case.prompt.sources
        cut = [each for each in sources if self.request.method != "removal" or not each.is_template]
        roles = list(dict.fromkeys(each.role for each in cut))
        ablations = np.array([[each.role == role for each in cut] for role in roles])
        return dict(zip(roles, self.drops(cut, ablations, self.request.method), strict=True))

    def drops(self, sources: Sequence[Source], ablations: Bools, method: str) -> Floats:
        """By how many nats each answer token falls without the sources of each ablation, (items, answer)."""
        if method == "attention":
            return np.full((len(ablations), len(self.log_probs)), np.nan)
        if method == "gradient":
            return self.case.shared_out(self.case.contributions(sources, ablations))
        ablate = {"knockout": self.case.knockouts, "removal": self.case.removals}[method]

        def step(done: int, count: int) -> None:
            self.progress(done / count, f"{method} {done} of {count}")

        return self.log_probs - ablate(sources, ablations, step)

    def attention(self, sources: Sequence[Source]) -> list[float | None]:
        """The weight on each source; None if it was not observed."""
        if self.received is None:
            return [None] * len(sources)
        owned = tokens_of(sources, self.case.tokens, len(self.case.prompt.text))
        return [float(self.received[inside].sum()) for inside in owned]


def random_subsets(count: int, sources: int) -> Bools:
    """Random halves of the sources, each followed by its complement, (count, sources); always the same.

    In the difference of a pair, the joint effects of two sources cancel.

    >>> random_subsets(4, 3).sum(axis=0).tolist()
    [2, 2, 2]
    """
    halves = np.random.default_rng(0).random(((count + 1) // 2, sources)) < 0.5
    return np.stack([halves, ~halves], axis=1).reshape(-1, sources)[:count]


def those_that_matter(effects: Sequence[SourceEffect]) -> list[str]:
    """The names of sources whose drop is not small, beside the largest one."""
    drops = [each.drop for each in effects if not each.source.is_template]
    least = max(SHARE_THAT_MATTERS * max(drops, default=0.0), NATS_THAT_MATTER)
    return [each.name for each in effects if each.drop >= least and not each.source.is_template]


def texts_of(sources: Sequence[Source], text: str) -> list[str]:
    """The text of each source; of the template, all characters that belong to no source."""
    outside = owners_of(sources, len(text)) < 0
    between = "".join(character for character, out in zip(text, outside, strict=True) if out)
    return [between if each.is_template else text[each.start : each.end] for each in sources]
