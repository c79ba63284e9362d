"""Packed arrays are unpacked as exactly as their docstrings promise."""

import base64
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from attnscope.inspection.viewer.packing import Pack, planes

rng = np.random.default_rng(0)


def unpacked(pack: Pack, name: str) -> NDArray[Any]:
    """As viewer/assets/data.js does it."""
    place = pack.places[name]
    blob = zlib.decompress(base64.b64decode(pack.text()))[place["at"] : place["at"] + place["bytes"]]
    raw = np.frombuffer(blob, np.uint8)
    if place["kind"] == "share8":
        return (raw / 255) ** 2
    size = {"uint8": 1, "uint16": 2, "scaled16": 2, "uint32": 4}[place["kind"]]
    whole = sum(raw.reshape(size, -1)[plane].astype(np.int64) << (8 * plane) for plane in range(size))
    return np.asarray(whole / 65535 * place["most"] if place["kind"] == "scaled16" else whole)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "uint32"])
def test_integers_come_back_as_they_were(kind: str) -> None:
    array = rng.integers(0, np.iinfo(kind).max, 77, dtype=kind, endpoint=True)
    pack = Pack()
    pack.integers("before", np.arange(3, dtype=np.uint8))  # so that it does not begin at 0
    pack.integers("array", array)
    assert unpacked(pack, "array").tolist() == array.tolist()
    assert pack.places["array"]["at"] % 4 == 0


def test_integers_of_another_kind_are_our_mistake() -> None:
    with pytest.raises(AssertionError):
        Pack().integers("array", np.arange(3))


def test_shares_are_finer_near_zero() -> None:
    array = np.concatenate([rng.random(1000), [0.0, 1.0, 1e-5, np.nan, 1.0000001]])
    pack = Pack()
    pack.shares("array", array)
    expected = np.clip(np.nan_to_num(array), 0, 1)
    off = np.abs(unpacked(pack, "array") - expected)
    assert (off <= (np.sqrt(expected) + 0.5 / 255) / 255).all()  # half a step of the root, squared
    assert off.max() <= 1 / 255
    assert unpacked(pack, "array")[-4] == 1


def test_numbers_are_within_half_a_step_of_the_largest() -> None:
    array = np.concatenate([9 * rng.random(1000), [0.0, np.nan, -1e-9]])
    pack = Pack()
    pack.numbers("array", array)
    off = np.abs(unpacked(pack, "array") - np.maximum(np.nan_to_num(array), 0))
    assert off.max() <= array[:-2].max() / 131070 * (1 + 1e-12)


def test_nothing_but_zeros_is_packed_too() -> None:
    pack = Pack()
    pack.numbers("array", np.zeros(5))
    assert unpacked(pack, "array").tolist() == [0] * 5


def test_lowest_bytes_come_first() -> None:
    assert planes(np.array([0x0102, 0x0304], np.uint16)) == bytes([2, 4, 1, 3])
