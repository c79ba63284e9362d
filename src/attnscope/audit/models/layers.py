"""Which layer leaks first: each layer's output is looked at while the same slots change."""

from dataclasses import replace

import numpy as np

from attnscope.audit.models.question import Tokens
from attnscope.audit.models.rounding import Floats
from attnscope.audit.models.setting import Setting
from attnscope.probing import Finding, NoAnswer, Printed, guarded


def with_first_layer(setting: Setting, finding: Finding) -> Finding:
    """Add the first layer whose output moves, where a leak was found in a model that can be looked into."""
    shown = finding.counterexample
    if setting.subject.hidden is None or shown is None or "token_ids_before" not in shown.arrays:
        return finding
    before = outputs(setting, finding, shown.arrays["token_ids_before"])
    after = outputs(setting, finding, shown.arrays["token_ids"])
    where = np.zeros(shown.arrays["token_ids"].shape, bool)
    where[shown.indices["row"], shown.indices["slot"]] = True
    for (name, first), (_, second) in zip(before, after, strict=False):
        alike = first.shape == second.shape and first.shape[:2] == where.shape
        if alike and setting.rounding.move(first, second, where, same_shape=True) is not None:
            return replace(finding, sentence=f"{finding.sentence}; the first layer to leak is {name}")
    return finding


def outputs(setting: Setting, finding: Finding, token_ids: Tokens) -> list[tuple[str, Floats]]:
    """Each layer's name and output."""
    shown, hidden = finding.counterexample, setting.subject.hidden
    assert shown is not None
    assert hidden is not None
    given = [token_ids, shown.arrays.get("attention_mask")]
    given += [shown.arrays["documents"]] if "documents" in shown.arrays else []
    try:
        found: list[tuple[str, Floats]] = guarded(
            lambda: hidden(*given), setting.subject.seconds_per_call, Printed()
        )
    except NoAnswer:
        return []
    return found
