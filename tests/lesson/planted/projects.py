"""Wrong answers to the projects."""

import numpy as np

from tests.lesson.planted.registry import planted
from tests.lesson.solutions import (
    attention_maps,
    decoder_step,
    flash_backward,
    flash_forward,
    induction_score,
    logits_without,
    softmax,
)
from tests.lesson.solutions import turned as turned_by


def forward(query, key, value, block, *, visible=np.less_equal, scale=None, rescaled=True, keys=None):
    """A learner's loop over blocks, with a step left out."""
    n, rows = len(query), np.arange(len(query))[:, None]
    top, total, output = np.full(n, -np.inf), np.zeros(n), np.zeros((n, value.shape[1]))
    for start in range(0, keys or n, block):
        columns = np.arange(start, min(start + block, n))
        scores = query @ key[columns].T * (query.shape[1] ** -0.5 if scale is None else scale)
        scores = np.where(visible(columns, rows), scores, -np.inf)
        new = np.maximum(top, scores.max(axis=1))
        parts, factor = np.exp(scores - new[:, None]), np.exp(top - new)
        total = total * factor + parts.sum(axis=1)
        output = output * (factor[:, None] if rescaled else 1) + parts @ value[columns]
        top = new
    return output / total[:, None], top + np.log(total)


@planted("A", "flash_forward", "the mask is missing")
def unmasked(query, key, value, block):
    return forward(query, key, value, block, visible=lambda columns, rows: columns >= 0)


@planted("A", "flash_forward", "a token sees itself")
def only_earlier(query, key, value, block):
    return forward(query, key, value, block, visible=lambda j, i: (j < i) | (j == 0))


@planted("A", "flash_forward", "not scaled")
def unscaled(query, key, value, block):
    return forward(query, key, value, block, scale=1.0)


@planted("A", "flash_forward", "output is not rescaled")
def not_rescaled(query, key, value, block):
    return forward(query, key, value, block, rescaled=False)


@planted("A", "flash_forward", "table of all scores")
def in_one_piece(query, key, value, block):
    return forward(query, key, value, len(key))


@planted("A", "flash_forward", "(output, logsumexp)")
def output_alone(query, key, value, block):
    return flash_forward(query, key, value, block)[0]


def backward(query, key, value, logsumexp, grad_output, rows, scale=None):
    """In one piece: what a learner subtracts in each row is given."""
    scale = query.shape[1] ** -0.5 if scale is None else scale
    scores = query @ key.T * query.shape[1] ** -0.5
    weights = np.where(np.tri(len(query), dtype=bool), np.exp(scores - logsumexp[:, None]), 0)
    slopes = weights * (grad_output @ value.T - rows) * scale
    return slopes @ key, slopes.T @ query, weights.T @ grad_output


@planted("A", "flash_backward", "comes through the sum")
def without_the_sum(query, key, value, output, logsumexp, grad_output, block):
    return backward(query, key, value, logsumexp, grad_output, 0.0)


@planted("A", "flash_backward", "scale is missing")
def gradient_unscaled(query, key, value, output, logsumexp, grad_output, block):
    rows = (grad_output * output).sum(axis=1, keepdims=True)
    return backward(query, key, value, logsumexp, grad_output, rows, scale=1.0)


@planted("A", "flash_backward", "table of all weights")
def gradient_in_one_piece(query, key, value, output, logsumexp, grad_output, block):
    rows = (grad_output * output).sum(axis=1, keepdims=True)
    return backward(query, key, value, logsumexp, grad_output, rows)


@planted("A", "flash_backward", "exchanged")
def exchanged(*given):
    grad_query, grad_key, grad_value = flash_backward(*given)
    return grad_key, grad_query, grad_value


@planted("A", "flash_backward", "sign")
def downhill(*given):
    return tuple(-each for each in flash_backward(*given))


def maps_of(model, tokens, *, turned=True, masked=True, through=True):
    """A learner's two layers, with a step left out."""
    residual, maps = model["embedding"][tokens], []
    for layer in range(2):
        query, key, value = (residual @ model[f"{name}{layer}"] for name in ("w_q", "w_k", "w_v"))
        if turned:
            query, key = (turned_by(each, np.arange(len(tokens))) for each in (query, key))
        scores = query @ key.swapaxes(-1, -2)
        weights = softmax(np.where(np.tri(len(tokens), dtype=bool), scores, -np.inf) if masked else scores)
        if through:
            residual = residual + (weights @ value @ model[f"w_o{layer}"]).sum(axis=0)
        maps.append(weights)
    return np.array(maps)


