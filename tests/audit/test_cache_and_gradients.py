"""Caches and gradients: wrong ones are found, right ones are not."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import attnscope as at
from attnscope.audit import Contract
from tests.audit.unhurried import attention


def right(query: Any, key: Any, value: Any, *, causal: bool = False, **options: Any) -> Any:
    return at.attention(query, key, value, mask=at.Causal() if causal else None, **options)


class Held:
    """A right cache: appended tokens are in a growing buffer."""

    room = 16

    def __init__(self) -> None:
        self.keys: Any = None
        self.tokens = 0

    def append(self, key: Any, value: Any) -> None:
        if self.keys is None:
            self.keys = np.zeros((*key.shape[:2], self.room, key.shape[3]), key.dtype)
            self.values = np.zeros((*value.shape[:2], self.room, value.shape[3]), value.dtype)
        while self.tokens + key.shape[2] > self.keys.shape[2]:
            self.keys, self.values = (
                np.concatenate([x, np.zeros_like(x)], axis=2) for x in (self.keys, self.values)
            )
        self.write(key, value)

    def write(self, key: Any, value: Any) -> None:
        slots = slice(self.tokens, self.tokens + key.shape[2])
        self.keys[:, :, slots], self.values[:, :, slots] = key, value
        self.tokens += key.shape[2]

    def held(self) -> tuple[Any, Any]:
        return self.keys[:, :, : self.tokens], self.values[:, :, : self.tokens]

    def attend(self, query: Any) -> Any:
        return at.attention(query, *self.held(), mask=at.Causal())


class UnwrittenSlots(Held):
    """gpt-fast#233: slots that were never written are attended."""

    def attend(self, query: Any) -> Any:
        end = self.keys.shape[2]
        return at.attention(
            query,
            self.keys,
            self.values,
            mask=at.Causal(offset=self.tokens - query.shape[2]) if end == self.tokens else None,
        )


class StartAligned(Held):
    """pytorch#103082: the first query of a chunk meets the first key."""

    def attend(self, query: Any) -> Any:
        return at.attention(query, *self.held(), mask=at.Causal(offset=0))


class OneHole(Held):
    """onnxruntime-genai#2354: the last token is written one slot too far, and a hole is attended."""

    def held(self) -> tuple[Any, Any]:
        key, value = (x.copy() for x in super().held())
        if self.tokens > 1:
            key[:, :, -1], value[:, :, -1] = 0, 0
        return key, value


class EvictsEarly(Held):
    """transformers#37574: a full page loses its first token."""

    def held(self) -> tuple[Any, Any]:
        key, value = super().held()
        return (key[:, :, 1:], value[:, :, 1:]) if self.tokens % 64 == 0 else (key, value)


class PaddingOverwrites(Held):
    """vllm#43810: padding is written to slot -1, the last one, once the cache is full."""

    def write(self, key: Any, value: Any) -> None:
        super().write(key, value)
        if self.tokens == self.keys.shape[2]:
            self.keys[:, :, -1] = 0


class PagesOutOfOrder(Held):
    """ssd#23: pages are read in the order of their storage."""

    def held(self) -> tuple[Any, Any]:
        key, value = super().held()
        order = np.arange(self.tokens)
        if self.tokens > 8:
            order[:8] = order[:8][::-1]
        return key[:, :, order], value[:, :, order]


class StalePageSize(Held):
    """vllm#51031: tokens past a page are written as if pages were larger."""

    def write(self, key: Any, value: Any) -> None:
        for token in range(key.shape[2]):
            slot = self.tokens + token
            slot = slot - slot % 16 + slot % 8 if slot >= 8 else slot
            self.keys[:, :, slot], self.values[:, :, slot] = key[:, :, token], value[:, :, token]
        self.tokens += key.shape[2]


