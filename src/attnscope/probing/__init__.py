"""What audits and the lesson's checks share: calls of foreign code."""

from attnscope.probing.calls import NoAnswer as NoAnswer
from attnscope.probing.calls import Printed as Printed
from attnscope.probing.calls import Run as Run
from attnscope.probing.calls import TimeIsUp as TimeIsUp
from attnscope.probing.calls import alarm as alarm
from attnscope.probing.calls import error_in_words as error_in_words
from attnscope.probing.calls import guarded as guarded
from attnscope.probing.calls import message_of as message_of
from attnscope.probing.calls import random_states as random_states
from attnscope.probing.calls import run_in_thread as run_in_thread
from attnscope.probing.output import buffers as buffers
from attnscope.probing.output import captured as captured
