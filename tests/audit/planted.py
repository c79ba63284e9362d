"""Real mistakes, each planted in the correct implementation by overriding one step, with the check that must find it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from attnscope.audit import Contract
from tests.audit.plain import EVERYTHING, Asked, Plain


@dataclass(frozen=True)
class Planted:
    """A mistake, what it breaks, and how bad that is."""

    make: Callable[[], Callable[..., Any]]
    check: str
    severity: str
    contract: Contract = EVERYTHING


PLANTED: dict[str, Planted] = {}


def planted(check: str, severity: str = "wrong", contract: Contract = EVERYTHING, **claims: Any) -> Callable[[type], type]:
    """Register a mutant under its class's name."""

    def register(mutant: type) -> type:
        PLANTED[mutant.__name__] = Planted(mutant, check, severity, replace(contract, **claims))
        return mutant

    return register


# Causality


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


@planted("alignment", "leak", Contract(causal=True, key_mask=True, mask=True, alignment="start"))
class CausalAlignedToTheEndAgainstItsContract(Plain):
    """The other way round: the contract says that the first query meets the first key."""


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


# Padding and other masks


@planted("dependence", "leak")
class KeyMaskIgnored(Plain):
    """pytorch#122753."""

    def key_mask(self, asked: Asked) -> Any:
        return np.True_


@planted("dependence", "leak")
class KeyMaskIgnoredWhenCausal(Plain):
    """pytorch#187413."""

    def key_mask(self, asked: Asked) -> Any:
        return np.True_ if asked.causal else super().key_mask(asked)


@planted("dependence", "leak")
class KeyMaskInverted(Plain):
    def key_mask(self, asked: Asked) -> Any:
        return ~super().key_mask(asked)


@planted("dependence", "leak")
class KeyMaskAlongTheQueries(Plain):
    """hyunwoongko/transformer#40."""

    def key_mask(self, asked: Asked) -> Any:
        square = asked.query.shape[2] == asked.key.shape[2]
        return asked.key_mask[:, None, :, None] if square else super().key_mask(asked)


@planted("dependence", "leak")
class KeyMaskOfItemZero(Plain):
    """SimpleTuner#1502."""

    def key_mask(self, asked: Asked) -> Any:
        return super().key_mask(asked)[:1]


@planted("dependence", "leak")
class KeyMaskThroughAFlatBuffer(Plain):
    """onnxruntime-genai#1639."""

    def key_mask(self, asked: Asked) -> Any:
        mask = asked.key_mask
        filled = np.arange(mask.size) < mask.sum()
        return filled.reshape(mask.shape)[:, None, None, :]


@planted("dependence", "leak")
class KeyMaskAsALength(Plain):
    def key_mask(self, asked: Asked) -> Any:
        return (asked.keys < asked.key_mask.sum(axis=1)[:, None])[:, None, None, :]


@planted("dependence", "leak")
class KeyMaskOneKeyTooMany(Plain):
    def key_mask(self, asked: Asked) -> Any:
        shown = asked.key_mask
        return (shown | np.roll(shown, 1, axis=1))[:, None, None, :]


@planted("dependence")
class KeyMaskHidesRowsAsWell(Plain):
    """pytorch#63271. Padded rows become NaN although they have keys to see."""

    def visible(self, asked: Asked) -> Any:
        visible = super().visible(asked)
        if asked.key_mask is not None and asked.query.shape[2] == asked.key.shape[2]:
            visible = visible & asked.key_mask[:, None, :, None]
        return visible


@planted("dependence", "leak")
class MaskIgnoredAfterHeadZero(Plain):
    def mask(self, asked: Asked) -> Any:
        return asked.mask | (np.arange(asked.query.shape[1]) > 0)[:, None, None]


@planted("dependence", "leak")
class MaskOfHeadZero(Plain):
    def mask(self, asked: Asked) -> Any:
        return asked.mask[:, :1]


@planted("dependence", "leak")
class MaskTransposed(Plain):
    def mask(self, asked: Asked) -> Any:
        square = asked.query.shape[2] == asked.key.shape[2]
        return asked.mask.swapaxes(2, 3) if square else asked.mask