class KeepsTheOlderChunk(Held):
    """Only the last two chunks are kept."""

    def append(self, key: Any, value: Any) -> None:
        self.chunks = [*getattr(self, "chunks", []), (key, value)][-2:]

    def held(self) -> tuple[Any, Any]:
        keys, values = zip(*self.chunks, strict=True)
        return np.concatenate(keys, axis=2), np.concatenate(values, axis=2)


class Shared(Held):
    """All caches share one buffer."""

    buffers: dict[str, Any] = {}  # noqa: RUF012  # the mistake

    def append(self, key: Any, value: Any) -> None:
        wide = self.buffers.setdefault("key", np.zeros((2, 4, 1024, 8), key.dtype))
        other = self.buffers.setdefault("value", np.zeros((2, 4, 1024, 8), key.dtype))
        heads = key.shape[1]
        self.keys, self.values = wide[:, :heads], other[:, :heads]
        self.write(key, value)


class AttendAppends(Held):
    """Asking twice is not the same as asking once."""

    def attend(self, query: Any) -> Any:
        output = super().attend(query)
        self.append(self.held()[0][:, :, -1:], self.held()[1][:, :, -1:])
        return output


@pytest.mark.parametrize("grouped", [False, True])
def test_a_right_cache_is_right(grouped: bool) -> None:
    report = attention(right, Contract(causal=True, cache=Held, grouped_heads=grouped))
    assert report.ok, str(report)
    assert "cache" in report.checks


WRONG = [
    UnwrittenSlots,
    StartAligned,
    OneHole,
    EvictsEarly,
    PaddingOverwrites,
    PagesOutOfOrder,
    StalePageSize,
    KeepsTheOlderChunk,
    Shared,
    AttendAppends,
]


@pytest.mark.parametrize("cache", WRONG)
def test_a_wrong_cache_is_found(cache: type) -> None:
    report = attention(right, Contract(causal=True, cache=cache, grouped_heads=True))
    assert report.of("cache"), str(report)
    assert {finding.check for finding in report.findings} == {"cache"}


def test_state_that_leaks_into_uncached_calls_is_found() -> None:
    """LLMs-from-scratch#1048."""
    stale = {"tokens": 0}

    class Leaving(Held):
        def write(self, key: Any, value: Any) -> None:
            super().write(key, value)
            stale["tokens"] = self.tokens

    def function(query: Any, key: Any, value: Any, *, causal: bool) -> Any:
        offset = key.shape[2] - query.shape[2] + stale["tokens"]
        return at.attention(query, key, value, mask=at.Causal(offset=offset) if causal else None)

    [finding] = attention(function, Contract(causal=True, cache=Leaving)).findings
    assert finding.sentence == "the function without a cache gives another answer after a cache was used"


Rule = Callable[..., Any]
SCORING = Contract(
    causal=True, key_mask=True, grouped_heads=True, scale=True, softcap=True, bias=True, sinks=True
)


def masked(query: Any, key: Any, causal: bool, key_mask: Any) -> at.Mask | None:
    causal_mask = at.Causal() if causal else None
    padding = None if key_mask is None else at.Dense(key_mask[:, None, None, :])
    if causal_mask is None or padding is None:
        return padding if causal_mask is None else causal_mask
    return causal_mask & padding


def function(
    query: Any, key: Any, value: Any, *, causal: bool = False, key_mask: Any = None, **scoring: Any
) -> Any:
    return at.attention(query, key, value, mask=masked(query, key, causal is True, key_mask), **scoring)


def exact(
    query: Any, key: Any, value: Any, grad: Any, *, causal: bool = False, key_mask: Any = None, **scoring: Any
) -> Any:
    return at.reference.gradients(
        query, key, value, grad, mask=masked(query, key, causal, key_mask), **scoring
    )


