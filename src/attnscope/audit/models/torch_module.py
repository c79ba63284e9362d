"""A torch module as a model under audit. torch is imported when one is made."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from inspect import Parameter, signature
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.audit.contract import ContractError
from attnscope.audit.models.claims import Limits, ModelClaims
from attnscope.audit.models.subject import Subject
from attnscope.audit.report import Progress, Report
from attnscope.audit.suspect import Watch

OUTPUTS = ("logits", "last_hidden_state", "prediction_logits")
OF_HALF = "16-bit rounding: the model was audited in float32"
Forward = Callable[..., Any]


def torch_module(
    module: Any,
    *,
    vocab_size: int,
    seed: int = 0,
    seconds: float = 240.0,
    progress: Progress | None = None,
    watch: Watch | None = None,
    **claims: Any,
) -> Report:
    """Audit a torch module as `attnscope.audit.model` does, and name the first layer that leaks.

    The module is put into eval mode during the audit.

    Parameters
    ----------
    module : torch.nn.Module
        Called as `module(token_ids, attention_mask[, documents])` with tensors of int64, (batch, tokens). A
        module that takes token_ids alone is called with these, and then no padding can be declared. It
        returns logits, a tuple whose first entry is the logits, or an object with an attribute `logits`.
    vocab_size : int
        Token ids are drawn from 0 to vocab_size - 1.
    seed : int
        Determines every question.
    seconds : float
        Time limit of the audit, in seconds.
    progress : callable, optional
        Called with the completed share and the name of the next step.
    watch : callable, optional
        Called with the description of each call before it is made.
    **claims
        Further claims, as `attnscope.audit.model` takes them: causal, pad_id, padding, documents, window,
        prefix, decode, layers, ...

    Returns
    -------
    Report
        Findings, checks that passed, and what was not covered.

    Raises
    ------
    ImportError
        If torch is not installed.
    ContractError
        If a claim cannot be checked.
    """
    unknown = sorted(set(claims) - set(ModelClaims.__dataclass_fields__))
    if unknown:
        raise ContractError(
            f"{unknown[0]} is not a claim. Use some of {', '.join(ModelClaims.__dataclass_fields__)}."
        )
    takes, claimed = takes_arguments(module), ModelClaims(vocab_size, **claims)
    if takes < 2 and claimed.padding is not None:
        raise ContractError(
            f"padding={claimed.padding!r}: {type(module).__name__}.forward takes no attention mask."
        )

    def forward(module: Any, *given: Any) -> Any:
        return module(*given[:takes])

    return audit_module(
        module, forward, claimed, Limits(seed, seconds, progress, watch=watch), features=vocab_size
    )


def takes_arguments(module: Any) -> int:
    """The number of arguments of a module's forward, out of token_ids, attention_mask and documents."""
    if not callable(getattr(module, "forward", None)):
        raise ContractError(f"module={type(module).__name__}: expected a torch module.")
    places = [each.kind for each in signature(module.forward).parameters.values()]
    if Parameter.VAR_POSITIONAL in places:
        return 3
    return min(
        3, sum(kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD) for kind in places)
    )


def audit_module(
    module: Any,
    forward: Forward,
    claims: ModelClaims,
    limits: Limits,
    features: int | None,
    first_window: int | None = None,
) -> Report:
    """The audit of a module that `forward` calls."""
    from attnscope.audit.models.audited import audited

    own, halved = (module, False) if claims.decode is not None else in_float32(module)
    if halved:
        limits = replace(limits, not_covered=(*limits.not_covered, OF_HALF))
    asked = TorchModel(own, forward)
    subject = Subject(
        asked,
        claims,
        60.0,
        monotonic() + limits.seconds,
        hidden=asked.hidden,
        features=features,
        first_window=first_window,
        watch=limits.watch,
    )
    with evaluated(own):
        return audited(subject, limits, type(module).__name__)


@dataclass(frozen=True)
class TorchModel:
    """A module on NumPy arrays."""

    module: Any
    forward: Forward

    def __call__(self, *arrays: NDArray[Any] | None) -> NDArray[Any]:
        return to_numpy(first_tensor(self.returned(*arrays)))

    def returned(self, *arrays: NDArray[Any] | None) -> Any:
        import torch

        with torch.no_grad():
            return self.forward(self.module, *map(to_torch, arrays))

    def hidden(self, *arrays: NDArray[Any] | None) -> list[tuple[str, NDArray[np.float64]]]:
        """Each layer's name and output, in the order in which they are computed."""
        found: list[tuple[str, NDArray[np.float64]]] = []

        def keep(name: str) -> Callable[[Any, Any, Any], None]:
            return lambda module, given, output: found.append((
                name,
                to_numpy(first_tensor(output)).astype(np.float64),
            ))

        handles = [layer.register_forward_hook(keep(name)) for name, layer in layers_of(self.module)]
        try:
            self.returned(*arrays)
        finally:
            for handle in handles:
                handle.remove()
        return found


def layers_of(module: Any) -> list[tuple[str, Any]]:
    """The modules of the longest list whose members are of one kind: a transformer's layers."""
    import torch

    lists = [
        (name, each)
        for name, each in module.named_modules()
        if isinstance(each, torch.nn.ModuleList | torch.nn.Sequential)
        and len({type(layer) for layer in each}) == 1
    ]
    if not lists:
        return []
    name, layers = max(lists, key=lambda found: len(found[1]))
    return [(f"{name}.{number}" if name else str(number), layer) for number, layer in enumerate(layers)]


def first_tensor(returned: Any) -> Any:
    """The logits, or hidden states, of whatever a module returns."""
    for name in OUTPUTS:
        found = returned.get(name) if isinstance(returned, dict) else getattr(returned, name, None)
        if found is not None:
            return found
    return returned[0] if isinstance(returned, tuple | list) and returned else returned


def to_torch(array: NDArray[Any] | None) -> Any:
    import torch

    return None if array is None else torch.from_numpy(np.ascontiguousarray(array))


def to_numpy(tensor: Any) -> NDArray[Any]:
    import torch

    if not isinstance(tensor, torch.Tensor):
        return tensor  # type: ignore[no-any-return]  # the audit reports it
    tensor = tensor.detach().cpu()
    if tensor.dtype in (torch.bfloat16, torch.float16):
        tensor = tensor.float()
    array: NDArray[Any] = tensor.numpy()
    return array


def in_float32(module: Any) -> tuple[Any, bool]:
    """The module, or a copy in float32 if it computes in 16 bits, whose rounding would hide small leaks."""
    import torch

    half = any(each.dtype in (torch.bfloat16, torch.float16) for each in module.parameters())
    return (deepcopy(module).float(), True) if half else (module, False)


@contextmanager
def evaluated(module: Any) -> Iterator[None]:
    """Put a module into eval mode, and restore the mode of each of its parts afterwards."""
    training = [each for each in module.modules() if each.training]
    module.eval()
    try:
        yield
    finally:
        for each in training:
            each.training = True
