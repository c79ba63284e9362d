"""Every claim, and one table of all: `make bench`. A claim that comes later is a file and a line here."""

from benchmarks import decode, error, import_time, limits, memory, observe, prefill, small_call, window
from benchmarks.report import run_alone

CLAIMS = (limits, prefill, window, decode, observe, small_call, memory, error, import_time)

if __name__ == "__main__":
    run_alone([row for claim in CLAIMS for row in claim.rows()])
