"""The libraries, one a file: each offers its ways to do a work, by the name of the call.

A way is a function (work, inputs) -> Call. Preparing (layouts, masks, graphs, compiling) is not timed; a way
that cannot do the work raises NotOfferedError.
"""

from benchmarks.peers.call import Call as Call
from benchmarks.peers.call import NotOfferedError as NotOfferedError
from benchmarks.peers.call import Peer as Peer
from benchmarks.peers.call import Way as Way
from benchmarks.peers.call import load_peer as load_peer
