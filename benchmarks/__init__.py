"""One file a claim: `make bench` runs all, `python -m benchmarks.prefill` runs one.

A claim compares the same work on the same inputs. Each library runs in a process of its own, with the same
number of threads; each of its calls is checked against a float64 result, and the fastest correct one stands
for the library. Rounds are interleaved, so that whatever slows the machine down slows everybody.
"""
