"""How many examples Hypothesis draws: the profile that HYPOTHESIS_PROFILE names, "ci" where CI is set, else "dev"."""

import os

from hypothesis import settings

# No deadline: a shared machine is slow now and then, and a first call compiles nothing but wakes threads.
settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True)
settings.register_profile("nightly", max_examples=5_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))
