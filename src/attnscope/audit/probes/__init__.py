"""The probes: each asks a function one kind of question."""

from attnscope.audit.probes.probe import Probe as Probe
from attnscope.audit.probes.probe import Setting as Setting
from attnscope.audit.probes.table import probes_for as probes_for
