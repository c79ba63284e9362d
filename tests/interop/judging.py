"""Whether a model's logits are as exact as Transformers' own attention leaves them: judged by float64.

Transformers' eager attention is no such judge: several models' takes its softmax in float32, also in float64.
So the judge is a plain one, with the whole matrix, and the whole mask that Transformers makes.
"""

from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNITS = {"float32": 2.0**-24, "bfloat16": 2.0**-8, "float16": 2.0**-11}
UNIT = UNITS["float32"]


def assert_near(ours: Any, truth: Any, largest: float) -> None:
    """Two models' worth of float32: their own layers before this one rounded differently, too."""
    assert np.abs(ours - truth).max() <= 200 * UNIT * max(1.0, largest)


def logits(model: Any, implementation: str, **inputs: Any) -> NDArray[np.float64]:
    """What the model answers, with one implementation of attention."""
    import torch

    before = model.config._attn_implementation
    model.set_attn_implementation(implementation)
    assert model.config._attn_implementation == implementation
    with torch.inference_mode():
        answered: NDArray[np.float64] = model(**inputs)[0].double().numpy()
    model.set_attn_implementation(before)
    return answered


def plain_attention(  # noqa: PLR0913  # Transformers' names
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    *,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: Any = None,
    position_bias: Any = None,
    **_: Any,
) -> tuple[Any, None]:
    """Attention by its formula, on torch's tensors."""
    import torch

    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = query @ key.mT * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if position_bias is not None:
        scores = scores + position_bias
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attention_mask, -torch.inf)
    elif attention_mask is not None:
        scores = scores + attention_mask
    if s_aux is not None:
        sinks = s_aux.reshape(1, -1, 1, 1).expand(*scores.shape[:3], 1)
        scores = torch.cat([scores, sinks], dim=-1)
    weights = scores.softmax(-1)[..., : key.shape[2]].nan_to_num(0.0)  # a row that sees nothing is 0
    return (weights @ value).transpose(1, 2).contiguous(), None


def plain_mask(*args: Any, **options: Any) -> Any:
    """Transformers' own mask, whole."""
    from transformers.masking_utils import sdpa_mask

    never = {"allow_is_causal_skip": False, "allow_is_bidirectional_skip": False}
    return sdpa_mask(*args, **{**options, **never})


def exact(model: Any, **inputs: Any) -> NDArray[np.float64]:
    """The same weights in float64, and plain attention."""
    return plainly(in_float64(model), **inputs)


def plainly(model: Any, **inputs: Any) -> NDArray[np.float64]:
    """What the model answers with plain attention."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register("plain", plain_attention)
    AttentionMaskInterface.register("plain", plain_mask)
    return logits(model, "plain", **inputs)


def in_float64(model: Any) -> Any:
    """A copy; torch multiplies the experts of a mixture one by one there."""
    wide = deepcopy(model).double()
    wide.set_experts_implementation("eager")
    return wide


def assert_as_exact_as_eager(
    ours: NDArray[np.float64],
    eager: NDArray[np.float64],
    truth: NDArray[np.float64],
    number_format: str = "float32",
) -> None:
    """Our error is at most twice eager's in the same format, and one rounding of the largest logit.

    By the root mean square, as in tests/tolerance.py: the largest of a few thousand errors is an accident.
    """
    rounding = UNITS[number_format] * np.abs(truth).max()
    error, allowed = root_mean_square(ours - truth), 2 * root_mean_square(eager - truth) + rounding
    assert error <= allowed, (
        f"the error of the logits is {error:.3g}, eager's with a rounding allows {allowed:.3g}"
    )


def root_mean_square(errors: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(errors**2)))
