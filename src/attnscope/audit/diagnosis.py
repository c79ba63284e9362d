"""From many failing calls to few findings: equal causes are reported once, each by its smallest call."""

from dataclasses import dataclass, field
from time import monotonic

from attnscope.audit.case import Case
from attnscope.audit.finding import Finding, Severity
from attnscope.audit.isolation import Reach
from attnscope.audit.judgement import Failure, judge, severity_of
from attnscope.audit.mistakes import Mistake, explaining
from attnscope.audit.shrink import shrink
from attnscope.audit.suspect import Suspect
from attnscope.audit.visibility import Row, why_hidden
from attnscope.audit.words import of_error, of_reach

MOST_FINDINGS = 16
MOST_VOTERS = 24
REPRESENTATIVES = 6
OF_AN_OPTION = {
    "window": "window", "documents": "documents", "sinks": "sinks", "softcap": "softcap", "bias": "bias",
    "scale": "scale", "grouped_heads": "head mapping",
}  # fmt: skip


def simplicity(failure: Failure) -> tuple[object, ...]:
    """Sorts the failing calls: those first that show one thing at a time."""
    return simplicity_of_case(failure.case)


def simplicity_of_case(case: Case) -> tuple[object, ...]:
    """The same, of a case."""
    return (
        case.layout != "contiguous", bool(case.offset) or case.spread != 1.0, len(case.options),
        case.sizes.query_len > case.sizes.key_len, case.work,
    )  # fmt: skip


