"""attention() on torch's tensors: output and gradients equal those of the arrays, and torch's tools work."""

from typing import Any

import numpy as np
import pytest

import attnscope as at

torch = pytest.importorskip("torch", reason="needs torch: make test-models")

from attnscope.interop.tensors import array_of, tensor_of  # noqa: E402
from attnscope.interop.torch import attention  # noqa: E402

DTYPES = ["float32", "bfloat16", "float16", "float64"]


def tensors(dtype: Any = None, **shapes: Any) -> list[Any]:
    """query, key and value that require a gradient: 4 query heads on 2, 70 tokens, value_dim != key_dim."""
    torch.manual_seed(0)
    sizes = {"query": (2, 4, 70, 16), "key": (2, 2, 70, 16), "value": (2, 2, 70, 24)} | shapes
    made = [torch.randn(shape).to(dtype or torch.float32) for shape in sizes.values()]
    return [each.requires_grad_() for each in made]


def grads(output: Any, grad_output: Any, *inputs: Any) -> list[Any]:
    return list(torch.autograd.grad(output, inputs, grad_output))


@pytest.mark.parametrize("dtype", DTYPES)
def test_output_and_gradients_have_the_bits_of_the_arrays(dtype: str) -> None:
    inputs = tensors(getattr(torch, dtype))
    output = attention(*inputs, mask=at.Causal(), softcap=3.0)
    grad_output = torch.randn_like(output)
    found = grads(output, grad_output, *inputs)
    arrays = [array_of(each) for each in inputs]
    part = at.partial_attention(*arrays, mask=at.Causal(), softcap=3.0)
    expected = at.attention(*arrays, mask=at.Causal(), softcap=3.0)
    assert array_of(output).tobytes() == expected.tobytes()
    query, key, value = arrays
    right = at.attention_gradients(
        query,
        key,
        value,
        array_of(grad_output),
        mask=at.Causal(),
        softcap=3.0,
        output=expected,
        logsumexp=part.logsumexp,
    )
    for name, gradient in zip(("query", "key", "value"), found, strict=True):
        assert array_of(gradient).tobytes() == getattr(right, name).tobytes(), name
        assert gradient.dtype == getattr(torch, dtype)


def test_gradcheck_in_float64() -> None:
    shapes = {"query": (1, 4, 3, 3), "key": (1, 2, 5, 3), "value": (1, 2, 5, 2)}
    inputs = tensors(torch.float64, **shapes)
    sinks = torch.randn(4, dtype=torch.float64, requires_grad=True)
    bias = torch.randn((3, 5), dtype=torch.float64, requires_grad=True)

    def of(query: Any, key: Any, value: Any, sinks: Any, bias: Any) -> Any:
        return attention(query, key, value, sinks=sinks, bias=bias, mask=at.Causal(), softcap=2.0)

    assert torch.autograd.gradcheck(of, (*inputs, sinks, bias))


def test_a_sum_can_be_differentiated() -> None:
    """Its gradient is one number that is expanded over all entries: a last axis without a stride."""
    inputs = tensors()
    attention(*inputs, mask=at.Causal()).sum().backward()
    ones = torch.ones((2, 4, 70, 24))
    expected = grads(attention(*inputs, mask=at.Causal()), ones, *inputs)
    for given, right in zip(inputs, expected, strict=True):
        assert torch.equal(given.grad, right)


def test_tensors_are_read_and_gradients_written_in_their_own_order_of_axes() -> None:
    query, key, value = (each.detach().transpose(1, 2).contiguous() for each in tensors())
    inputs = [each.requires_grad_() for each in (query, key, value)]
    output = attention(*(each.transpose(1, 2) for each in inputs))
    assert output.transpose(1, 2).is_contiguous()
    moved = [each.detach().transpose(1, 2).requires_grad_() for each in inputs]
    for gradient, given in zip(grads(attention(*moved), torch.ones_like(output), *moved), moved, strict=True):
        assert gradient.stride() == given.stride()


def test_only_what_requires_a_gradient_gets_one() -> None:
    query, key, value = tensors()
    output = attention(query, key.detach(), value.detach())
    (gradient,) = torch.autograd.grad(output.sum(), [query])
    assert gradient.shape == query.shape
    assert not attention(query.detach(), key.detach(), value.detach()).requires_grad


def test_bias_and_sinks_have_gradients_in_their_own_format() -> None:
    query, key, value = tensors(torch.bfloat16)
    bias = torch.randn((4, 1, 70)).to(torch.bfloat16).requires_grad_()
    sinks = torch.randn(4).to(torch.float32).requires_grad_()
    output = attention(query, key, value, bias=bias, sinks=sinks)
    of_bias, of_sinks = grads(output, torch.ones_like(output), bias, sinks)
    assert (of_bias.dtype, of_bias.shape) == (torch.bfloat16, bias.shape)
    assert (of_sinks.dtype, of_sinks.shape) == (torch.float32, sinks.shape)


def test_a_bool_tensor_is_a_mask() -> None:
    query, key, value = tensors()
    visible = torch.ones((70, 70), dtype=torch.bool).tril()
    expected = attention(query, key, value, mask=at.Causal())
    assert torch.equal(attention(query, key, value, mask=visible), expected)


def test_a_checkpoint_gives_the_same_bits() -> None:
    from torch.utils.checkpoint import checkpoint

    inputs = tensors()
    grad_output = torch.randn((2, 4, 70, 24))
    direct = grads(attention(*inputs, mask=at.Causal()), grad_output, *inputs)
    output = checkpoint(lambda *given: attention(*given, mask=at.Causal()), *inputs, use_reentrant=False)
    for one, other in zip(grads(output, grad_output, *inputs), direct, strict=True):
        assert torch.equal(one, other)


