"""One engine for audits and the lesson's checks: guarded calls, error bounds, shrinking, findings."""

from attnscope.probing.bound import FLOAT32_UNIT as FLOAT32_UNIT
from attnscope.probing.bound import Arithmetic as Arithmetic
from attnscope.probing.bound import Bound as Bound
from attnscope.probing.bound import InputErrors as InputErrors
from attnscope.probing.bound import bound_of as bound_of
from attnscope.probing.bound import same_precision_baseline as same_precision_baseline
from attnscope.probing.bound import size_of as size_of
from attnscope.probing.calls import NoAnswer as NoAnswer
from attnscope.probing.calls import Printed as Printed
from attnscope.probing.calls import Run as Run
from attnscope.probing.calls import TimeIsUp as TimeIsUp
from attnscope.probing.calls import alarm as alarm
from attnscope.probing.calls import buffers as buffers
from attnscope.probing.calls import captured as captured
from attnscope.probing.calls import error_in_words as error_in_words
from attnscope.probing.calls import guarded as guarded
from attnscope.probing.calls import message_of as message_of
from attnscope.probing.calls import random_states as random_states
from attnscope.probing.calls import run_in_thread as run_in_thread
from attnscope.probing.findings import Counterexample as Counterexample
from attnscope.probing.findings import Finding as Finding
from attnscope.probing.findings import KnownMistake as KnownMistake
from attnscope.probing.findings import Severity as Severity
from attnscope.probing.findings import listed as listed
from attnscope.probing.findings import shrink as shrink
from attnscope.probing.findings import written as written
