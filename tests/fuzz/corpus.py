"""The fuzzer's stored corpus: one unit per line, as base64.

python -m tests.fuzz.corpus --unpack FOLDER     write one file per unit
python -m tests.fuzz.corpus FOLDER...           store the units that together reach all code that these reach
"""

import argparse
import base64
import os
import subprocess
from hashlib import sha1
from pathlib import Path
from tempfile import TemporaryDirectory

STORED = Path(__file__).with_name("corpus.txt")
FUZZER = Path("build/fuzz/fuzz")


def units() -> list[bytes]:
    """The stored units."""
    return [base64.b64decode(line) for line in STORED.read_text(encoding="ascii").splitlines()]


def unpack(folder: Path) -> None:
    """Write each unit to a file of its own, named as libFuzzer names it."""
    folder.mkdir(parents=True, exist_ok=True)
    for unit in units():
        (folder / sha1(unit, usedforsecurity=False).hexdigest()).write_bytes(unit)


def store(folders: list[Path]) -> None:
    """Merge the folders with the stored units; libFuzzer keeps the smallest that reach the same code."""
    with TemporaryDirectory() as temporary:
        before, merged = Path(temporary, "before"), Path(temporary, "merged")
        unpack(before)
        merged.mkdir()
        command = [
            str(FUZZER.resolve()),
            "-merge=1",
            "-use_counters=0",
            str(merged),
            str(before),
            *map(str, folders),
        ]
        subprocess.run(command, check=True, env=os.environ | {"ASAN_OPTIONS": "detect_leaks=0"})
        lines = sorted(base64.b64encode(path.read_bytes()).decode() for path in merged.iterdir())
        STORED.write_text("\n".join(lines) + "\n", encoding="ascii")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--unpack", type=Path)
    parser.add_argument("folders", type=Path, nargs="*")
    given = parser.parse_args()
    if given.unpack:
        unpack(given.unpack)
    else:
        store(given.folders)
