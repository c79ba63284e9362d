"""The derivative of an answer's log probability in the weight on each key, for rows that follow a prefix."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from attnscope.interop.shared_prefix import Array, Continuation, Follower, SharedPrefix
from attnscope.interop.tensors import array_of, tensor_of, vectors_of
from attnscope.interop.torch_attention import Constants, differentiable
from attnscope.observation import attention_times_gradient


@dataclass(eq=False, kw_only=True)
class DifferentiatedFollower(Follower):
    """A follower of a single item whose calls torch records; each backward pass adds what keys contribute."""

    contributions: list[Array] = field(default_factory=list)  # one per call, (keys,): the sum over heads

    def differentiate(
        self, module: torch.nn.Module, constants: Constants, *inputs: torch.Tensor | None
    ) -> torch.Tensor:
        query, own_key, own_value, bias, sinks = inputs
        assert query is not None
        assert own_key is not None
        assert own_value is not None
        prefix = self.next_prefix(module)
        key = torch.cat([tensor_of(prefix.key), own_key], dim=2)
        value = torch.cat([tensor_of(prefix.value), own_value], dim=2)
        output = differentiable(constants, query, key, value, bias, sinks)
        arrays = (vectors_of(query), vectors_of(key), vectors_of(value), array_of(output))
        output.register_hook(partial(self._contribute, arrays, constants.options(bias, sinks)))
        return output

    def _contribute(self, arrays: tuple[Array, ...], options: dict[str, Any], gradient: torch.Tensor) -> None:
        """Add what each key contributes: sum_i w[i, j] g[i] . (v[j] - o[i]), as values with one dim more."""
        query, key, value, output = arrays
        outward = vectors_of(gradient)
        common = (outward * output).sum(axis=-1, keepdims=True)
        extended = np.concatenate([value, np.ones_like(value[..., :1])], axis=-1)
        found = attention_times_gradient(
            query, key, extended, np.concatenate([outward, -common], axis=-1), **options
        )
        self.contributions.append(found[0].sum(axis=0, dtype=np.float64))


def contributions_of_keys(
    prefix: SharedPrefix, held: int, rows: NDArray[np.int64], targets: NDArray[np.int64], parts: Array
) -> tuple[NDArray[np.float64], Any]:
    """Differentiate the log probability of each part of an answer in the weights on each key.

    `contribution[j] = sum_i w[i, j] g[i] . (v[j] - o[i])`, over rows i after the prefix, heads and layers,
    with g the gradient in the output o. It is the derivative in the log of key j's weight before the softmax
    divides: to first order, what the part loses if no row sees the key and the others share its weight.

    Parameters
    ----------
    prefix : SharedPrefix
        A model and the text that it has read.
    held : int
        The number of its tokens that the rows follow.
    rows : ndarray of int64, (rows,)
        Their tokens; the last ones predict the answer.
    targets : ndarray of int64, (answer,)
        The tokens of the answer.
    parts : ndarray of int64, (answer,)
        The part that each of them belongs to, from 0.

    Returns
    -------
    ndarray of float64, (parts, held + rows)
        The contributions, in nats.
    Tensor, (answer, vocabulary)
        The logits.

    Notes
    -----
    One forward pass over the rows, and one backward pass per part. Keys of the prefix are constants. Memory
    is O(rows + keys).
    """
    keys = held + len(rows)
    layers = prefix.begin(held, np.zeros((1, keys), np.bool_)).cache
    follower = DifferentiatedFollower(
        calls=prefix.calls, held_keys=held, hidden=np.zeros((1, keys), np.bool_)
    )
    found = np.zeros((int(parts.max()) + 1, keys))
    with embedding_recorded(prefix.model) as embedded:
        logits = Continuation(prefix.model, follower, layers).run_recorded(rows[None], len(targets))[0]
        chosen = torch.log_softmax(logits, dim=-1)[torch.arange(len(targets)), torch.from_numpy(targets)]
        for number in range(len(found)):
            follower.contributions.clear()
            part = chosen[torch.from_numpy(parts == number)].sum()
            torch.autograd.grad(part, embedded, retain_graph=number < len(found) - 1)
            found[number] = np.sum(follower.contributions, axis=0)
    return found, logits.detach()


@contextmanager
def embedding_recorded(model: Any) -> Iterator[list[torch.Tensor]]:
    """Let torch record what follows the embedding of the tokens, whose tensors the list receives."""
    embedded: list[torch.Tensor] = []

    def record(_: Any, __: Any, output: torch.Tensor) -> torch.Tensor:
        embedded.append(output.detach().requires_grad_())
        return embedded[-1]

    hook = model.get_input_embeddings().register_forward_hook(record)
    try:
        yield embedded
    finally:
        hook.remove()
