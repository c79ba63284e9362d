"""The time of one call, of decoding, and of a prompt with its new tokens, beside this machine's limits."""

from attnscope.bench.call import BenchCase as BenchCase
from attnscope.bench.call import Measurement as Measurement
from attnscope.bench.call import case_of as case_of
from attnscope.bench.call import measure as measure
from attnscope.bench.decode import DecodeCase as DecodeCase
from attnscope.bench.decode import DecodeMeasurement as DecodeMeasurement
from attnscope.bench.decode import decode_cases as decode_cases
from attnscope.bench.decode import measure_decode as measure_decode
from attnscope.bench.report import print_decode as print_decode
from attnscope.bench.report import print_measurement as print_measurement
from attnscope.bench.simulate import Simulation as Simulation
from attnscope.bench.simulate import simulate as simulate
