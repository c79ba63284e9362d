"""Every claim, in one table: `make bench`. A new claim is a file and a line here."""

import sys

from benchmarks import (
    decode,
    error,
    gradients,
    import_time,
    limits,
    memory,
    observe,
    prefill,
    small_call,
    window,
)
from benchmarks.report import run

CLAIMS = tuple(
    module.CLAIM
    for module in (
        limits,
        prefill,
        gradients,
        window,
        decode,
        observe,
        small_call,
        memory,
        error,
        import_time,
    )
)

if __name__ == "__main__":
    sys.exit(run(CLAIMS))
