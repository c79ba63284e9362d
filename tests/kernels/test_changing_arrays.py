"""Small arrays that lead to memory are checked as private copies: threads may change them during a call."""

import subprocess
import sys

import pytest

FLIPPER = """
import sys, threading
import numpy as np
import attnscope as at
from attnscope.cache import Pages, attend
from attnscope.errors import AttentionError

sys.setswitchinterval(1e-6)
KEYS, PAGE = 4096, 16
rng = np.random.default_rng(0)
query = rng.standard_normal((1, 64, 20, 4)).astype(np.float32)
key = np.broadcast_to(rng.standard_normal((1, 1, KEYS, 4)).astype(np.float32), (1, 64, KEYS, 4))
arena = key.reshape(1, 64, KEYS // PAGE, PAGE, 4)[0].swapaxes(0, 1)
segments = np.arange(KEYS, dtype=np.uint8) % 2
block_table = np.arange(KEYS // PAGE, dtype=np.int32)[None]
key_lens = np.array([KEYS], np.int64)
changing, wrong = {changing}
right = changing.copy()
done = False

def flip():
    while not done:
        changing[:] = wrong
        changing[:] = right

flipper = threading.Thread(target=flip)
flipper.start()
for _ in range({calls}):
    try:
        {call}
    except (AttentionError, ValueError):
        pass  # a wrong number that was seen is refused
done = True
flipper.join()
print("alive")
"""
OBSERVE = "at.observe(query, key, key, segments=segments)"
PAGED = "attend(query, Pages(arena, arena, None, None, block_table, key_lens), mask=None)"


@pytest.mark.parametrize(
    ("changing", "call"),
    [
        ("segments, np.arange(KEYS) % 192 + 64", OBSERVE),
        ("block_table, 2**31 - 1", PAGED),
        ("key_lens, 2**40", PAGED),
    ],
    ids=["segments", "block_table", "key_lens"],
)
def test_an_array_that_another_thread_changes_leads_nowhere(changing: str, call: str) -> None:
    program = FLIPPER.format(changing=changing, call=call, calls=200)
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=300
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == "alive\n"