def test_the_number_of_torch_s_threads_changes_no_bit() -> None:
    inputs, before = tensors(), torch.get_num_threads()
    grad_output, found = torch.randn((2, 4, 70, 24)), []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        found.append(grads(attention(*inputs, mask=at.Causal()), grad_output, *inputs))
    torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_a_changed_input_is_noticed() -> None:
    query, key, value = tensors()
    output = attention(query, key, value)
    with torch.no_grad():
        key.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


def test_a_second_derivative_is_refused() -> None:
    query, key, value = tensors()
    (gradient,) = torch.autograd.grad(attention(query, key, value).sum(), [query], create_graph=True)
    with pytest.raises(
        at.UnsupportedProblemError, match=r"differentiated twice, expected once.*create_graph"
    ):
        gradient.sum().backward()


def test_what_inference_mode_does_not_record_is_refused() -> None:
    query, key, value = tensors()
    with (
        torch.inference_mode(),
        pytest.raises(at.AttentionError, match=r"query requires a gradient, and torch\.inf"),
    ):
        attention(query, key, value)
    with torch.inference_mode():
        made = torch.ones((2, 2, 70, 16))
        attention(made.repeat(1, 2, 1, 1), made, made)
    with pytest.raises(at.AttentionError, match=r"key was made under torch\.inference_mode\(\).*key\.clone"):
        attention(query, made, value)


@pytest.mark.parametrize(("name", "shape"), [("bias", (70, 70)), ("sinks", (4,))])
def test_inference_mode_and_gradients_of_a_bias_or_sinks_are_refused_by_name(
    name: str, shape: tuple[int, ...]
) -> None:
    query, key, value = tensors()
    learned = torch.zeros(shape, requires_grad=True)
    with torch.inference_mode():
        made = torch.zeros(shape)
        with pytest.raises(at.AttentionError, match=rf"{name} requires a gradient, and torch\.inf"):
            attention(query.detach(), key.detach(), value.detach(), **{name: learned})
    with pytest.raises(at.AttentionError, match=rf"{name} was made under torch\.inference_mode\(\)"):
        attention(query, key, value, **{name: made})


def test_a_tensor_on_another_device_is_refused() -> None:
    query, key, value = tensors()
    with pytest.raises(at.AttentionFormatError, match=r"a tensor is on meta.*model\.to\('cpu'\)"):
        attention(query, key.to("meta"), value)


def test_an_integer_tensor_is_refused() -> None:
    query, key, value = tensors()
    with pytest.raises(at.AttentionFormatError, match="value is int64, expected float32"):
        attention(query, key, value.detach().long())


def test_slopes_that_require_a_gradient_are_refused() -> None:
    slopes = torch.ones(4, requires_grad=True)
    with pytest.raises(at.UnsupportedProblemError, match=r"alibi_slopes requires a gradient.*detach"):
        attention(*tensors(), alibi_slopes=slopes)
    assert attention(*tensors(), alibi_slopes=slopes.detach()).shape == (2, 4, 70, 24)


def test_a_mask_of_another_batch_is_refused() -> None:
    with pytest.raises(at.AttentionMaskError, match="3"):
        attention(*tensors(), mask=at.KeyLengths([1, 2, 3]))


@pytest.mark.parametrize("rank", [2, 3])
def test_tensors_may_lack_leading_axes(rank: int) -> None:
    query, key, value = (each.detach()[(0,) * (4 - rank)].requires_grad_() for each in tensors())
    if rank == 3:
        key, value = key[:2], value[:2]
    output = attention(query, key, value)
    assert output.shape == (*query.shape[:-1], value.shape[-1])
    for gradient, given in zip(
        torch.autograd.grad(output.sum(), [query, key, value]), (query, key, value), strict=True
    ):
        assert gradient.shape == given.shape


def audited(
    *arrays: Any, grad_output: Any = None, causal: bool = False, mask: Any = None, **options: Any
) -> Any:
    """The function on arrays, as an audit calls it; with an incoming gradient, its gradients."""
    given = [tensor_of(each.copy()).requires_grad_(grad_output is not None) for each in arrays]
    seen: at.Mask | None = None if mask is None else at.Dense(mask)
    if causal:
        seen = at.Causal() if seen is None else at.Causal() & seen
    scoring = {
        name: tensor_of(each) if isinstance(each, np.ndarray) else each for name, each in options.items()
    }
    output = attention(*given, mask=seen, **scoring)
    if grad_output is None:
        return array_of(output)
    incoming = tensor_of(grad_output.astype(arrays[0].dtype))
    return [array_of(each) for each in grads(output, incoming, *given)]


def test_an_audit_of_the_function_and_its_gradients_finds_nothing() -> None:
    def gradients(query: Any, key: Any, value: Any, grad_output: Any, **options: Any) -> Any:
        return audited(query, key, value, grad_output=grad_output, **options)

    contract = at.audit.Contract(
        causal=True,
        mask=True,
        bias=True,
        grouped_heads=True,
        scale=True,
        softcap=True,
        sinks=True,
        dtypes=("float32", "bfloat16", "float16"),
        gradients=gradients,
    )
    report = at.audit.attention(audited, contract)
    assert not report.findings, str(report)


def test_gradients_keep_nothing_of_the_size_of_the_matrix() -> None:
    """What the backward pass keeps: five tensors of rows, and one number per row."""
    inputs = tensors()
    kept: list[Any] = []

    def pack(tensor: Any) -> Any:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        attention(*inputs, mask=at.Causal())
    sizes = sorted(np.prod(each.shape) for each in kept)
    assert sizes[-1] == 2 * 4 * 70 * 24
    assert len(kept) == 5
