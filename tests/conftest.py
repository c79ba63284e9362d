"""How many examples Hypothesis draws, and the browser that pages are looked at with.

Hypothesis's profile is the one that HYPOTHESIS_PROFILE names, "ci" where CI is set, else "dev".
"""

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# No deadline: a shared machine is slow now and then, and a first call compiles nothing but wakes threads.
settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True)
settings.register_profile("nightly", max_examples=5_000, deadline=None)
# make fuzz-python: no database, so that no failure of an earlier run is tried first
many = int(os.environ.get("EXAMPLES_PER_TEST", "10000"))
settings.register_profile(
    "fuzz", max_examples=many, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A real browser, one per process: the one that ATTNSCOPE_CHROMIUM names, or an installed one."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: make test-browser")
    found = os.environ.get("ATTNSCOPE_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("needs a browser: apt-get install chromium, or ATTNSCOPE_CHROMIUM=path")
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])  # root has no sandbox
        yield launched
        launched.close()
