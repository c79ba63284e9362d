"""Every kernel test runs at every level that this machine has."""

from collections.abc import Iterator

import pytest

from attnscope import kernels


@pytest.fixture(params=kernels.usable_levels())
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    with kernels.forced_level(request.param):
        yield request.param