@dataclass(eq=False)
class Diagnosis:
    """Works through failing calls until each is explained, or time is up."""

    suspect: Suspect
    seconds: float
    findings: list[Finding] = field(default_factory=list)
    known: list[Mistake] = field(default_factory=list)
    left_over: int = 0

    def of(self, failures: list[Failure]) -> list[Finding]:
        """One finding a cause."""
        until = monotonic() + self.seconds
        rest = sorted(failures, key=simplicity)
        while rest:
            if len(self.findings) >= MOST_FINDINGS or monotonic() > until:
                self.left_over = len(rest)
                break
            mistake, beside = self.cause(rest)
            group = self.alike(rest, mistake, beside)
            finding, smallest = self.find(group, mistake)
            if mistake is None:
                group = [each for each in group if each is group[0] or self.swallows(smallest, each)]
            else:
                self.known.append(mistake)
            self.add(finding, len(group))
            gone = set(map(id, group))
            rest = [each for each in rest if id(each) not in gone]
        return self.findings

    def cause(self, rest: list[Failure]) -> tuple[Mistake | None, Mistake | None]:
        """The known mistake that explains the first failure, and most of the others; and one found before, beside it."""
        first = rest[0]
        for beside in (None, *self.known):
            candidates = explaining(first.expected, first.answer, beside)
            if candidates:
                voters = rest[1 : MOST_VOTERS + 1]
                votes = [sum(bool(explaining(each.expected, each.answer, beside, (one,))) for each in voters)
                         for one in candidates]  # fmt: skip
                return candidates[votes.index(max(votes))], beside
        return None, None

    def alike(self, rest: list[Failure], mistake: Mistake | None, beside: Mistake | None) -> list[Failure]:
        """The failures that the mistake explains; without one, those that no known mistake does."""
        first, *others = rest
        if mistake is None:
            return rest
        return [first, *(each for each in others if explaining(each.expected, each.answer, beside, (mistake,)))]

    def swallows(self, smallest: Case, failure: Failure) -> bool:
        """Whether a failure without a known cause is likely the same as the one that was shrunk to this case."""
        case = failure.case
        sizes, needed = case.sizes, smallest.sizes
        alike = (
            set(smallest.options) <= set(case.options)
            and sizes.key_len >= needed.key_len
            and sizes.batch >= needed.batch
            and (smallest.layout == "contiguous" or smallest.layout == case.layout)
            and (smallest.number_format == self.suspect.contract.main_format or smallest.number_format == case.number_format)
            and (not smallest.offset or bool(case.offset))
        )
        return alike and not explaining(failure.expected, failure.answer)

    def find(self, group: list[Failure], mistake: Mistake | None) -> tuple[Finding, Case]:
        """The worst of the first few failures of one cause, shrunk."""
        chosen, row, reach = self.worst(group[:REPRESENTATIVES] if mistake else group[:1])
        severity = severity_of(chosen, reach)
        smallest = shrink(
            chosen.case, self.suspect.contract, lambda case: self.same(case, chosen, severity, mistake)
        )
        shown = judge(self.suspect, smallest, noted=False) or chosen
        if shown is not chosen:
            row, reach = shown.reach(self.suspect)
        return self.told(shown, row, reach, severity, mistake), smallest

    def worst(self, group: list[Failure]) -> tuple[Failure, Row, Reach | None]:
        """The first failure that leaks, else the first."""
        looked = []
        for failure in group:
            row, reach = failure.reach(self.suspect)
            if reach is not None and reach.leaks:
                return failure, row, reach
            looked.append((failure, row, reach))
        return looked[0]

    def same(self, case: Case, failure: Failure, severity: Severity, mistake: Mistake | None) -> bool:
        """Whether a smaller case goes wrong in the same way."""
        found = judge(self.suspect, case, noted=False)
        if found is None or found.deviation.what != failure.deviation.what:
            return False
        if mistake is not None and not explaining(found.expected, found.answer, None, (mistake,)):
            return False
        if severity is Severity.LEAK:
            _, reach = found.reach(self.suspect)
            return reach is not None and reach.leaks
        return severity is not Severity.WRONG or not found.only_rounding()

    def told(
        self, shown: Failure, row: Row, reach: Reach | None, severity: Severity, mistake: Mistake | None
    ) -> Finding:
        """The finding in words."""
        what = shown.deviation.what
        if reach is not None and (reach.leaks or mistake is None):
            sentence = of_reach(reach, row, shown.case, shown.expected)
        else:
            sentence = of_error(row, shown.case, shown.expected, what, *shown.worst_entry(row))
        return Finding(
            check=self.check_of(shown, row, reach, severity, mistake),
            severity=severity,
            sentence=sentence,
            counterexample=shown.counterexample(row, reach),
            cause=f"agrees with: {mistake.name}" if mistake else self.guess(severity, shown),
            fix=mistake.fix if mistake else None,
        )

    def guess(self, severity: Severity, shown: Failure) -> str | None:
        """What can be said without a known mistake."""
        if severity is not Severity.INEXACT:
            return None
        return f"arithmetic in a shorter format than {shown.case.number_format} somewhere on the way"

    def check_of(
        self, shown: Failure, row: Row, reach: Reach | None, severity: Severity, mistake: Mistake | None
    ) -> str:
        """Which promise is broken."""
        case = shown.case
        if case.layout != "contiguous":
            return "layouts"
        if case.number_format != self.suspect.contract.main_format:
            return "dtypes"
        if mistake is not None:
            return mistake.check
        if case.offset or case.spread != 1.0:
            return "magnitudes"
        if reach is not None:
            return check_of_reach(shown, row, reach)
        if shown.deviation.what == "log_normalizer":
            return "log normalizer"
        return check_of_options(case)

    def add(self, finding: Finding, cases: int) -> None:
        """Keep a finding, unless the same was said of another failure already."""
        same = (finding.check, finding.severity, finding.cause, finding.sentence)
        for each in self.findings:
            if (each.check, each.severity, each.cause, each.sentence) == same:
                return
            if finding.cause is not None and (each.check, each.cause) == (finding.check, finding.cause):
                return
        self.findings.append(
            Finding(finding.check, finding.severity, finding.sentence, finding.counterexample, finding.cause,
                    finding.fix, cases)
        )  # fmt: skip


def check_of_reach(shown: Failure, row: Row, reach: Reach) -> str:
    """The promise that a dependence breaks."""
    if reach.side == "key" and reach.key is not None:
        reading = shown.expected.reading
        why = why_hidden(reading.call, reading.masks, row, reach.key)
        hiding = {each.split(" ")[0] for each in why}
        return next((name for name in ("window", "documents") if hiding == {name}), "dependence")
    return {"batch item": "batch invariance", "head": "head mapping"}.get(reach.side, "dependence")


def check_of_options(case: Case) -> str:
    """The promise that belongs to the options that the smallest case still needs."""
    needed = [name for name in case.options if name in OF_AN_OPTION]
    if len(needed) == 1:
        return OF_AN_OPTION[needed[0]]
    if "causal" in case.options and case.sizes.query_len != case.sizes.key_len and not needed:
        return "alignment"
    if case.sizes.batch > 1:
        return "batch invariance"
    return "dependence" if case.options and not needed else "exactness"
