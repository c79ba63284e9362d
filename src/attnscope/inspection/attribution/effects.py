"""The effects of a case's sources, level by level, and of all sources of one role together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attnscope.inspection.attribution.case import Case
from attnscope.inspection.attribution.request import AttributionRequest
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


@dataclass(eq=False)
class Run:
    """The ablations of one case, level by level."""

    request: AttributionRequest
    case: Case
    progress: Progress

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
        if self.request.method == "removal":
            sources = [each for each in sources if not each.is_template]  # a chat cannot be read without it
        if not sources:
            return []
        alone = np.eye(len(sources), dtype=np.bool_)
        drops = self.drops(sources, alone, self.request.method)
        others: list[float | None] = [None] * len(sources)
        if self.request.through_others:
            cut = [number for number, each in enumerate(sources) if not each.is_template]
            ablations = np.eye(len(cut), dtype=np.bool_)
            removed = self.drops([sources[number] for number in cut], ablations, "removal")
            for number, drop in zip(cut, removed, strict=True):
                others[number] = float(drop.sum() - drops[number].sum())
        texts = texts_of(sources, self.case.prompt.text)
        return [
            SourceEffect(source, text, drop, attention, other)
            for source, text, drop, attention, other in zip(
                sources, texts, drops, self.attention(sources), others, strict=True
            )
        ]

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
