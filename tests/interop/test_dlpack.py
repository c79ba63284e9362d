"""at.attention() on tensors of torch and arrays of JAX: read and written in place."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import attnscope as at
from attnscope.problem import plain

torch = pytest.importorskip("torch")
jnp = pytest.importorskip("jax.numpy")

SIZES = ((4, 5, 16), (2, 9, 16), (2, 9, 8))


def drawn(dtype: Any) -> list[Any]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(size).astype(dtype) for size in SIZES]


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16", "float64"])
def test_tensors_of_torch_are_read_and_written_in_place(name: str) -> None:
    arrays = drawn(np.float32)
    tensors = [torch.from_numpy(array).to(getattr(torch, name)) for array in arrays]
    dtype = ml_dtypes.bfloat16 if name == "bfloat16" else np.dtype(name)
    expected = at.attention(*(array.astype(dtype) for array in arrays), mask=at.Causal())
    assert plain(tensors[0], "query").ctypes.data == tensors[0].data_ptr()
    out = torch.zeros(4, 5, 8, dtype=tensors[0].dtype)
    assert at.attention(*tensors, mask=at.Causal(), out=out) is out
    assert plain(out, "out").tobytes() == expected.tobytes()


def test_a_mask_and_a_bias_of_torch_are_read() -> None:
    arrays = drawn(np.float32)
    visible, bias = np.tri(5, 9, dtype=bool), np.ones((5, 9), np.float32)
    found = at.attention(*arrays, mask=torch.from_numpy(visible), bias=torch.from_numpy(bias))
    assert np.array_equal(found, at.attention(*arrays, mask=visible, bias=bias))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda tensor: tensor.requires_grad_(), r"requires? grad.*attnscope\.interop\.torch"),
        (lambda tensor: tensor.to("meta"), "meta"),
        (lambda tensor: tensor.to_sparse(), "strided"),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_tensor_that_cannot_be_shared_is_refused_with_torch_s_reason(
    spoil: Any, reason: str, dtype: str
) -> None:
    query, key, value = (torch.ones(size, dtype=getattr(torch, dtype)) for size in SIZES)
    with pytest.raises(
        at.AttentionFormatError, match=f"query is a torch.Tensor that cannot be read .*{reason}"
    ):
        at.attention(spoil(query), key, value)


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_arrays_of_jax_are_read_in_place_and_not_written(name: str) -> None:
    arrays: list[Any] = [jnp.asarray(array, dtype=name) for array in drawn(np.float32)]
    assert plain(arrays[0], "query").ctypes.data == arrays[0].unsafe_buffer_pointer()
    expected = at.attention(*(np.asarray(array) for array in arrays))
    assert at.attention(*arrays).tobytes() == expected.tobytes()
    with pytest.raises(at.AttentionFormatError, match="out is read-only"):
        at.attention(*arrays, out=jnp.zeros((4, 5, 8), name))