@planted("dependence", "leak")
class MasksJoinedByOr(Plain):
    """transformers#30993."""

    def visible(self, asked: Asked) -> Any:
        visible = super().visible(asked)
        return visible | super().mask(asked) if asked.mask is not None else visible


@planted("dependence", "leak")
class MaskAddedAsZeroAndOne(Plain):
    """mlx-vlm#704."""

    def hide(self, asked: Asked, scores: Any, visible: Any) -> Any:
        return scores + visible.astype(scores.dtype)

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        return weights @ value


@planted("dependence", "leak")
class MaskAfterSoftmax(Plain):
    """pytorch-image-models#2236."""

    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        weights, logs = super().softmax(asked, scores, visible)
        return np.where(visible, weights, 0), logs

    def hide(self, asked: Asked, scores: Any, visible: Any) -> Any:
        return scores


@planted("dependence", "leak")
class HiddenScoresAreMinusTen(Plain):
    def hide(self, asked: Asked, scores: Any, visible: Any) -> Any:
        return np.where(visible, scores, scores.dtype.type(-10))

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        return weights @ value


@planted("dependence", "leak")
class HiddenScoresAreMinusTenThousand(Plain):
    """transformer#40: a fill of -10000."""

    def hide(self, asked: Asked, scores: Any, visible: Any) -> Any:
        return np.where(visible, scores, scores.dtype.type(-1e4))

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        return weights @ value


@planted("dependence", "leak")
class MinusABillionIsAdded(Plain):
    def hide(self, asked: Asked, scores: Any, visible: Any) -> Any:
        return scores + np.where(visible, scores.dtype.type(0), scores.dtype.type(-1e9))

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        return weights @ value


@planted("empty rows", "leak")
class HiddenScoresAreTheSmallestNumber(Plain):
    """Rows that see nothing average what is hidden: mlx#2395, onnxruntime#28904."""

    def hide(self, asked: Asked, scores: Any, visible: Any) -> Any:
        return np.where(visible, scores, np.finfo(scores.dtype).min)

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        return weights @ value


@planted("poison", "leak")
class NanFromAHiddenValue(Plain):
    """pytorch#101967, vllm#39444."""

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        return weights @ value


@planted("poison", "leak")
class NanFromAHiddenKey(Plain):
    def hide(self, asked: Asked, scores: Any, visible: Any) -> Any:
        return scores + np.where(visible, scores.dtype.type(0), scores.dtype.type(-np.inf))


@planted("mutation")
class MaskChangedInPlace(Plain):
    """RibonanzaNet#7."""

    def key_mask(self, asked: Asked) -> Any:
        shown = asked.key_mask.copy()
        asked.key_mask[:, -1] = False
        return shown[:, None, None, :]


@planted("mutation")
class QueryScaledInPlace(Plain):
    def dots(self, asked: Asked, query: Any, key: Any) -> Any:
        scores = super().dots(asked, query, key)
        asked.query *= asked.query.dtype.type(self.scale(asked))
        return scores


# Windows


@planted("window", "leak")
class WindowOneTooWide(Plain):
    """transformers#39408."""

    def window(self, asked: Asked) -> Any:
        left, right = asked.window
        return super().window(replace(asked, window=(left + 1, right)))


@planted("window")
class WindowOneTooNarrow(Plain):
    def window(self, asked: Asked) -> Any:
        left, right = asked.window
        return super().window(replace(asked, window=(left - 1, right)))


@planted("window", "leak")
class WindowOneTooWideToTheRight(Plain):
    def window(self, asked: Asked) -> Any:
        left, right = asked.window
        return super().window(replace(asked, window=(left, right + 1)))


@planted("window", "leak")
class WindowIgnored(Plain):
    """unsloth#8253."""

    def window(self, asked: Asked) -> Any:
        return np.True_


@planted("window", "leak")
class WindowWithoutARightBound(Plain):
    """jax#39576."""

    def window(self, asked: Asked) -> Any:
        return asked.keys >= asked.positions - asked.window[0]


