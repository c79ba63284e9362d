"""One batch item alone and among others: the same bits, or at least the same within rounding."""

import numpy as np

from attnscope.audit.case import Call, Case
from attnscope.audit.expectation import Expectation
from attnscope.audit.judgement import counterexample
from attnscope.audit.probes.probe import Probe, Setting
from attnscope.audit.words import condition
from attnscope.probing import Finding, Severity


def item(call: Call, number: int) -> Call:
    """One batch item of a call."""
    one = slice(number, number + 1)
    batch = call.query.shape[0]
    options = {
        name: each[one] if isinstance(each, np.ndarray) and each.ndim > 1 and len(each) == batch else each
        for name, each in call.options.items()
    }
    return Call(call.query[one], call.key[one], call.value[one], options)


def run(setting: Setting) -> list[Finding]:
    options = setting.contract.options
    for chosen in dict.fromkeys([(), options[:1], options]):
        for lengths in ((5, 9), (1, 67), (33, 131), (1, 515)):
            found = look(setting, setting.grid.case(chosen, lengths, batch=3, dim=16))
            if found is not None:
                return [found]
    return []


def look(setting: Setting, case: Case) -> Finding | None:
    call = case.build(setting.contract)
    together, again = setting.suspect.ask(case, call), setting.suspect.ask(case, call)
    if together is None or again is None or together.bits != again.bits:
        return None
    for number in range(case.sizes.batch):
        own = item(call, number)
        alone = setting.suspect.ask(case.but(batch=1), own)
        if alone is None or np.array_equal(alone.output[0], together.output[number], equal_nan=True):
            continue
        expected = Expectation.of(own, setting.contract)
        if expected.deviation(alone) is None and not differs_much(
            alone.output[0], together.output[number], expected
        ):
            return Finding(
                "batch invariance", Severity.UNSTABLE,
                f"batch item {number} has other last bits alone than beside others{condition(case)}",
                counterexample(case, call, together, None, {"batch": number}),
                "the batch decides how sums are split, among threads or blocks",
                "Split sums at fixed places. It is rounding, and no mistake.",
            )  # fmt: skip
    return None


def differs_much(alone: np.ndarray, together: np.ndarray, expected: Expectation) -> bool:
    """More than rounding: then the grid finds it, and says what it is."""
    with np.errstate(invalid="ignore"):
        near = np.abs(alone - together) <= 2 * expected.bound.output[0]
    return not near.all()


INVARIANCE = Probe(
    "invariance", lambda contract: ("batch invariance",), lambda contract: contract.same_bits, run
)
