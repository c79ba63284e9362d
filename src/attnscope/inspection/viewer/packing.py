"""Pack arrays into the text of a page: quantised and compressed. viewer/assets/data.js unpacks them."""

import base64
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
ALIGNMENT = 4
STEPS_8_BITS = 255
STEPS_16_BITS = 65535


@dataclass(eq=False)
class Pack:
    """Arrays one after the other, and the place of each."""

    places: dict[str, dict[str, Any]] = field(default_factory=dict)
    parts: list[bytes] = field(default_factory=list)
    size: int = 0

    def integers(self, name: str, array: Array) -> None:
        """Add integers without loss: uint8, uint16 or uint32."""
        kind = array.dtype.name
        assert kind in ("uint8", "uint16", "uint32")
        self._add(name, kind, planes(array), {})

    def shares(self, name: str, array: Array) -> None:
        """Add numbers from 0 to 1 in 8 bits, finer near 0: round(255 sqrt(share)), each within 1/255."""
        steps = np.round(STEPS_8_BITS * np.sqrt(np.clip(np.nan_to_num(array), 0.0, 1.0)))
        self._add(name, "share8", steps.astype(np.uint8).tobytes(), {})

    def numbers(self, name: str, array: Array) -> None:
        """Add numbers >= 0 in 16 bits, within 1/131,070 of the largest."""
        found = np.maximum(np.nan_to_num(array, posinf=0.0), 0.0)
        most = float(found.max(initial=0.0)) or 1.0
        steps = np.round(STEPS_16_BITS * (found / most)).astype(np.uint16)
        self._add(name, "scaled16", planes(steps), {"most": most})

    def _add(self, name: str, kind: str, content: bytes, more: dict[str, Any]) -> None:
        self.places[name] = {"kind": kind, "at": self.size, "bytes": len(content), **more}
        padding = -len(content) % ALIGNMENT
        self.parts.append(content + bytes(padding))
        self.size += len(content) + padding

    def text(self) -> str:
        """All arrays, deflated, as base64."""
        return base64.b64encode(zlib.compress(b"".join(self.parts), 9)).decode()


def planes(array: Array) -> bytes:
    """All lowest bytes, then all second ones, ...: the higher bytes hardly change, so they compress well."""
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return little.reshape(-1).view(np.uint8).reshape(-1, array.itemsize).T.tobytes()
