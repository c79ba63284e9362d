"""Every case of the grid against the float64 reference: the widest net."""

from attnscope.audit.contract import Contract
from attnscope.audit.diagnosis import Diagnosis
from attnscope.audit.finding import Finding
from attnscope.audit.judgement import Failure, judge
from attnscope.audit.probes.probe import Probe, Setting

SECONDS_OF_DIAGNOSIS = 6.0
OF_OPTIONS = {
    "window": "window", "documents": "documents", "grouped_heads": "head mapping", "softcap": "softcap",
    "bias": "bias", "sinks": "sinks", "scale": "scale",
}  # fmt: skip


def checks(contract: Contract) -> tuple[str, ...]:
    """The promises that the grid asks about."""
    of_options = [check for name, check in OF_OPTIONS.items() if getattr(contract, name)]
    hiding = ["dependence"] if contract.causal or contract.key_mask or contract.mask else []
    aligned = ["alignment"] if contract.causal or contract.window or contract.documents else []
    logs = ["log normalizer"] if contract.log_normalizer else []
    return ("exactness", *hiding, *aligned, *dict.fromkeys(["scale", *of_options]), *logs,
            "magnitudes", "dtypes", "layouts", "batch invariance")  # fmt: skip


def run(setting: Setting) -> list[Finding]:
    failures: list[Failure] = []
    skipped = 0
    for case in setting.grid.cases():
        if setting.suspect.given_up:
            skipped += 1
        else:
            failure = judge(setting.suspect, case)
            failures += [failure] if failure else []
        setting.advance(1)
    if skipped:
        setting.not_covered.append(f"{skipped} calls of the grid: {setting.suspect.given_up}")
    diagnosis = Diagnosis(setting.suspect, SECONDS_OF_DIAGNOSIS)
    findings = diagnosis.of(failures)
    setting.known += diagnosis.known
    if diagnosis.left_over:
        setting.not_covered.append(f"{diagnosis.left_over} more failing calls were not looked into")
    return findings


EXACTNESS = Probe("exactness", checks, lambda contract: True, run)
