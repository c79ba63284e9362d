"""Compare every type of Transformers' models with eager attention.

    python -m tests.interop.sweep [--page FILE] [TYPE ...]

Prints an outcome per line as JSON, and exits with 1 if one differs. It takes an hour of two cores, so it runs
at night.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

AT_ONCE, SECONDS, PROCESSES = 12, 300, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("types", nargs="*", help="configuration types; all without any")
    parser.add_argument("--page", type=Path, help="write the table to this file")
    parser.add_argument("--here", action="store_true", help="in this process")
    asked = parser.parse_args()
    if asked.here:
        judge_here(asked.types)
        return
    from tests.interop.sweep.tiny_models import types

    outcomes = list(judged(asked.types or types()))
    if asked.page is not None:
        from tests.interop.sweep.table import page

        asked.page.write_text(page(outcomes), encoding="utf-8")
    sys.exit(any(each["verdict"] == "differs" for each in outcomes))


def judge_here(types: Sequence[str]) -> None:
    from tests.interop.sweep.judging import judge, prepare

    prepare()
    for each in types:
        print(json.dumps(asdict(judge(each))), flush=True)


def judged(types: Sequence[str]) -> list[dict[str, Any]]:
    """All outcomes, a few types per process: a model can crash its process, and loaded files take memory."""
    chunks = [list(types[start : start + AT_ONCE]) for start in range(0, len(types), AT_ONCE)]
    found: list[dict[str, Any]] = []
    with ThreadPoolExecutor(PROCESSES) as processes:
        for outcomes in processes.map(judged_elsewhere, chunks):
            for each in outcomes:
                print(json.dumps(each), flush=True)
            found += outcomes
    return found


def judged_elsewhere(types: list[str]) -> list[dict[str, Any]]:
    """Outcomes from another process; what it did not reach is tried again, first alone."""
    command = [sys.executable, "-m", "tests.interop.sweep", "--here", *types]
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS * len(types) ** 0.5, check=False
        )
        lines = ended.stdout
    except subprocess.TimeoutExpired as error:
        lines = error.stdout.decode() if isinstance(error.stdout, bytes) else error.stdout or ""
    outcomes = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
    left = types[len(outcomes) :]
    if not left:
        return outcomes
    if len(types) == 1:
        reason = "its process died or took too long"
        return [{"model_type": types[0], "verdict": "not run", "reason": reason, "cases": []}]
    rest = judged_elsewhere(left[1:]) if left[1:] else []
    return outcomes + judged_elsewhere(left[:1]) + rest


if __name__ == "__main__":
    main()
