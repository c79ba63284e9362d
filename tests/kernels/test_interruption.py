"""Signals are answered in the middle of a long call, and Python can exit while another thread computes."""

import subprocess
import sys

import pytest

# Hours of work on a few bytes: all queries are one, and so are all keys
LONG_CALL = """
import numpy as np
import attnscope as at
one = np.ones((1, 1, 1, 64), np.float32)
keys = np.broadcast_to(one, (1, 1, {keys}, 64))
queries = np.broadcast_to(one, (1, 1, {queries}, 64))
def attend(threads):
    return at.{function}(queries, keys, keys{options}, threads=threads)
"""
CTRL_C = """
import os, signal, threading
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell ignores it
threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    attend({threads})
except KeyboardInterrupt:
    few = np.random.default_rng(0).standard_normal((3, 1, 4, 200, 8)).astype(np.float32)
    print(at.attention(*few, threads=2).tobytes() == at.attention(*few, threads=1).tobytes())
    one, two = (at.attention_gradients(*few, few[0], threads=threads) for threads in (1, 2))
    print(one.query.tobytes() == two.query.tobytes(), one.key.tobytes() == two.key.tobytes())
"""
MANY_ROWS = {"queries": 10**6, "keys": 10**6, "function": "attention", "options": ""}
ONE_LONG_TILE = {"queries": 20, "keys": 2**30, "function": "attention", "options": ""}
SURVEYED = {"queries": 10**5, "keys": 10**6, "function": "observe", "options": ", received=True"}
BACKWARD = {
    "queries": 10**5,
    "keys": 10**6,
    "function": "attention_gradients",
    "options": ", queries, output=queries, logsumexp=np.zeros((1, 1, 10**5), np.float32)",
}


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=100
    )


@pytest.mark.parametrize(
    ("sizes", "threads"),
    [(MANY_ROWS, 1), (MANY_ROWS, 2), (ONE_LONG_TILE, 2), (SURVEYED, 2), (BACKWARD, 1), (BACKWARD, 2)],
    ids=["one thread", "two threads", "parts of one tile", "surveyed", "backward, one thread", "backward"],
)
def test_ctrl_c_ends_a_long_call_and_the_next_call_is_right(sizes: dict[str, object], threads: int) -> None:
    finished = run(LONG_CALL.format(**sizes) + CTRL_C.format(threads=threads))
    assert finished.stdout == "True\nTrue True\n", finished.stderr


HANDLER = """
import os, signal
few = np.random.default_rng(0).standard_normal((3, 1, 4, 200, 8)).astype(np.float32)
alone = at.attention(*few, threads=2).tobytes()
answers = []
class Enough(Exception):
    pass
def handle(*_):
    answers.append(at.attention(*few, threads=2).tobytes() == alone)
    if len(answers) == 3:
        raise Enough
    signal.setitimer(signal.ITIMER_REAL, 0.01)
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.01)
try:
    attend(2)
except Enough:
    print(answers)
"""


@pytest.mark.parametrize("sizes", [MANY_ROWS, BACKWARD], ids=["forward", "backward"])
def test_a_signal_handler_may_compute_attention_itself(sizes: dict[str, object]) -> None:
    finished = run(LONG_CALL.format(**sizes) + HANDLER)
    assert finished.stdout == "[True, True, True]\n", finished.stderr


EXIT = """
import threading
def forever():
    few = np.random.default_rng(0).standard_normal(({arrays}, 1, 4, {tokens}, 32)).astype(np.float32)
    while True:
        at.{function}(*few, threads={threads})
        started.set()
started = threading.Event()
for _ in range(3):
    threading.Thread(target=forever, daemon=True).start()
started.wait()
print("exiting", flush=True)
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("tokens", [8, 300])
@pytest.mark.parametrize(
    ("function", "arrays"), [("attention", 3), ("observe", 3), ("attention_gradients", 4)]
)
def test_python_exits_while_daemon_threads_compute(
    function: str, arrays: int, tokens: int, threads: int
) -> None:
    program = EXIT.format(function=function, arrays=arrays, tokens=tokens, threads=threads)
    finished = run(LONG_CALL.format(**MANY_ROWS) + program)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "exiting\n", "")
