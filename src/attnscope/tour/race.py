"""Time and memory of the same attention, by plain NumPy and by the kernel."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from attnscope.attention import attention
from attnscope.problem import Causal

TOKENS, HEADS, HEAD_DIM = 4096, 2, 64
NUMPY_REPEATS, KERNEL_REPEATS = 3, 9
STATUS = Path("/proc/self/status")
RESET_PEAK = Path("/proc/self/clear_refs")

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Race:
    """Median seconds, and peak bytes beyond inputs and output; None if the system does not report them."""

    tokens: int
    heads: int
    head_dim: int
    numpy_seconds: float
    attnscope_seconds: float
    numpy_bytes: int | None
    attnscope_bytes: int | None
    largest_difference: float
    openblas_settings: dict[str, str]


def plain_numpy(query: Floats, key: Floats, value: Floats) -> Floats:
    """Causal attention by its formula: three matrices of tokens x tokens for each head."""
    scores = query @ key.swapaxes(-1, -2) * np.float32(query.shape[-1] ** -0.5)
    scores[..., np.triu(np.ones(scores.shape[-2:], np.bool_), k=1)] = -np.inf
    weights: Floats = np.exp(scores - scores.max(axis=-1, keepdims=True))
    output: Floats = (weights / weights.sum(axis=-1, keepdims=True)) @ value
    return output


def kernel(query: Floats, key: Floats, value: Floats) -> Floats:
    output: Floats = attention(query, key, value, mask=Causal())
    return output


RUNNERS: dict[str, Callable[[Floats, Floats, Floats], Floats]] = {"numpy": plain_numpy, "attnscope": kernel}


def race() -> Race:
    inputs = random_inputs()
    numpy_seconds, expected = median_seconds(plain_numpy, inputs, NUMPY_REPEATS)
    attnscope_seconds, output = median_seconds(kernel, inputs, KERNEL_REPEATS)
    return Race(
        tokens=TOKENS,
        heads=HEADS,
        head_dim=HEAD_DIM,
        numpy_seconds=numpy_seconds,
        attnscope_seconds=attnscope_seconds,
        numpy_bytes=peak_bytes_in_a_fresh_process("numpy"),
        attnscope_bytes=peak_bytes_in_a_fresh_process("attnscope"),
        largest_difference=float(np.abs(output - expected).max()),
        openblas_settings=dict(
            sorted(item for item in os.environ.items() if item[0].startswith("OPENBLAS_"))
        ),
    )


def random_inputs() -> tuple[Floats, Floats, Floats]:
    draw = np.random.default_rng(0)
    query, key, value = draw.standard_normal((3, HEADS, TOKENS, HEAD_DIM), np.float32)
    return query, key, value


def median_seconds(
    runner: Callable[[Floats, Floats, Floats], Floats], inputs: tuple[Floats, Floats, Floats], repeats: int
) -> tuple[float, Floats]:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        output = runner(*inputs)
        seconds.append(time.perf_counter() - start)
    return median(seconds), output


def peak_bytes_in_a_fresh_process(runner: str) -> int | None:
    """Peak resident memory of one call, beyond its inputs and output; None if the system does not report it.

    It is measured in a process of its own: nothing was allocated there before, so scratch memory of the
    kernel counts as much as the arrays of NumPy.
    """
    if not STATUS.exists():
        return None
    program = f"from attnscope.tour.race import print_peak_bytes; print_peak_bytes({runner!r})"
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False)
    return int(json.loads(done.stdout)) if done.returncode == 0 else None


def print_peak_bytes(runner: str) -> None:
    inputs = random_inputs()
    with suppress(OSError):  # a container may forbid it; the peak then includes the start of Python
        RESET_PEAK.write_text("5")  # resets the peak to the present size: man 5 proc
    before = status_bytes("VmRSS")
    output = RUNNERS[runner](*inputs)
    sys.stdout.write(json.dumps(max(0, status_bytes("VmHWM") - before - output.nbytes)))


def status_bytes(field: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024
