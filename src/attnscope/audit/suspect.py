"""The function under audit: its calls, its answers, and its side effects."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from attnscope.audit.case import Call, Case
from attnscope.audit.contract import Contract
from attnscope.probing import NoAnswer, Printed, guarded
from attnscope.problem import FORMAT_NAMES

Result = TypeVar("Result")
Watch = Callable[[str], None]  # takes the description of each call before it is made
MOST_HANGS = 4  # after which no more calls are made
SHORTEST = 1e-3  # seconds of a call: an alarm after 0 s would never ring
LATE = "late"  # the kind of a call that the end of the audit's time prevented or stopped


@dataclass(frozen=True, eq=False)
class Answer:
    """The result of one call in float64, with the bits it came in.

    Parameters
    ----------
    output : (batch, query_heads, query_len, value_dim) array
    logsumexp : (batch, query_heads, query_len) array, optional
    bits : bytes
        For comparisons of bits.
    """

    output: NDArray[np.float64]
    logsumexp: NDArray[np.float64] | None
    bits: bytes

    @classmethod
    def of(cls, output: NDArray[Any], logsumexp: NDArray[Any] | None) -> "Answer":
        """Copy and widen the arrays, so that later changes of them have no effect."""
        wide = None if logsumexp is None else logsumexp.astype(np.float64)
        bits = output.tobytes() + (b"" if logsumexp is None else logsumexp.tobytes())
        return cls(output.astype(np.float64), wide, bits)

    def of_head(self, one: tuple[int, int]) -> "Answer":
        """The answer of one batch item and head."""
        chosen = tuple(slice(each, each + 1) for each in one)
        logs = None if self.logsumexp is None else self.logsumexp[chosen]
        return Answer(self.output[chosen], logs, b"")


@dataclass(frozen=True, eq=False)
class Trouble:
    """A call that gave no answer, or had a side effect."""

    case: Case
    kind: str
    sentence: str


@dataclass(eq=False)
class Suspect:
    """Calls a function and records its side effects.

    Parameters
    ----------
    function, contract : callable, Contract
        The function, and what it claims.
    seconds_per_call, deadline : float
        Limits: of one call, and the time at which calls end.
    troubles, mutations : list of Trouble
        Calls that gave no answer, and calls that wrote to their inputs.
    printed : Printed
        What the function wrote to the standard streams.
    calls, passed_over : int
        Calls that were made, and calls that were left out since smaller ones hung.
    answered : bool
        Whether a call gave an answer. The first one may take all of the audit's time, then that is a finding.
    watch : callable, optional
        Called with the description of each call before it is made.
    """

    function: Callable[..., Any]
    contract: Contract
    seconds_per_call: float
    deadline: float = float("inf")
    troubles: list[Trouble] = field(default_factory=list)
    mutations: list[Trouble] = field(default_factory=list)
    printed: Printed = field(default_factory=Printed)
    first_print: Case | None = None
    calls: int = 0
    answered: bool = False
    hung: list[Case] = field(default_factory=list)
    passed_over: int = 0
    watch: Watch | None = None

    @property
    def given_up(self) -> str | None:
        """Why no more calls are made, or None."""
        if len(self.hung) >= MOST_HANGS:
            return f"everything after {MOST_HANGS} calls that gave no answer in time"
        if monotonic() >= self.deadline:
            return "everything after the audit's time was up"
        return None

    def ask(self, case: Case, call: Call | None = None, *, noted: bool = True) -> Answer | None:
        """The answer to a case's call, or to a changed one of the same shapes; None if there is none."""
        if self.given_up or self.would_hang(case):
            return None
        call = call or case.build(self.contract)
        given = case.laid_out(call)
        try:
            answer = self.run(lambda: read_answer(self.function(*given.arrays, **given.options), call), case)
        except NoAnswer as no_answer:
            if noted and no_answer.kind != LATE:
                self.troubles.append(Trouble(case, no_answer.kind, no_answer.sentence))
            return None
        self.watch_inputs(case, call, given)
        return answer

    def would_hang(self, case: Case) -> bool:
        """Whether a call with no more options and no more tokens has already hung."""
        found = any(
            set(each.options) <= set(case.options)
            and each.sizes.query_len <= case.sizes.query_len
            and each.sizes.key_len <= case.sizes.key_len
            for each in self.hung
        )
        self.passed_over += found
        return found

    def run(self, work: Callable[[], Result], case: Case) -> Result:
        """Run foreign code as one call of this audit; NoAnswer if it fails."""
        if self.given_up:
            raise NoAnswer(LATE, self.given_up)
        self.calls += 1
        if self.watch is not None:
            self.watch(str(case))
        left = max(self.deadline - monotonic(), SHORTEST)
        try:
            returned: Result = guarded(work, min(self.seconds_per_call, left), self.printed)
        except NoAnswer as no_answer:
            if no_answer.kind == "hung" and left < self.seconds_per_call and self.answered:
                raise NoAnswer(LATE, "was stopped, as the audit's time was up") from None
            self.hung += [case] if no_answer.kind == "hung" else []
            raise
        self.answered = True
        if self.printed.text and self.first_print is None:
            self.first_print = case
        return returned

    def watch_inputs(self, case: Case, call: Call, given: Call) -> None:
        """Record the arrays that a call wrote to."""
        was, now = call.named_arrays, given.named_arrays
        changed = [name for name, array in was.items() if array.tobytes() != now[name].tobytes()]
        if changed:
            self.mutations.append(Trouble(case, "mutation", " and ".join(changed)))


def read_answer(returned: Any, call: Call) -> Answer:
    """Check the result of a function; NoAnswer for another type, dtype or shape than the contract states."""
    with_logs = bool(call.options.get("return_logsumexp"))
    shape = (*call.query.shape[:3], call.value.shape[3])
    if not with_logs:
        return Answer.of(read_array(returned, shape, "the output"), None)
    if not isinstance(returned, tuple | list) or len(returned) != 2:
        raise NoAnswer(
            "type",
            f"returns {kind_of(returned)} with return_logsumexp=True, expected (output, logsumexp)",
        )
    output, logs = returned
    return Answer.of(read_array(output, shape, "the output"), read_array(logs, shape[:3], "the logsumexp"))


def read_array(returned: Any, shape: tuple[int, ...], what: str) -> NDArray[Any]:
    """Check an array of floating-point numbers; NoAnswer for another type, dtype or shape."""
    if not hasattr(returned, "__array__"):
        raise NoAnswer("type", f"returns {kind_of(returned)} as {what}, expected a NumPy array")
    array = np.asarray(returned)
    if array.dtype not in FORMAT_NAMES:
        raise NoAnswer("type", f"returns {what} as {array.dtype}, expected floating-point numbers")
    if array.shape != shape:
        raise NoAnswer("shape", f"returns {what} with shape {list(array.shape)}, expected {list(shape)}")
    return array


def kind_of(returned: Any) -> str:
    """A type in words."""
    kind = type(returned)
    if isinstance(returned, tuple | list):
        return f"a {kind.__name__} of {len(returned)}"
    return "nothing" if returned is None else f"a {kind.__name__}"