@planted("B", "attention_maps", "rotary positions are missing")
def without_positions(model, tokens):
    return maps_of(model, tokens, turned=False)


@planted("B", "attention_maps", "causal mask is missing")
def sees_the_future(model, tokens):
    return maps_of(model, tokens, masked=False)


@planted("B", "attention_maps", "all layers read the embedding")
def from_the_embedding(model, tokens):
    return maps_of(model, tokens, through=False)


@planted("B", "attention_maps", "shape")
def of_the_last_layer(model, tokens):
    return attention_maps(model, tokens)[1]


@planted("B", "induction_head", "previous-token head")
def previous_token(maps, tokens):
    means = np.array([[np.diagonal(head, -1).mean() for head in layer] for layer in maps])
    return np.unravel_index(means.argmax(), means.shape)


@planted("B", "induction_head", "layer and head are exchanged")
def head_and_layer(maps, tokens):
    scores = np.array([induction_score(layer, tokens) for layer in maps])
    return np.unravel_index(scores.argmax(), scores.shape)[::-1]


@planted("B", "logits_without", "no head is taken out")
def with_all_heads(model, tokens, layer, head):
    return logits_without(model, tokens, 2, head)


@planted("B", "logits_without", "whole layer")
def without_the_layer(model, tokens, layer, head):
    name = f"w_o{layer}"
    return logits_without({**model, name: np.zeros_like(model[name])}, tokens, layer, head)


@planted("B", "logits_without", "both layers")
def without_both(model, tokens, layer, head):
    other = f"w_o{1 - layer}"
    kept = model[other].copy()
    kept[head] = 0
    return logits_without({**model, other: kept}, tokens, layer, head)


def step_of(model, cache, token, *, turned=True, group=np.repeat, kept=True, wide=False):
    """A learner's decoder, with a step left out; the cache holds (keys, values) per layer."""
    cache = [None] * model["layers"] if cache is None else list(cache)
    position = np.array([0 if cache[0] is None else cache[0][0].shape[1]])
    residual = model["embedding"][[token]]
    heads, kv_heads = model["heads"], model["kv_heads"]
    for layer in range(model["layers"]):
        query, key, value = (
            (residual @ model[f"{name}{layer}"]).reshape(1, count, -1).swapaxes(0, 1)
            for name, count in (("w_q", heads), ("w_k", kv_heads), ("w_v", kv_heads))
        )
        if turned:
            query, key = turned_by(query, position), turned_by(key, position)
        if wide:
            key, value = (group(each, heads // kv_heads, axis=0) for each in (key, value))
        if cache[layer] is not None and kept:
            key, value = (
                np.concatenate(pair, axis=1) for pair in zip(cache[layer], (key, value), strict=True)
            )
        cache[layer] = key, value
        if not wide:
            key, value = (group(each, heads // kv_heads, axis=0) for each in (key, value))
        weights = softmax(query @ key.swapaxes(-1, -2) * query.shape[-1] ** -0.5)
        residual = residual + (weights @ value).swapaxes(0, 1).reshape(1, -1) @ model[f"w_o{layer}"]
        residual = residual + np.maximum(residual @ model[f"w_up{layer}"], 0) @ model[f"w_down{layer}"]
    return (residual @ model["unembedding"])[0], cache


def tile(array, times, axis):
    return np.tile(array, (times, 1, 1))


@planted("C", "decoder_step", "rotary positions are missing")
def decoder_without_positions(model, cache, token):
    return step_of(model, cache, token, turned=False)


@planted("C", "decoder_step", "wrong kv heads")
def tiled(model, cache, token):
    return step_of(model, cache, token, group=tile)


@planted("C", "decoder_step", "first token's are right")
def forgetful(model, cache, token):
    return step_of(model, cache, token, kept=False)


@planted("C", "decoder_step", "Repeat heads when they are read")
def wide_cache(model, cache, token):
    return step_of(model, cache, token, wide=True)


@planted("C", "decoder_step", "compute all keys again")
def tokens_kept(model, cache, token):
    tokens = [token] if cache is None else [*cache, token]
    found = None
    for each in tokens:
        logits, found = decoder_step(model, found, each)
    return logits, tokens


@planted("C", "decoder_step", "expected two: (logits, cache)")
def logits_alone(model, cache, token):
    return decoder_step(model, cache, token)[0]