@planted("window", "leak")
class WindowWithoutALeftBound(Plain):
    """transformers#41228."""

    def window(self, asked: Asked) -> Any:
        return asked.keys <= asked.positions + asked.window[1]


@planted("window", "leak")
class WindowSymmetric(Plain):
    def window(self, asked: Asked) -> Any:
        left, _ = asked.window
        return super().window(replace(asked, window=(left, left)))


@planted("window", "leak")
class WindowOfZeroIsNone(Plain):
    def window(self, asked: Asked) -> Any:
        left, right = asked.window
        return super().window(replace(asked, window=(left or 10**6, right or 10**6)))


@planted("dependence", "leak")
class WindowReplacesCausal(Plain):
    def causal(self, asked: Asked) -> Any:
        return np.True_ if asked.window is not None else super().causal(asked)


@planted("window", "leak")
class WindowDroppedBesideAKeyMask(Plain):
    def window(self, asked: Asked) -> Any:
        return np.True_ if asked.key_mask is not None else super().window(asked)


@planted("alignment", "leak")
class WindowAlignedToTheStart(Plain):
    def window(self, asked: Asked) -> Any:
        left, right = asked.window
        stand = np.arange(asked.query.shape[2])[:, None]
        return (asked.keys >= stand - left) & (asked.keys <= stand + right)


# Documents


@planted("documents", "leak")
class DocumentsIgnored(Plain):
    def documents(self, asked: Asked) -> Any:
        return np.True_


@planted("documents", "leak")
class DocumentsAreABand(Plain):
    """sglang-jax#1289."""

    def documents(self, asked: Asked) -> Any:
        return np.abs(asked.keys - asked.positions) <= 4


@planted("documents")
class DocumentsAreRuns(Plain):
    """torchtitan#3130: one document is taken for several."""

    def documents(self, asked: Asked) -> Any:
        ids = asked.documents
        runs = np.cumsum(np.diff(ids, axis=1, prepend=ids[:, :1]) != 0, axis=1)
        return super().documents(replace(asked, documents=runs))


@planted("documents", "leak")
class DocumentsShareOneGroup(Plain):
    """transformers#38080: every image sees every image."""

    def documents(self, asked: Asked) -> Any:
        return super().documents(replace(asked, documents=(asked.documents > 1).astype(int)))


@planted("documents")
class DocumentsAreCausal(Plain):
    """unturtle#44."""

    def documents(self, asked: Asked) -> Any:
        return super().documents(asked) & super().causal(asked)


@planted("documents", "leak")
class DocumentsLookedUpFromTheStart(Plain):
    def documents(self, asked: Asked) -> Any:
        ids, query_len = asked.documents, asked.query.shape[2]
        if query_len > ids.shape[1]:
            return super().documents(asked)
        return (ids[:, :query_len, None] == ids[:, None, :])[:, None]


@planted("documents", "leak")
class DocumentsOfItemZero(Plain):
    def documents(self, asked: Asked) -> Any:
        return super().documents(asked)[:1]


# Scores


@planted("scale")
class ScaleOfTheWholeModel(Plain):
    """ng-video-lecture#6."""

    def scale(self, asked: Asked) -> float:
        heads, dim = asked.query.shape[1], asked.query.shape[3]
        return float((heads * dim) ** -0.5) if asked.scale is None else asked.scale


@planted("scale")
class ScaleMissing(Plain):
    def scale(self, asked: Asked) -> float:
        return 1.0 if asked.scale is None else asked.scale


@planted("scale")
class GivenScaleIgnored(Plain):
    def scale(self, asked: Asked) -> float:
        return super().scale(replace(asked, scale=None))


@planted("scale")
class GivenScaleTimesTheDefault(Plain):
    def scale(self, asked: Asked) -> float:
        default = super().scale(replace(asked, scale=None))
        return default if asked.scale is None else default * asked.scale


