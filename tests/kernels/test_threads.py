"""Threads: as many as asked for, from many callers at once, after a fork, and with the interpreter free."""

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attnscope as at
from attnscope import kernels


def arrays(tokens: int = 400, seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((1, 4, tokens, 32)).astype(np.float32) for _ in range(3)]


def test_many_callers_at_once() -> None:
    problems = [arrays(seed=seed) for seed in range(8)]
    alone = [at.attention(*each, mask=at.Causal(), threads=1).tobytes() for each in problems]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(10):
            together = pool.map(
                lambda each: at.attention(*each, mask=at.Causal(), threads=3).tobytes(), problems
            )
            assert list(together) == alone


def gradients_in_bytes(seed: int, threads: int) -> bytes:
    query, key, value = arrays(seed=seed)
    found = at.attention_gradients(query, key, value, query, mask=at.Causal(), threads=threads)
    return b"".join(each.tobytes() for each in (found.query, found.key, found.value))


def test_many_backward_passes_at_once() -> None:
    alone = [gradients_in_bytes(seed, 1) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert list(pool.map(lambda seed: gradients_in_bytes(seed, 3), range(8))) == alone


class Alarm(Exception):
    """What a signal handler raises."""


def test_64_callers_and_a_main_thread_that_signals_interrupt() -> None:
    """Signals raise in the main thread, in the middle of its calls; other calls are refused meanwhile."""
    expected = gradients_in_bytes(1, 1), at.attention(*arrays(seed=1), threads=1).tobytes()
    bad = arrays()[0][..., :1]

    def work(caller: int) -> bool:
        with pytest.raises(at.AttentionError):
            at.attention(bad, arrays()[1], arrays()[2], threads=2)
        threads = 1 + caller % 4
        found = gradients_in_bytes(1, threads), at.attention(*arrays(seed=1), threads=threads).tobytes()
        return found == expected

    def ring(*_: object) -> None:
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    long = [np.broadcast_to(each[:, :, :1], (1, 4, 10**6, 32)) for each in arrays()]
    with ThreadPoolExecutor(64) as pool:
        waiting = [pool.submit(work, caller) for caller in range(64)]
        for _ in range(3):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(Alarm):
                at.attention(*long, mask=at.Causal(), threads=2)
        assert all(each.result() for each in waiting)
    signal.signal(signal.SIGALRM, before)


def attend_and_send(connection: Any) -> None:
    connection.send((at.attention(*arrays(), threads=2).tobytes(), gradients_in_bytes(0, 2)))
    connection.close()


def test_a_forked_child_computes_too() -> None:
    # the parent's workers are running now
    expected = at.attention(*arrays(), threads=2).tobytes(), gradients_in_bytes(0, 2)
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=attend_and_send, args=(sender,))
    child.start()
    assert receiver.poll(30), "the forked child hangs"
    assert receiver.recv() == expected
    child.join(30)
    assert child.exitcode == 0


def test_the_interpreter_is_free_meanwhile() -> None:
    query, key, value = arrays(tokens=6000)
    counted, done = 0, threading.Event()

    def compute() -> None:
        at.attention(query, key, value, threads=1)
        done.set()

    worker = threading.Thread(target=compute)
    worker.start()
    while not done.is_set():
        counted += 1
        time.sleep(0.001)
    worker.join()
    assert counted > 5


def states_of_other_threads() -> list[str]:
    """R for a running or runnable thread, S for a sleeping one: the field after the name in Linux's stat."""
    own = threading.get_native_id()
    stats = [path / "stat" for path in Path("/proc/self/task").iterdir() if int(path.name) != own]
    return [stat.read_text().rpartition(")")[2].split()[0] for stat in stats]


@pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="reads the states of threads from Linux's /proc"
)
def test_no_thread_spins_between_calls() -> None:
    at.attention(*arrays(), threads=2)
    assert states_of_other_threads()
    for _ in range(1000):  # a worker that spins forever never sleeps
        if set(states_of_other_threads()) == {"S"}:
            return
        time.sleep(0.01)
    pytest.fail(f"a worker still runs long after the call: {states_of_other_threads()}")


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2", 10**6])
def test_a_bad_number_of_threads(threads: Any) -> None:
    with pytest.raises(
        at.AttentionError, match=r"threads=.*expected an integer from 1 to 1024.*Leave it out"
    ):
        at.attention(*arrays(10), threads=threads)
    with pytest.raises(at.AttentionError, match="expected an integer from 1 to 1024"):
        kernels.set_default_threads(threads)


class Anything(int):
    """Compares as it likes."""

    def __le__(self, other: object) -> bool:
        return True

    __lt__ = __ge__ = __gt__ = __le__


@pytest.mark.parametrize("threads", [0, -5, 10**6])
def test_a_number_of_threads_that_lies_about_itself_is_read_as_it_is(threads: int) -> None:
    with pytest.raises(at.AttentionError, match="expected an integer from 1 to 1024"):
        at.attention(*arrays(10), threads=Anything(threads))


def test_more_threads_than_rows() -> None:
    few = arrays(2)
    assert at.attention(*few, threads=64).tobytes() == at.attention(*few, threads=1).tobytes()


def test_the_default_can_be_set_and_taken_back() -> None:
    before = kernels.default_threads()
    kernels.set_default_threads(3)
    assert kernels.default_threads() == 3
    kernels.set_default_threads(None)
    assert kernels.default_threads() == before


def test_the_default_is_the_cpus_that_this_process_may_use() -> None:
    if "ATTNSCOPE_THREADS" not in os.environ:
        assert kernels.default_threads() == len(os.sched_getaffinity(0))
