"""Audits without a time limit, so that their results do not depend on how busy the machine is."""

from functools import partial

import attnscope as at

attention = partial(at.audit.attention, seconds=1e6, seconds_per_call=60.0)
model = partial(at.audit.model, seconds=1e6, seconds_per_call=60.0)