@planted("bias")
class ScaleOnTheBias(Plain):
    """tt-metal#42891."""

    def biased(self, asked: Asked, scores: Any) -> Any:
        if asked.bias is None:
            return scores
        return scores + asked.bias.astype(scores.dtype) * scores.dtype.type(self.scale(asked))


@planted("bias")
class BiasOfItemZero(Plain):
    def biased(self, asked: Asked, scores: Any) -> Any:
        return scores if asked.bias is None else scores + asked.bias[:1].astype(scores.dtype)


@planted("bias")
class BiasIgnoredBesideAMask(Plain):
    def biased(self, asked: Asked, scores: Any) -> Any:
        return scores if asked.mask is not None else super().biased(asked, scores)


@planted("softcap")
class SoftcapIgnored(Plain):
    """vllm-metal#665."""

    def capped(self, asked: Asked, raw: Any) -> Any:
        return raw


@planted("softcap")
class SoftcapWithoutItsFactor(Plain):
    """unsloth-zoo#593."""

    def capped(self, asked: Asked, raw: Any) -> Any:
        return raw if asked.softcap is None else raw * np.tanh(raw / raw.dtype.type(asked.softcap))


@planted("softcap")
class SoftcapAfterTheBias(Plain):
    def scores(self, asked: Asked, query: Any, key: Any) -> Any:
        return super().capped(asked, super().biased(asked, self.dots(asked, query, key)))


@planted("softcap", "leak")
class SoftcapAfterTheMask(Plain):
    def capped(self, asked: Asked, raw: Any) -> Any:
        return raw

    def hide(self, asked: Asked, scores: Any, visible: Any) -> Any:
        hidden = super().hide(asked, scores, visible)
        return super().capped(asked, hidden) if asked.softcap is not None else hidden

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        return weights @ value


@planted("sinks")
class SinksIgnored(Plain):
    def sinks(self, asked: Asked, dtype: Any) -> Any:
        return None


@planted("sinks")
class SinksScaled(Plain):
    def sinks(self, asked: Asked, dtype: Any) -> Any:
        sinks = super().sinks(asked, dtype)
        return None if sinks is None else sinks * dtype.type(self.scale(asked))


@planted("sinks")
class SinkOfHeadZero(Plain):
    def sinks(self, asked: Asked, dtype: Any) -> Any:
        sinks = super().sinks(asked, dtype)
        return None if sinks is None else np.broadcast_to(sinks[:1], sinks.shape)


@planted("log normalizer")
class LogNormalizerInBaseTwo(Plain):
    """sglang#40903."""

    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        weights, logs = super().softmax(asked, scores, visible)
        return weights, logs / logs.dtype.type(np.log(2))


@planted("log normalizer")
class LogNormalizerWithoutTheMaximum(Plain):
    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        weights, logs = super().softmax(asked, scores, visible)
        return weights, logs - np.where(visible.any(-1), scores.max(-1), 0)


@planted("log normalizer")
class LogNormalizerWithoutTheSinks(Plain):
    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        weights, _ = super().softmax(asked, scores, visible)
        return weights, super().softmax(replace(asked, sinks=None), scores, visible)[1]


# Heads, batch, softmax


@planted("head mapping")
class HeadsTiled(Plain):
    def heads(self, asked: Asked, array: Any) -> Any:
        return np.tile(array, (1, asked.group, 1, 1))


@planted("head mapping", "leak")
class HeadsSplitWithoutATranspose(Plain):
    """FuxiCTR#30: the output's heads and tokens are read in the wrong order."""

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        output = super().mix(asked, weights, visible, value)
        batch, heads, tokens, dim = output.shape
        return output.swapaxes(1, 2).reshape(batch, heads, tokens, dim)


@planted("exactness")
class KeysAndValuesSwapped(Plain):
    """tt-mlir#8958."""

    def attend(self, asked: Asked) -> tuple[Any, Any]:
        same = asked.key.shape == asked.value.shape
        return super().attend(replace(asked, key=asked.value, value=asked.key) if same else asked)


