"""A prepared call of some library, and the libraries there are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast

from numpy.typing import NDArray

from benchmarks.work import Inputs, Work

OURS = "attnscope"
PEERS = ("torch", "torch flex", "onnxruntime", "openvino", "jax")
FILES = {
    "attnscope": "attnscope_calls",
    "torch": "torch_calls",
    "torch flex": "torch_flex_calls",
    "torch packed": "torch_packed_calls",
    "onnxruntime": "onnxruntime_calls",
    "openvino": "openvino_calls",
    "jax": "jax_calls",
}


class NotOfferedError(Exception):
    """Raised by a way that cannot do the work; the text gives the reason."""


@dataclass(frozen=True)
class Call:
    """run() is what is timed; output() brings its result into (batch, query_heads, query_len, value_dim)."""

    run: Callable[[], Any]
    output: Callable[[Any], NDArray[Any]]
    keeps: Any = None  # arrays that the library reads in place, and does not keep alive


Way = Callable[[Work, Inputs], Call]


class Peer(Protocol):
    """What each library's file holds."""

    WAYS: Mapping[str, Way]

    @staticmethod
    def use_threads(threads: int) -> None: ...

    @staticmethod
    def version() -> str: ...


def load_peer(name: str) -> Peer:
    """Import the library, in the process that will run it."""
    return cast("Peer", import_module(f"benchmarks.peers.{FILES[name]}"))
