"""Calls on the threads of torch's OpenMP: the same bits, from many callers, after a fork, interrupted."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import attnscope as at
from attnscope.kernels import use_openmp

torch = pytest.importorskip("torch", reason="needs torch: make test-models")

THREADS = 3


@pytest.fixture(autouse=True)
def of_torch() -> Iterator[None]:
    if not use_openmp():
        pytest.skip("this torch has no OpenMP that others can call")
    yield
    use_openmp(True)


def arrays(seed: int = 0) -> tuple[Any, Any, Any]:
    random = np.random.default_rng(seed)
    return tuple(random.standard_normal((2, 4, 300, 64), np.float32) for _ in range(3))  # type: ignore[return-value]


def attend(seed: int = 0) -> bytes:
    return at.attention(*arrays(seed), mask=at.Causal(), threads=THREADS).tobytes()


def test_the_bits_do_not_depend_on_whose_threads_compute() -> None:
    with_team = attend()
    use_openmp(False)
    assert attend() == with_team


def test_the_team_computes() -> None:
    """After an operation of torch has started its threads, a call starts none; on our own pool it does."""
    program = (
        "import os, torch, numpy as np, attnscope as at\n"
        "from attnscope.kernels import use_openmp\n"
        "def count(): return len(os.listdir('/proc/self/task'))\n"
        "x = np.ones((2, 4, 300, 64), np.float32)\n"
        "torch.set_num_threads(3)\n"
        "assert use_openmp()\n"
        "torch.rand(10**7).exp()\n"
        "started = count()\n"
        "at.attention(x, x, x, threads=3)\n"
        "of_torch = count()\n"
        "use_openmp(False)\n"
        "at.attention(x, x, x, threads=3)\n"
        "print(of_torch - started, count() - started)\n"
    )
    assert printed_by(program) == "0 2\n"


def test_many_callers_at_once() -> None:
    """One of them has the team, the others our pool."""
    expected = {seed: attend(seed) for seed in range(8)}
    found: dict[int, set[bytes]] = {seed: set() for seed in expected}

    def call(seed: int) -> None:
        for _ in range(10):
            found[seed].add(attend(seed))

    callers = [threading.Thread(target=call, args=(seed,)) for seed in expected]
    for each in callers:
        each.start()
    for each in callers:
        each.join()
    assert found == {seed: {bits} for seed, bits in expected.items()}


def test_a_child_after_a_fork_computes_on_threads_of_its_own() -> None:
    program = (
        "import os, sys, torch, numpy as np, attnscope as at\n"
        "from attnscope.kernels import use_openmp\n"
        "assert use_openmp()\n"
        "x = np.ones((2, 4, 300, 64), np.float32)\n"
        "expected = at.attention(x, x, x, threads=3).tobytes()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    os._exit(0 if at.attention(x, x, x, threads=3).tobytes() == expected else 1)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    assert printed_by(program) == ""


def test_without_an_openmp_the_pool_is_used() -> None:
    assert printed_by("from attnscope.kernels import use_openmp; print(use_openmp())") == "False\n"


def test_an_interrupted_call_leaves_the_team() -> None:
    """An exception of a signal handler ends the call; the next one has the team again."""
    expected = attend()
    for delay in (0.02, 0.05, 0.1):
        with pytest.raises(KeyboardInterrupt):
            attend_until_interrupted(delay)
        assert attend() == expected


def attend_until_interrupted(delay: float) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    long = np.ones((1, 8, 6000, 64), np.float32)
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, delay)
    try:
        while True:
            at.attention(long, long, long, threads=THREADS)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def printed_by(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        timeout=120,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout
