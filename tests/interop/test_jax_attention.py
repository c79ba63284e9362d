"""attention() in JAX programs: the bits of the arrays, forwards and backwards."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import attnscope as at

jax = pytest.importorskip("jax", reason="needs JAX: make test-models")

from attnscope.interop.jax import attention  # noqa: E402


def arrays(dtype: Any = np.float32, tokens: int = 70) -> list[Any]:
    """query, key and value: 4 query heads on 2, value_dim != key_dim."""
    rng = np.random.default_rng(0)
    shapes = ((2, 4, tokens, 16), (2, 2, tokens, 16), (2, 2, tokens, 24))
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def loss(query: Any, key: Any, value: Any, sinks: Any = None) -> Any:
    return (attention(query, key, value, mask=at.Causal(), softcap=3.0, sinks=sinks) ** 2).sum()


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("tokens", [70, 1024])
def test_output_and_gradients_have_the_bits_of_the_arrays(compiled: bool, tokens: int) -> None:
    query, key, value = arrays(tokens=tokens)
    sinks = np.array([0.5, 0.0, -1.0, 2.0], np.float32)
    differentiated = jax.value_and_grad(loss, argnums=(0, 1, 2, 3))
    _, found = (jax.jit(differentiated) if compiled else differentiated)(query, key, value, sinks)
    options: Any = {"mask": at.Causal(), "softcap": 3.0, "sinks": sinks}
    output = at.attention(query, key, value, **options)
    part = at.partial_attention(query, key, value, **options)
    expected = at.attention_gradients(
        query, key, value, 2 * output, output=output, logsumexp=part.logsumexp, **options
    )
    for gradient, name in zip(found, ("query", "key", "value", "sinks"), strict=True):
        assert np.asarray(gradient).tobytes() == getattr(expected, name).tobytes(), name


def test_bfloat16_stays_bfloat16_with_the_bits_of_the_arrays() -> None:
    query, key, value = arrays(ml_dtypes.bfloat16)
    gradient = jax.grad(lambda *given: attention(*given).astype(np.float32).sum(), argnums=1)(
        *map(jax.numpy.asarray, (query, key, value))
    )
    output, part = at.attention(query, key, value), at.partial_attention(query, key, value)
    expected = at.attention_gradients(
        query, key, value, np.ones_like(output), output=output, logsumexp=part.logsumexp
    )
    assert gradient.dtype == jax.numpy.bfloat16
    assert np.asarray(gradient).tobytes() == expected.key.tobytes()


def test_vmap_calls_once_per_item() -> None:
    query, key, value = arrays()
    mapped = jax.vmap(attention)(query, key, value)
    assert np.asarray(mapped).tobytes() == at.attention(query, key, value).tobytes()


def test_a_bias_has_a_gradient() -> None:
    query, key, value = arrays()
    bias = np.random.default_rng(1).standard_normal((4, 1, 70)).astype(np.float32)
    gradient = jax.grad(lambda bias: attention(query, key, value, bias=bias).sum())(bias)
    expected = at.attention_gradients(query, key, value, np.ones((2, 4, 70, 24), np.float32), bias=bias).bias
    assert expected is not None
    assert np.asarray(gradient).tobytes() == expected.tobytes()


def test_what_attention_refuses_is_named() -> None:
    query, key, value = arrays()
    with pytest.raises(Exception, match="value has 2 heads x 69 tokens"):
        attention(query, key, value[:, :, 1:])
