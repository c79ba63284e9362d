"""What the sweep found, as a page of the documentation."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import transformers

MEANING = {
    "equal": "The outputs equal eager's to rounding, in every case that the model has: plain, "
    "padding on either side, generation. "
    "A few are sdpa's, from which the model's own eager attention differs.",
    "refused": "An error says why; eager attention runs the model.",
    "not attending": "The model computes its attention by itself, or has none: "
    "no call arrives, and its outputs are eager's.",
    "not run": "No tiny model of the type, or no inputs for it, could be made here: nothing is known.",
    "differs": "A silent difference: a bug.",
}
COMMAND = "make sweep"
LONGEST_REASON = 160


def page(outcomes: Iterable[dict[str, Any]]) -> str:
    """Counts, then each verdict with its types; those without a reason on one line."""
    found = sorted(outcomes, key=lambda each: each["model_type"])
    lines = [
        "# Transformers' models with attnscope, beside eager attention\n\n"
        f"`{COMMAND}` printed this page: tiny random models of all {len(found)} configuration types of "
        f"Transformers {transformers.__version__}, torch {torch.__version__}, float32.\n\n"
        "| verdict | types | meaning |\n|---|---|---|"
    ]
    by_verdict = {verdict: [each for each in found if each["verdict"] == verdict] for verdict in MEANING}
    lines += [
        f"| {verdict} | {len(by_verdict[verdict])} | {meaning} |" for verdict, meaning in MEANING.items()
    ]
    for verdict, each in by_verdict.items():
        if each:
            lines.append(f"\n## {verdict[0].upper()}{verdict[1:]}\n\n{listed(each)}")
    return "\n".join(lines) + "\n"


def listed(outcomes: Sequence[dict[str, Any]]) -> str:
    """Types with reasons as a table, others as one paragraph."""
    if not any(each.get("reason") for each in outcomes):
        return ", ".join(f"`{each['model_type']}`" for each in outcomes) + "."
    rows = [f"| `{each['model_type']}` | {short(each.get('reason', ''))} |" for each in outcomes]
    return "\n".join(["| type | reason |", "|---|---|", *rows])


def short(reason: str) -> str:
    text = reason.replace("|", "/")
    return text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 1] + "…"