def in_float32(query: Any, key: Any, value: Any, grad: Any, **options: Any) -> Any:
    """The chain rule as one writes it in float32."""
    causal, key_mask = options.get("causal", False), options.get("key_mask")
    group = query.shape[1] // key.shape[1]
    keys, values = (np.repeat(x, group, axis=1) for x in (key, value))
    scale = np.float32(options.get("scale") or query.shape[-1] ** -0.5)
    raw = scale * (query @ keys.swapaxes(2, 3))
    cap = options.get("softcap")
    scores = raw if cap is None else np.float32(cap) * np.tanh(raw / np.float32(cap))
    scores = scores if options.get("bias") is None else scores + options["bias"]
    mask = masked(query, key, causal, key_mask)
    if mask is not None:
        shape = scores.shape
        visible = mask.visible(shape[2], shape[3], batch=shape[0], heads=shape[1])
        scores = np.where(visible, scores, np.float32(-np.inf))
    top = scores.max(axis=-1, keepdims=True)
    sinks = options.get("sinks")
    top = top if sinks is None else np.maximum(top, sinks[:, None, None])
    top = np.where(np.isneginf(top), np.float32(0), top)
    parts = np.exp(scores - top)
    total = parts.sum(axis=-1, keepdims=True)
    total = total if sinks is None else total + np.exp(sinks[:, None, None] - top)
    weights = parts / np.where(total == 0, np.float32(1), total)
    grad_weights = grad @ values.swapaxes(2, 3)
    grad_scores = weights * (grad_weights - (weights * grad_weights).sum(-1, keepdims=True))
    if cap is not None:
        grad_scores = grad_scores * (1 - np.tanh(raw / np.float32(cap)) ** 2)

    def summed(x: Any) -> Any:
        return x.reshape(key.shape[0], key.shape[1], group, *x.shape[2:]).sum(axis=2)

    return (
        scale * (grad_scores @ keys),
        summed(scale * (grad_scores.swapaxes(2, 3) @ query)),
        summed(weights.swapaxes(2, 3) @ grad),
    )


@pytest.mark.parametrize("rule", [exact, in_float32])
@pytest.mark.parametrize("seed", range(3))
def test_right_gradients_are_right(rule: Rule, seed: int) -> None:
    from dataclasses import replace

    report = attention(function, replace(SCORING, gradients=rule), seed=seed)
    assert report.ok, str(report)


def without_scale(*arrays: Any, **options: Any) -> Any:
    query, key, value = in_float32(*arrays, **options)
    scale = options.get("scale") or arrays[0].shape[-1] ** -0.5
    return query / np.float32(scale), key / np.float32(scale), value


def first_head_only(*arrays: Any, **options: Any) -> Any:
    query, key, value = in_float32(*arrays, **options)
    group = arrays[0].shape[1] // arrays[1].shape[1]
    return query, key / np.float32(group), value / np.float32(group)


def without_softcap(*arrays: Any, **options: Any) -> Any:
    query, key, value = in_float32(*arrays, **options)
    return (query * 2, key, value) if options.get("softcap") else (query, key, value)


def causal_forgotten(*arrays: Any, causal: bool = False, **options: Any) -> Any:
    return in_float32(*arrays, causal=False, **options)


def keys_as_values(*arrays: Any, **options: Any) -> Any:
    query, key, value = in_float32(*arrays, **options)
    return query, value, key


def only_two(*arrays: Any, **options: Any) -> Any:
    return in_float32(*arrays, **options)[:2]


@pytest.mark.parametrize(
    ("rule", "cause"),
    [
        (without_scale, "the scale left out"),
        (first_head_only, "averaged instead of summed"),
        (without_softcap, None),
        (causal_forgotten, None),
        (keys_as_values, None),
        (only_two, None),
    ],
)
def test_wrong_gradients_are_found(rule: Rule, cause: str | None) -> None:
    from dataclasses import replace

    report = attention(function, replace(SCORING, gradients=rule))
    assert report.of("gradients"), str(report)
    assert {finding.check for finding in report.findings} == {"gradients"}
    assert cause is None or any(cause in (finding.cause or "") for finding in report.findings), str(report)