@planted("batch invariance")
class LaterItemsAreZero(Plain):
    """pytorch#139462."""

    def attend(self, asked: Asked) -> tuple[Any, Any]:
        output, logs = super().attend(asked)
        output[1:] = 0
        return output, logs


@planted("batch invariance", "leak")
class AttendsAcrossTheBatch(Plain):
    """AEMatter#3: batch and tokens are mixed up."""

    def attend(self, asked: Asked) -> tuple[Any, Any]:
        if asked.query.shape == asked.key.shape and not any(
            getattr(asked, name) is not None for name in ("key_mask", "mask", "window", "documents", "bias")
        ):
            turned = [array.transpose(2, 1, 0, 3) for array in (asked.query, asked.key, asked.value)]
            output, logs = super().attend(replace(asked, query=turned[0], key=turned[1], value=turned[2]))
            return output.transpose(2, 1, 0, 3), logs.transpose(2, 1, 0)
        return super().attend(asked)


@planted("exactness")
class SoftmaxOverTheQueries(Plain):
    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        _, logs = super().softmax(asked, scores, visible)
        parts = np.exp(scores - np.where(np.isfinite(m := scores.max(axis=2, keepdims=True)), m, 0))
        return parts / np.maximum(parts.sum(axis=2, keepdims=True), 1e-30), logs


# Numbers


@planted("empty rows")
class EmptyRowsAreNan(Plain):
    """pytorch#103749."""

    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        weights, logs = super().softmax(asked, scores, visible)
        return np.where(np.isneginf(logs)[..., None], weights.dtype.type(np.nan), weights), logs


@planted("empty rows", "leak")
class EmptyRowsAreAverages(Plain):
    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        weights, logs = super().softmax(asked, scores, visible)
        empty = ~visible.any(axis=-1, keepdims=True)
        return np.where(empty, weights.dtype.type(1 / scores.shape[-1]), weights), logs

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        return weights @ value


@planted("dependence")
class HiddenScoresArePlusInfinity(Plain):
    """memory-compressed-attention#2."""

    def hide(self, asked: Asked, scores: Any, visible: Any) -> Any:
        return np.where(visible, scores, scores.dtype.type(np.inf))


@planted("magnitudes")
class SoftmaxWithoutTheMaximum(Plain):
    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        sinks = self.sinks(asked, scores.dtype)
        with np.errstate(all="ignore"):
            parts = np.exp(scores)
            total = parts.sum(axis=-1) + (0 if sinks is None else np.exp(sinks))
            return np.where(visible, parts, 0) / np.where(total == 0, 1, total)[..., None], np.log(total)


@planted("dtypes", contract=EVERYTHING, dtypes=("float32", "float16"))
class PaddingTwiceInFloat16(Plain):
    """Automodel#2658: two smallest numbers sum to -inf, and the row to NaN."""

    def visible(self, asked: Asked) -> Any:
        if asked.query.dtype == np.float16 and asked.causal and asked.key_mask is not None:
            both = np.where(super().causal(asked), 0, 1) + np.where(super().key_mask(asked), 0, 1)
            return super().visible(asked) & ~(both > 1).any(axis=-1, keepdims=True)
        return super().visible(asked)


@planted("dtypes", dtypes=("float32", "float16"))
class SumStuckInFloat16(Plain):
    """candle#3727: the sum of weights stops growing at 2048."""

    def softmax(self, asked: Asked, scores: Any, visible: Any) -> tuple[Any, Any]:
        weights, logs = super().softmax(asked, scores, visible)
        if asked.query.dtype == np.float16:
            stuck = np.minimum(1, np.float32(2048) / scores.shape[-1])
            weights = weights / stuck
        return weights, logs


@planted("dtypes", dtypes=("float32", "float16"))
class ScoresOverflowInFloat16(Plain):
    def dots(self, asked: Asked, query: Any, key: Any) -> Any:
        if asked.query.dtype != np.float16:
            return super().dots(asked, query, key)
        with np.errstate(all="ignore"):
            raw = (query @ key.swapaxes(-1, -2)).astype(np.float16)
        return (raw * np.float16(self.scale(asked))).astype(np.float32)


