"""An array of another library, as far as DLPack is concerned."""

from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from attnscope.problem.dlpack import BFLOAT, READ_ONLY, _get_pointer, _Tensor, _Versioned


class Exported:
    """A NumPy array behind __dlpack__ alone."""

    def __init__(self, array: NDArray[Any], *, device: int = 1) -> None:
        self.array, self.device = array, device

    @property
    def dtype(self) -> Any:
        return f"library.{self.array.dtype}"

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device, 0

    def __dlpack__(self, **options: Any) -> Any:
        if self.array.dtype != ml_dtypes.bfloat16:
            return self.array.__dlpack__(**options)
        return as_bfloat16(self.array.view(np.uint16), **options)


def as_bfloat16(bits: NDArray[np.uint16], **options: Any) -> Any:
    """A capsule of uint16 under another type code, since NumPy cannot export bfloat16."""
    if not bits.flags.writeable:
        capsule = as_bfloat16(bits.copy(), **options)
        _Versioned.from_address(_get_pointer(capsule, b"dltensor_versioned")).flags |= READ_ONLY
        return capsule
    capsule = bits.__dlpack__(**options)
    name, offset = (b"dltensor_versioned", _Versioned.tensor.offset) if options else (b"dltensor", 0)
    _Tensor.from_address(_get_pointer(capsule, name) + offset).code = BFLOAT[0]
    return capsule


class ExportedWithoutVersion(Exported):
    """Of a library that knows DLPack as it was before 1.0."""

    def __dlpack__(self, **options: Any) -> Any:
        if options:
            raise TypeError("__dlpack__() takes no keyword arguments")
        return super().__dlpack__()
