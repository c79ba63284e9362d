"""Audits with one contract ask the same calls: arrays and right answers are computed once per contract."""

from collections.abc import Iterator

import pytest

from attnscope.audit.case import Call, Case
from attnscope.audit.contract import Contract
from attnscope.audit.expectation import Expectation
from attnscope.probing import Arithmetic

MOST_KEPT = 3_000  # calls of one contract; an audit asks some 1,500 different ones
MOST_SCORES = 100_000  # of a call that is kept: the few larger ones need most of the memory


class Kept:
    """Calls and right answers of the last contract. The calls stay alive, so that their ids stay theirs."""

    def __init__(self) -> None:
        self.build, self.answer = Case.build, Expectation.of
        self.contract: Contract | None = None
        self.calls: dict[Case, Call] = {}
        self.by_id: dict[int, tuple[Call, Expectation | None]] = {}

    def call(self, case: Case, contract: Contract) -> Call:
        """What Case.build returns."""
        if case.work > MOST_SCORES:
            return self.build(case, contract)
        if contract != self.contract or len(self.calls) >= MOST_KEPT:
            self.contract, self.calls, self.by_id = contract, {}, {}
        found = self.calls.get(case)
        if found is None:
            found = self.calls[case] = self.build(case, contract)
            for array in found.named_arrays.values():
                array.flags.writeable = False
            self.by_id[id(found)] = found, None
        return found

    def expectation(
        self, call: Call, contract: Contract, arithmetic: Arithmetic | None = None
    ) -> Expectation:
        """What Expectation.of returns."""
        known, answer = self.by_id.get(id(call), (None, None))
        if known is not call or contract != self.contract or arithmetic is not None:
            return self.answer(call, contract, arithmetic)
        if answer is None:
            answer = self.answer(call, contract)
            self.by_id[id(call)] = call, answer
        return answer


@pytest.fixture(autouse=True, scope="package")
def kept_answers() -> Iterator[Kept]:
    """In this folder alone: other folders' tests run in the same process."""
    kept = Kept()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Case, "build", lambda case, contract: kept.call(case, contract))
        patch.setattr(Expectation, "of", kept.expectation)
        yield kept