@planted("dependence", "leak")
class MaskIndexWraps(Plain):
    """pytorch#187227, with an int8 for the int32."""

    def visible(self, asked: Asked) -> Any:
        with np.errstate(all="ignore"):
            column = np.arange(asked.key.shape[2]).astype(np.int8).astype(int) % asked.key.shape[2]
        return super().visible(asked)[..., column]


@planted("exactness", "inexact")
class WeightsInHalfPrecision(Plain):
    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        return super().mix(asked, weights.astype(np.float16).astype(weights.dtype), visible, value)


# Layouts, state, chance


@planted("layouts")
class ReadsATransposedKeyAsItLies(Plain):
    """pytorch#195320."""

    def attend(self, asked: Asked) -> tuple[Any, Any]:
        key = asked.key
        if not key.flags.c_contiguous and key.strides[-1] != key.itemsize and key.shape[2] == key.shape[3]:
            asked = replace(asked, key=key.swapaxes(2, 3))
        return super().attend(asked)


@planted("layouts", "leak")
class IgnoresStrides(Plain):
    def attend(self, asked: Asked) -> tuple[Any, Any]:
        if asked.key.base is not None and not asked.key.flags.c_contiguous:
            flat = np.asarray(asked.key.base).ravel()
            if flat.size >= asked.key.size:
                asked = replace(asked, key=flat[: asked.key.size].reshape(asked.key.shape))
        return super().attend(asked)


@planted("determinism")
class DropoutIsOn(Plain):
    """pytorch#124464."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(5)

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        kept = self.rng.random(weights.shape) > 0.1
        return super().mix(asked, (weights * kept / 0.9).astype(weights.dtype), visible, value)


@planted("determinism", "unstable")
class SplitsAtRandom(Plain):
    """Right within rounding, with other last bits each time."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(5)

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        order = self.rng.permutation(weights.shape[-1])
        return super().mix(asked, weights[..., order], visible[..., order], value[:, :, order])


@planted("batch invariance", "unstable")
class SplitsByTheBatch(Plain):
    """flash-attention#1897."""

    def mix(self, asked: Asked, weights: Any, visible: Any, value: Any) -> Any:
        cut = weights.shape[-1] // 2 if len(weights) > 1 else 0
        first = super().mix(asked, weights[..., :cut], visible[..., :cut], value[:, :, :cut]) if cut else 0
        return first + super().mix(asked, weights[..., cut:], visible[..., cut:], value[:, :, cut:])


@planted("determinism", "unstable")
class DrawsFromTheGlobalState(Plain):
    def attend(self, asked: Asked) -> tuple[Any, Any]:
        np.random.rand()  # noqa: NPY002  # the mistake
        return super().attend(asked)


@planted("determinism")
class MaskKeptByShape(Plain):
    def __init__(self) -> None:
        self.kept: dict[Any, Any] = {}

    def key_mask(self, asked: Asked) -> Any:
        return self.kept.setdefault(asked.key_mask.shape, super().key_mask(asked).copy())


@planted("mutation")
class OutputIsABuffer(Plain):
    def __init__(self) -> None:
        self.buffers: dict[Any, Any] = {}

    def __call__(self, query: Any, key: Any, value: Any, **options: Any) -> Any:
        returned = super().__call__(query, key, value, **options)
        output = returned[0] if isinstance(returned, tuple) else returned
        buffer = self.buffers.setdefault((output.shape, output.dtype), np.empty_like(output))
        buffer[...] = output
        return (buffer, returned[1]) if isinstance(returned, tuple) else buffer


@planted("determinism")
class KeptByIdentity(Plain):
    def __init__(self) -> None:
        self.kept: dict[Any, Any] = {}

    def __call__(self, query: Any, key: Any, value: Any, **options: Any) -> Any:
        found = self.kept.get(id(query))
        if found is not None and found[0] is query and len(options) == found[2]:
            return found[1]
        returned = super().__call__(query, key, value, **options)
        self.kept[id(query)] = (query, returned, len(options))
        return returned
