"""The thread pool alone, in a C++ program: no throwing body and no failed allocation leaves a job behind."""

import os
import subprocess
from pathlib import Path

from tests.conventions.source_tree import ROOT


def test_the_pool_holds_no_job_that_failed(tmp_path: Path) -> None:
    program = tmp_path / "pool"
    sources = [str(ROOT / "csrc" / name) for name in ("checks/pool.cpp", "parallel.cpp")]
    compiler = os.environ.get("CXX", "c++")
    subprocess.run([compiler, "-std=c++20", "-O1", *sources, "-pthread", "-o", str(program)], check=True)
    finished = subprocess.run([str(program)], capture_output=True, text=True, check=False, timeout=300)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith("the pool holds no job that failed")
