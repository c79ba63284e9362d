"""One file per claim. `make bench` runs all of them, `python -m benchmarks.prefill` runs one.

A claim compares the same work on the same inputs. Each library runs in its own process, with the same number
of threads. Each of its calls is checked against a float64 result, and the fastest correct call represents the
library. Rounds are interleaved, so that a disturbance of the machine slows all libraries alike.

A claim states its floors: numbers that the measurement must reach. Running a claim prints its table and its
floors, writes bench/<claim>.json, and ends with exit code 1 if a floor is missed.
"""
