"""Mistakes about which key is the future."""

from typing import Any

import numpy as np

from attnscope.audit import Contract
from tests.audit.plain import Asked, Plain
from tests.audit.planted.registry import planting

planted = planting(
    Contract(causal=True, key_mask=True, mask=True, grouped_heads=True, softcap=True, bias=True, sinks=True)
)


@planted("dependence", "leak")
class CausalIgnored(Plain):
    def causal(self, asked: Asked) -> Any:
        return np.True_


@planted("dependence", "leak")
class CausalDroppedBesideAMask(Plain):
    """keras#23040."""

    def causal(self, asked: Asked) -> Any:
        return np.True_ if asked.mask is not None else super().causal(asked)


@planted("dependence", "leak")
class CausalDroppedBesideAKeyMask(Plain):
    """unsloth-zoo#963: a padding mask replaces causality."""

    def causal(self, asked: Asked) -> Any:
        return np.True_ if asked.key_mask is not None else super().causal(asked)


@planted("dependence", "leak")
class CausalOnlyBesideAMask(Plain):
    """xformers#103."""

    def causal(self, asked: Asked) -> Any:
        return super().causal(asked) if asked.mask is not None or asked.key_mask is not None else np.True_


@planted("dependence", "leak")
class CausalDroppedBesideSinks(Plain):
    def causal(self, asked: Asked) -> Any:
        return np.True_ if asked.sinks is not None else super().causal(asked)


@planted("dependence", "leak")
class CausalDroppedBesideASoftcapAndABias(Plain):
    """Lost only where three options meet."""

    def causal(self, asked: Asked) -> Any:
        lost = asked.softcap is not None and asked.bias is not None
        return np.True_ if lost else super().causal(asked)


@planted("dependence", "leak")
class CausalDroppedForGroupedHeads(Plain):
    def causal(self, asked: Asked) -> Any:
        return np.True_ if asked.group > 1 else super().causal(asked)


@planted("dependence", "leak")
class CausalOneKeyTooMany(Plain):
    """GPT-SoVITS#965."""

    def causal(self, asked: Asked) -> Any:
        return asked.keys <= asked.positions + 1


@planted("dependence")
class CausalHidesItsOwnKey(Plain):
    def causal(self, asked: Asked) -> Any:
        return (asked.keys < asked.positions) | ((asked.positions == 0) & (asked.keys == 0))


@planted("dependence", "leak")
class CausalLostPastABlock(Plain):
    """tt-metal#48899: rows see later rows of their own chunk once 64 keys lie before them."""

    def causal(self, asked: Asked) -> Any:
        shown = super().causal(asked)
        if asked.offset >= 64:
            shown = shown | (asked.keys // 64 == asked.positions // 64)
        return shown


@planted("dependence", "leak")
class CausalLostPast128Keys(Plain):
    def causal(self, asked: Asked) -> Any:
        return super().causal(asked) | (asked.keys >= 128)


@planted("dependence", "leak")
class CausalLostInTheLastBatchItem(Plain):
    def causal(self, asked: Asked) -> Any:
        last = np.arange(len(asked.query)) == len(asked.query) - 1
        return super().causal(asked) | (last & (len(asked.query) > 1))[:, None, None, None]


@planted("dependence", "leak")
class CausalLostInHeadOne(Plain):
    def causal(self, asked: Asked) -> Any:
        return super().causal(asked) | (np.arange(asked.query.shape[1]) == 1)[:, None, None]


@planted("alignment")
class CausalAlignedToTheStart(Plain):
    """pytorch#103082, LLMs-from-scratch#697."""

    def causal(self, asked: Asked) -> Any:
        return asked.keys <= np.arange(asked.query.shape[2])[:, None]


@planted("alignment", "leak", alignment="start")
class CausalAlignedToTheEndAgainstItsContract(Plain):
    """The contract states that query 0 has the position of key 0."""


@planted("dependence", "wrong")
class CausalAlwaysOn(Plain):
    """transformers#36150: is_causal=False has no effect."""

    def visible(self, asked: Asked) -> Any:
        return super().visible(asked) & super().causal(asked)


@planted("dependence", "leak")
class CausalLostForOneQuery(Plain):
    """A branch for decode that believes there is no future; with more keys appended there is."""

    def causal(self, asked: Asked) -> Any:
        return np.True_ if asked.query.shape[2] > asked.key.shape[2] else super().causal(asked)
