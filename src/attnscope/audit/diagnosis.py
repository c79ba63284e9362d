"""From many failing calls to few findings: one finding per cause, with the smallest call that shows it."""

from collections import Counter
from dataclasses import dataclass, field
from time import process_time

import numpy as np

from attnscope.audit.case import Case, shrink_case
from attnscope.audit.data import REGIMES
from attnscope.audit.expectation import explaining
from attnscope.audit.interpretation import Row
from attnscope.audit.judgement import Failure, Reach, judge, of_error, of_reach, only_rounding
from attnscope.audit.options import BY_NAME, HIDING
from attnscope.audit.suspect import Suspect
from attnscope.probing import Finding, KnownMistake, Severity

MOST_FINDINGS = 16
MOST_VOTERS = 12
REPRESENTATIVES = 6
APART = ("layouts", "dtypes", "magnitudes")
MUCH_WORK = 2_000  # scores, above which one head speaks for all
SHORTEST_BLOCK = 8  # keys
BY_CHANCE = 3  # failures that may agree with a mistake by chance


@dataclass(frozen=True)
class Cause:
    """A known mistake, alone or beside one that was found before, in all or some heads and items."""

    mistake: KnownMistake
    beside: KnownMistake | None = None
    in_some: bool = False

    def explains(self, failure: Failure) -> bool:
        rows = deviating_heads(failure) if self.in_some else None
        expected, answer, only_worst = failure.expected, failure.answer, failure.case.work > MUCH_WORK
        found = explaining(expected, answer, self.beside, (self.mistake,), rows, only_worst=only_worst)
        return bool(found)

    def __str__(self) -> str:
        return f"agrees with: {self.mistake.name}{', in some heads or batch items' if self.in_some else ''}"


def deviating_heads(failure: Failure) -> np.ndarray:
    """All rows of the heads and batch items that have a wrong row."""
    excess = failure.deviation.excess
    wrong: np.ndarray = np.broadcast_to((excess > 1).any(axis=-1, keepdims=True), excess.shape)
    return wrong


def simplicity(failure: Failure) -> tuple[object, ...]:
    """A sort key of failing calls: the simplest first."""
    return simplicity_of_case(failure.case)


def simplicity_of_case(case: Case) -> tuple[object, ...]:
    """A sort key of cases: the simplest first."""
    return (
        case.layout != "contiguous",
        case.extreme,
        len(case.options),
        case.sizes.query_len > case.sizes.key_len,
        case.work,
    )


def is_long(case: Case) -> bool:
    """Whether a shrunk case is still long: then the mistake needs the length."""
    return case.sizes.key_len > 32


def by_chance(group: list[Failure], rest: list[Failure]) -> bool:
    """Whether a mistake explains only a few of many failures with the same options."""
    options = set(group[0].case.options)
    alike = sum(options <= set(each.case.options) for each in rest)
    return len(group) <= BY_CHANCE and alike > BY_CHANCE * len(group)


