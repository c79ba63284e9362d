"""Claim: causal prefill of 2,048 tokens reaches 0.84 of the FMA limit, 2.2 x torch and 1.5 x ONNX Runtime.

Without a mask it is 1.1 x the fastest other library. "2.2 x torch" means that torch's fastest correct call
takes 2.2 times as long.
"""

import sys

from benchmarks.claim import Claim, Floor, Results, at_least, least
from benchmarks.compare import compare, rows, share, times_ours
from benchmarks.peers.call import PEERS
from benchmarks.report import run
from benchmarks.work import Work

CAUSAL = Work("prefill 2,048 causal", query_len=2048, key_len=2048, causal=True)
UNMASKED = Work("prefill 2,048 unmasked", query_len=2048, key_len=2048)


def measure() -> Results:
    """Compare the libraries with and without a causal mask."""
    return [result for work in (CAUSAL, UNMASKED) for result in compare(work)]


def floors(results: Results) -> list[Floor]:
    """The share of the limit, and the ratios to the other libraries."""
    unmasked = least(times_ours(results, UNMASKED, peer) for peer in PEERS)
    return [
        at_least("causal prefill: share of the FMA limit", share(results, CAUSAL), 0.84),
        at_least("causal prefill: torch's time over ours", times_ours(results, CAUSAL, "torch"), 2.2),
        at_least("causal prefill: ONNX Runtime's over ours", times_ours(results, CAUSAL, "onnxruntime"), 1.5),
        at_least("unmasked prefill: the fastest other's over ours", unmasked, 1.1),
    ]


CLAIM = Claim("prefill", measure, rows, floors)

if __name__ == "__main__":
    sys.exit(run([CLAIM]))
