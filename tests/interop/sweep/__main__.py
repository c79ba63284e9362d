"""python -m tests.interop.sweep [TYPE ...]: every type of Transformers' models beside eager attention, as a table."""

import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

AT_ONCE, SECONDS, PROCESSES = 12, 240, 2


def judged_here(types: list[str]) -> None:
    """Print one outcome per line, as JSON."""
    from tests.interop.sweep.judging import judge, prepare

    prepare()
    for each in types:
        print(json.dumps(asdict(judge(each))), flush=True)


def judged_elsewhere(types: list[str]) -> list[dict[str, object]]:
    """Outcomes from another process; what it did not reach is tried again, alone if it died there."""
    command = [sys.executable, "-m", "tests.interop.sweep", "--here", *types]
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS * len(types) ** 0.5, check=False
        )
        lines = ended.stdout
    except subprocess.TimeoutExpired as error:
        lines = (error.stdout or b"").decode()
    outcomes = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
    left = types[len(outcomes) :]
    if not left:
        return outcomes
    if not outcomes and len(types) == 1:
        return [
            {
                "model_type": types[0],
                "verdict": "not run",
                "reason": "its process died or took too long",
                "cases": [],
            }
        ]
    return outcomes + judged_elsewhere(left[:1]) + (judged_elsewhere(left[1:]) if left[1:] else [])


def main() -> None:
    if sys.argv[1:2] == ["--here"]:
        judged_here(sys.argv[2:])
        return
    from tests.interop.sweep.tiny_models import types

    chosen = sys.argv[1:] or types()
    chunks = [chosen[start : start + AT_ONCE] for start in range(0, len(chosen), AT_ONCE)]
    with ThreadPoolExecutor(PROCESSES) as processes:
        for outcomes in processes.map(judged_elsewhere, chunks):
            for each in outcomes:
                print(json.dumps(each), flush=True)


if __name__ == "__main__":
    main()