@dataclass(eq=False)
class Diagnosis:
    """Groups failing calls by their cause until each is in a group, or `seconds` of CPU time are over."""

    suspect: Suspect
    seconds: float
    findings: dict[tuple[object, ...], Finding] = field(default_factory=dict)
    known: list[KnownMistake] = field(default_factory=list)
    shown: set[tuple[object, ...]] = field(default_factory=set)
    left_over: int = 0

    def of(self, failures: list[Failure]) -> list[Finding]:
        """One finding per cause."""
        until = process_time() + self.seconds
        rest = sorted(failures, key=simplicity)
        while rest:
            if len(self.findings) >= MOST_FINDINGS or process_time() > until:
                self.left_over = len(rest)
                break
            group = self.explained(rest) or self.unexplained(rest)
            gone = set(map(id, group))
            rest = [each for each in rest if id(each) not in gone]
        return list(self.findings.values())

    def explained(self, rest: list[Failure]) -> list[Failure]:
        """The failures that one known mistake explains, the first failure among them; empty if none does."""
        first = rest[0]
        for beside, in_some in ((None, False), *((each, False) for each in self.known), (None, True)):
            rows = deviating_heads(first) if in_some else None
            candidates = [
                Cause(mistake, beside, in_some)
                for mistake in explaining(first.expected, first.answer, beside, rows=rows)
            ]
            if not candidates:
                continue
            voters = rest[1 : MOST_VOTERS + 1]
            votes = [sum(each.explains(voter) for voter in voters) for each in candidates]
            best = candidates[votes.index(max(votes))]
            group = [first, *(each for each in rest[1:] if best.explains(each))]
            if by_chance(group, rest):
                continue
            hiding = [each for each in group if set(each.case.options) & set(HIDING)]
            self.add(group, [*group[:REPRESENTATIVES], *hiding[:REPRESENTATIVES]], best)
            self.known.append(best.mistake)
            return group
        return []

    def unexplained(self, rest: list[Failure]) -> list[Failure]:
        """The failures that are likely the same as one of the first ones, without a known mistake."""
        hiding = [each for each in rest if set(each.case.options) & set(HIDING)]
        chosen, smallest = self.add(rest[:1], [*rest[:REPRESENTATIVES], *hiding[:REPRESENTATIVES]], None)
        alike = [each for each in rest if each is not chosen and self.swallows(smallest, each)]
        sample = alike[: 2 * MOST_VOTERS]
        agreeing = [explaining(each.expected, each.answer, only_worst=True) for each in sample]
        counts = Counter(mistake for each in agreeing for mistake in each)
        others = {
            id(each)
            for each, mistakes in zip(sample, agreeing, strict=True)
            if any(counts[mistake] > BY_CHANCE for mistake in mistakes)
        }
        return [chosen, *(each for each in alike if id(each) not in others)]

    def swallows(self, smallest: Case, failure: Failure) -> bool:
        """Whether a failure is likely the same as the one that was shrunk to this case."""
        case, main = failure.case, self.suspect.contract.main_format
        special = [name for name in smallest.options if BY_NAME[name].is_special(smallest.kind(name))]
        alike = any(BY_NAME[name].is_special(case.kind(name)) for name in special)
        larger = case.sizes.key_len >= smallest.sizes.key_len and case.sizes.batch >= smallest.sizes.batch
        same_array = case.layout != "contiguous" and case.placed in (smallest.placed, "all")
        return (
            set(smallest.options) <= set(case.options)
            and (alike if special else larger)
            and (smallest.layout == "contiguous" or same_array)
            and smallest.number_format in (main, case.number_format)
            and (not smallest.extreme or case.extreme)
        )

    def add(
        self, group: list[Failure], looked_at: list[Failure], cause: Cause | None
    ) -> tuple[Failure, Case]:
        """Shrink the worst of some failures to a finding; keep it unless an earlier finding implies it."""
        chosen, row, reach = self.worst(looked_at)
        severity = Severity.LEAK if reach is not None and reach.leaks else Severity.WRONG
        if severity is Severity.WRONG and cause is None and only_rounding(looked_at):
            severity = Severity.INEXACT
        smallest = shrink_case(
            chosen.case, self.suspect.contract, lambda case: self.same(case, chosen, severity, cause)
        )
        shown = judge(self.suspect, smallest, noted=False) or chosen
        if shown is not chosen:
            row, reach = shown.reach(self.suspect)
            severity = Severity.LEAK if reach is not None and reach.leaks else severity
        if severity is Severity.INEXACT and is_long(smallest):  # rounding shows at any length
            severity = Severity.WRONG
        finding = self.finding(shown, row, reach, severity, cause, len(group))
        key = self.sameness(finding, smallest, cause)
        implied = cause is None and (self.implied(severity, smallest) or self.known_now(shown))
        if key not in self.findings and not implied:
            self.findings[key] = finding
            self.shown.add((severity, smallest.options, is_long(smallest), finding.check in APART))
        return chosen, smallest

    def known_now(self, shown: Failure) -> bool:
        """Whether a mistake that was found before explains the shrunk call."""
        return bool(explaining(shown.expected, shown.answer, None, tuple(self.known)))

    def implied(self, severity: Severity, smallest: Case) -> bool:
        """Whether an earlier finding has the same severity and options, so is likely the same mistake."""
        apart = smallest.layout != "contiguous" or smallest.extreme
        apart = apart or smallest.number_format != self.suspect.contract.main_format
        return not apart and (severity, smallest.options, is_long(smallest), False) in self.shown

    def sameness(self, finding: Finding, smallest: Case, cause: Cause | None) -> tuple[object, ...]:
        """The key of a finding: findings with equal keys are one."""
        if finding.severity is Severity.INEXACT:
            return ("inexact", smallest.number_format)
        if finding.check == "layouts":
            return ("layouts", cause and cause.mistake)
        if finding.check == "dtypes":
            return ("dtypes", smallest.number_format, smallest.options)
        if is_long(smallest) and cause is None:  # the mistake needs the length, with any options
            return (finding.check, finding.severity, smallest.sizes.key_len // 32)
        return (finding.check, finding.severity, smallest.options, finding.check == "magnitudes")

    def worst(self, group: list[Failure]) -> tuple[Failure, Row, Reach | None]:
        """The first failure that leaks, else the first that is more than rounding."""
        looked = []
        for failure in group:
            row, reach = failure.reach(self.suspect)
            if reach is not None and reach.leaks:
                return failure, row, reach
            looked.append((failure, row, reach))
        return next((each for each in looked if not only_rounding([each[0]])), looked[0])

    def same(self, case: Case, failure: Failure, severity: Severity, cause: Cause | None) -> bool:
        """Whether a smaller case fails in the same way."""
        found = judge(self.suspect, case, noted=False)
        if found is None or found.deviation.what != failure.deviation.what:
            return False
        if cause is not None and not cause.explains(found):
            return False
        if severity is Severity.LEAK:
            _, reach = found.reach(self.suspect)
            return reach is not None and reach.leaks
        return severity is not Severity.WRONG or cause is not None or not only_rounding([found])

    def finding(
        self,
        shown: Failure,
        row: Row,
        reach: Reach | None,
        severity: Severity,
        cause: Cause | None,
        cases: int,
    ) -> Finding:
        """The finding that a failure shows."""
        what = shown.deviation.what
        if reach is not None and (reach.leaks or cause is None):
            sentence = of_reach(reach, row, shown.case, shown.expected)
        else:
            sentence = of_error(row, shown.case, what, *shown.worst_entry(row))
        guess = self.guess(shown.case, severity)
        if severity is Severity.INEXACT:
            guess = f"arithmetic in a shorter format than {shown.case.number_format} in one of the steps"
        return Finding(
            check=self.check_of(shown, row, reach, cause),
            severity=severity,
            sentence=sentence,
            counterexample=shown.counterexample(row, reach),
            cause=str(cause) if cause else guess,
            fix=cause.mistake.fix if cause else None,
            cases=cases,
        )

    def guess(self, case: Case, severity: Severity) -> str | None:
        """The likely cause without a known mistake: the property that the shrunk case still needs."""
        if case.layout != "contiguous":
            arrays = "arrays" if case.placed == "all" else case.placed
            return f"strides of the {arrays} that are ignored, assumed, or taken from another array"
        if case.offset < 0:
            return (
                "a running maximum that starts above the row's scores, or a largest score that is another "
                "row's or not subtracted: all are far below 0"
            )
        if case.offset > 0:
            return "a largest score that is not subtracted, or another row's: scores are far above 0"
        if case.regime == "high keys" and severity is Severity.LEAK:
            return "a finite number is used for minus infinity: a hidden key scores far above the others"
        if REGIMES[case.regime].guess is not None:
            return REGIMES[case.regime].guess
        if case.sizes.key_len >= SHORTEST_BLOCK:
            return self.guess_of_length(case)
        return None

    def guess_of_length(self, case: Case) -> str | None:
        """Whether a failing length needs whole blocks of keys, or only so many keys."""
        length = case.sizes.key_len
        longer = judge(self.suspect, case.but(key_len=length + 1), noted=False)
        if longer is None and length % SHORTEST_BLOCK == 0:
            return (
                f"whole blocks of keys that are treated unlike incomplete ones: key_len={length + 1} is right"
            )
        return f"a block of keys, or what is counted in a short format, that ends below key_len={length}"

    def check_of(self, shown: Failure, row: Row, reach: Reach | None, cause: Cause | None) -> str:
        """The promise that is broken."""
        case = shown.case
        if case.layout != "contiguous":
            return "layouts"
        if case.number_format != self.suspect.contract.main_format:
            return "dtypes"
        if cause is not None:
            return cause.mistake.check
        if case.extreme:
            return "magnitudes"
        if reach is not None:
            return check_of_reach(shown, row, reach)
        if shown.deviation.what == "logsumexp":
            return "logsumexp"
        return check_of_options(case)


def check_of_reach(shown: Failure, row: Row, reach: Reach) -> str:
    """The promise that a dependence breaks."""
    if reach.side == "key" and reach.key is not None:
        hiding = set(shown.expected.asked.why_hidden(row, reach.key))
        return next((name for name in ("window", "documents") if hiding == {name}), "dependence")
    return {"batch item": "batch invariance", "head": "head mapping"}.get(reach.side, "dependence")


def check_of_options(case: Case) -> str:
    """The promise that belongs to the options of the shrunk case."""
    checks = [BY_NAME[name].check for name in case.options]
    needed = [check for check in checks if check != "dependence"]
    if len(needed) == 1:
        return needed[0]
    if "causal" in case.options and case.sizes.query_len != case.sizes.key_len and not needed:
        return "alignment"
    if case.sizes.batch > 1:
        return "batch invariance"
    return "dependence" if case.options and not needed else "exactness"
