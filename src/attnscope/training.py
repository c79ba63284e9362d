"""Train a transformer of two attention layers on the lesson's own text, in NumPy.

python -m attnscope.training [FILE.npz]

    residual     = embedding[token]
    residual    += attention(rotary(residual W_q), rotary(residual W_k), residual W_v) W_o    in two layers
    loss         = -log softmax(residual unembedding)[next token]

A passage of 8 to 24 words is read again and again. The loss falls in two steps: first the model learns which
word follows which; then, in the second reading, an induction head finds what came next the first time.
Attention's own gradients are a function that is passed in: a learner's backward pass can drive the training.
The matrix products are small: on a busy machine OPENBLAS_NUM_THREADS=1 keeps NumPy's threads from waiting.
"""

import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnscope.attention import attention
from attnscope.gradients import attention_gradients as gradients_of_attention
from attnscope.models import WORD, Transformer, Vocabulary, transformer_of
from attnscope.positions import apply_rotary
from attnscope.problem import Causal
from attnscope.reference import weights

Floats = NDArray[np.float32]
Parameters = dict[str, Floats]
Tokens = NDArray[np.uint8]
# (query, key, value, grad_output), all (batch, heads, tokens, dim) -> the gradients of the first three
AttentionGradients = Callable[[Floats, Floats, Floats, Floats], tuple[Any, Any, Any]]

WORDS, WIDTH, HEADS, DIM, LAYERS = 256, 80, 5, 16, 2
CONTEXT, BATCH, STEPS = 64, 16, 1500
SHORTEST, LONGEST = 8, 24  # words of a passage
RATE, WARM_UP, COOL_DOWN = 0.01, 50, 0.8
CONSTANT = 2.0  # the first number of every embedding: positions alone can decide where a head looks
SENTENCE = "The trophy does not fit in the suitcase because it is too big."


@dataclass(frozen=True)
class Progress:
    """What was measured at one step of a training.

    Parameters
    ----------
    step : int
        How many updates were made.
    loss : float
        Of the passages of this step, in nats per word.
    first, second : float
        Loss on shuffled words that were never seen together: read for the first time, and the second time.
    induction : ndarray, shape (layers, heads)
        How much each head attends to the word after the last occurrence of the current word.
    previous : ndarray, shape (layers, heads)
        How much each head attends to the previous word.
    """

    step: int
    loss: float
    first: float
    second: float
    induction: Floats
    previous: Floats


@dataclass(frozen=True, eq=False)
class Training:
    """A trained model, and how it came to be.

    Parameters
    ----------
    parameters : dict of ndarray
        The weights by name.
    vocabulary : Vocabulary
        The words.
    history : tuple of Progress
        Measurements, in order.
    """

    parameters: Parameters
    vocabulary: Vocabulary
    history: tuple[Progress, ...]

    @property
    def model(self) -> Transformer:
        """The model."""
        return transformer_of(self.parameters)

    @property
    def table(self) -> list[tuple[float, ...]]:
        """The history as rows: step, loss, first, second, and the best induction and previous-word scores."""
        return [
            (
                each.step,
                each.loss,
                each.first,
                each.second,
                float(each.induction.max()),
                float(each.previous.max()),
            )
            for each in self.history
        ]

    def save(self, path: Path) -> None:
        """Store weights in float16, the words, and the history."""
        stored: dict[str, Any] = {name: each.astype(np.float16) for name, each in self.parameters.items()}
        stored["history"] = np.array(self.table)
        np.savez_compressed(path, allow_pickle=False, **stored, words=np.array(self.vocabulary.words))


def train(
    steps: int = STEPS,
    *,
    seed: int = 0,
    attention_gradients: AttentionGradients | None = None,
    every: int = 25,
    report: Callable[[Progress], None] | None = None,
) -> Training:
    """Train the model.

    Parameters
    ----------
    steps : int
        Updates of the weights.
    seed : int
        Of the first weights and of the passages.
    attention_gradients : callable, optional
        (query, key, value, grad_output) -> their gradients, for causal attention, scale 1 / sqrt(dim).
        Default: the library's.
    every : int
        Steps between two measurements.
    report : callable, optional
        Called with each measurement.

    Returns
    -------
    Training
        Weights, words and measurements. The same seed gives the same weights.
    """
    words = lesson_words()
    vocabulary = Vocabulary(tuple(sorted(most_frequent(words))))
    text = np.frombuffer(vocabulary.encode(" ".join(words)), np.uint8)
    rng = np.random.default_rng(seed)
    parameters, adam = first_weights(rng, len(vocabulary.words)), Adam()
    exam = shuffled_texts(np.random.default_rng(seed + 1), text)
    history = []
    for step in range(steps + 1):
        passages = read_again(rng, text, BATCH)
        losses, gradients = loss_and_gradients(parameters, passages, attention_gradients or library_gradients)
        if step % every == 0 or step == steps:
            history.append(measured(parameters, step, float(losses.mean()), exam))
            if report is not None:
                report(history[-1])
        if step < steps:
            adam.update(parameters, gradients, rate_at(step, steps))
    return Training(parameters, vocabulary, tuple(history))


def lesson_words() -> list[str]:
    """The words of the lesson's pages, without code and formulas, and its sentence."""
    pages = {path.name: path for path in files("attnscope.lesson").iterdir() if path.name[:2].isdigit()}
    text = "\n".join(pages[name].read_text(encoding="utf-8") for name in sorted(pages))
    for left_out in (r"^```.*?^```", r"\$\$.*?\$\$", r"\$[^$]*\$", r"`[^`]*`", r"\]\([^)]*\)", r"<[^>]*>"):
        text = re.sub(left_out, " ", text, flags=re.DOTALL | re.MULTILINE)
    return WORD.findall(f"{text} {SENTENCE}".lower())


def most_frequent(words: list[str]) -> set[str]:
    """The words of the sentence, and the most frequent others."""
    chosen = dict.fromkeys(WORD.findall(SENTENCE.lower()))
    for word, _ in Counter(words).most_common():
        if len(chosen) == WORDS:
            break
        chosen[word] = None
    return set(chosen)


def first_weights(rng: np.random.Generator, words: int) -> Parameters:
    """Random weights, of a spread that neither grows nor shrinks what passes through."""

    def drawn(*shape: int, spread: float) -> Floats:
        return (spread * rng.standard_normal(shape)).astype(np.float32)

    weights = {"embedding": drawn(words, WIDTH, spread=0.5), "unembedding": drawn(WIDTH, words, spread=0.02)}
    weights["embedding"][:, 0] = CONSTANT
    for depth in range(LAYERS):
        for name in ("w_q", "w_k", "w_v"):
            weights[f"{name}{depth}"] = drawn(HEADS, WIDTH, DIM, spread=WIDTH**-0.5)
        weights[f"w_o{depth}"] = drawn(HEADS, DIM, WIDTH, spread=0.5 * (HEADS * DIM) ** -0.5)
    return weights


def read_again(rng: np.random.Generator, text: Tokens, count: int) -> Tokens:
    """Passages, each read again and again until the context is full: (count, CONTEXT + 1).

    Every other one is a passage of the text; the rest are words in random order, which say nothing about each
    other: what comes next can only be known from the first reading.
    """
    passages = np.empty((count, CONTEXT + 1), np.uint8)
    words = np.unique(text)
    for number, row in enumerate(passages):
        length = rng.integers(SHORTEST, LONGEST + 1)
        start = rng.integers(0, len(text) - length)
        passage = text[start : start + length] if number % 2 else rng.choice(words, length, replace=False)
        row[:] = np.resize(passage, CONTEXT + 1)
    return passages


def shuffled_texts(rng: np.random.Generator, text: Tokens, count: int = 100) -> Tokens:
    """Different words of the vocabulary in random order, read twice: (count, CONTEXT)."""
    words = np.unique(text)
    halves = np.array([rng.choice(words, CONTEXT // 2, replace=False) for _ in range(count)])
    return np.concatenate([halves, halves], axis=1)


def forward(parameters: Parameters, tokens: Tokens) -> tuple[Floats, list[dict[str, Floats]]]:
    """The last residual stream (batch, tokens, width), and what each layer's backward pass needs."""
    residual, kept = parameters["embedding"][tokens], []
    positions = np.arange(tokens.shape[1])
    for depth in range(LAYERS):
        query, key, value = (
            to_heads(residual, parameters[f"{name}{depth}"]) for name in ("w_q", "w_k", "w_v")
        )
        query, key = apply_rotary(query, positions), apply_rotary(key, positions)
        mixed = attention(query, key, value, mask=Causal())
        kept.append({"residual": residual, "query": query, "key": key, "value": value, "mixed": mixed})
        residual = residual + from_heads(mixed, parameters[f"w_o{depth}"])
    return residual, kept


def loss_and_gradients(
    parameters: Parameters, passages: Tokens, attention_gradients: AttentionGradients
) -> tuple[Floats, Parameters]:
    """The loss of each next word (batch, tokens), and the gradient of its mean in every weight."""
    tokens, following = passages[:, :-1], passages[:, 1:]
    residual, kept = forward(parameters, tokens)
    losses, grad_logits = cross_entropy(logits(parameters, residual), following)
    gradients = {"unembedding": rows(residual).T @ rows(grad_logits)}
    grad = (rows(grad_logits) @ parameters["unembedding"].T).reshape(residual.shape)
    positions = np.arange(tokens.shape[1])
    for depth in reversed(range(LAYERS)):
        layer, w_o = kept[depth], parameters[f"w_o{depth}"]
        gradients[f"w_o{depth}"] = (rows_of_heads(layer["mixed"]).T @ rows(grad)).reshape(w_o.shape)
        grad_mixed = to_heads(grad, w_o.swapaxes(1, 2))
        found = attention_gradients(layer["query"], layer["key"], layer["value"], grad_mixed)
        grad_query, grad_key, grad_value = (np.asarray(each, np.float32) for each in found)
        grad_query, grad_key = apply_rotary(grad_query, -positions), apply_rotary(grad_key, -positions)
        for name, each in (("w_q", grad_query), ("w_k", grad_key), ("w_v", grad_value)):
            weight = parameters[f"{name}{depth}"]
            by_width = rows(layer["residual"]).T @ rows_of_heads(each)
            gradients[f"{name}{depth}"] = by_width.reshape(WIDTH, HEADS, DIM).swapaxes(0, 1)
            grad = grad + from_heads(each, weight.swapaxes(1, 2))
    gradients["embedding"] = np.zeros_like(parameters["embedding"])
    np.add.at(gradients["embedding"], tokens, grad)
    return losses, gradients


def to_heads(residual: Floats, weight: Floats) -> Floats:
    """(batch, tokens, width) @ (heads, width, dim) -> (batch, heads, tokens, dim), as one matrix product."""
    batch, tokens, width = residual.shape
    heads, _, dim = weight.shape
    product = rows(residual) @ weight.swapaxes(0, 1).reshape(width, heads * dim)
    return product.reshape(batch, tokens, heads, dim).swapaxes(1, 2)


def from_heads(mixed: Floats, weight: Floats) -> Floats:
    """The sum over heads of (batch, heads, tokens, dim) @ (heads, dim, width), as one matrix product."""
    batch, heads, tokens, dim = mixed.shape
    return (rows_of_heads(mixed) @ weight.reshape(heads * dim, -1)).reshape(batch, tokens, -1)


def logits(parameters: Parameters, residual: Floats) -> Floats:
    """(batch, tokens, words)."""
    return (rows(residual) @ parameters["unembedding"]).reshape(*residual.shape[:2], -1)


def rows(residual: Floats) -> Floats:
    """(batch, tokens, width) -> (batch * tokens, width)."""
    return residual.reshape(-1, residual.shape[-1])


def rows_of_heads(mixed: Floats) -> Floats:
    """(batch, heads, tokens, dim) -> (batch * tokens, heads * dim)."""
    return mixed.swapaxes(1, 2).reshape(-1, mixed.shape[1] * mixed.shape[3])


def cross_entropy(logits: Floats, following: Tokens) -> tuple[Floats, Floats]:
    """The loss of each word, and the gradient of their mean in the logits."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    chances = np.exp(shifted)
    total = chances.sum(axis=-1, keepdims=True)
    right = following[..., None].astype(np.intp)
    losses = (np.log(total) - np.take_along_axis(shifted, right, axis=-1))[..., 0]
    grad = chances / total
    np.put_along_axis(grad, right, np.take_along_axis(grad, right, axis=-1) - 1, axis=-1)
    return losses, grad / np.float32(losses.size)


def library_gradients(query: Floats, key: Floats, value: Floats, grad_output: Floats) -> tuple[Any, Any, Any]:
    """Attention's gradients, by the compiled kernel."""
    found = gradients_of_attention(query, key, value, grad_output, mask=Causal())
    return found.query, found.key, found.value


class Adam:
    """Kingma & Ba 2015, arXiv:1412.6980."""

    def __init__(self, first: float = 0.9, second: float = 0.99) -> None:
        self.rates = first, second
        self.moments: dict[str, tuple[Floats, Floats]] = {}
        self.updates = 0

    def update(self, parameters: Parameters, gradients: Parameters, rate: float) -> None:
        """One step, in place."""
        self.updates += 1
        first, second = self.rates
        for name, grad in gradients.items():
            mean, square = self.moments.get(name, (np.zeros_like(grad), np.zeros_like(grad)))
            mean = first * mean + (1 - first) * grad
            square = second * square + (1 - second) * grad**2
            self.moments[name] = mean, square
            right_mean = mean / (1 - first**self.updates)
            right_square = square / (1 - second**self.updates)
            parameters[name] -= np.float32(rate) * right_mean / (np.sqrt(right_square) + 1e-8)


def rate_at(step: int, steps: int) -> float:
    """The learning rate: it rises at the start, and is lower at the end."""
    return RATE * min(1.0, (step + 1) / WARM_UP) * (1.0 if step < COOL_DOWN * steps else 0.3)


def measured(parameters: Parameters, step: int, loss: float, exam: Tokens) -> Progress:
    """The losses on shuffled words, and the two scores of every head."""
    half = CONTEXT // 2
    residual, kept = forward(parameters, exam)
    losses, _ = cross_entropy(logits(parameters, residual)[:, :-1], exam[:, 1:])
    scores = [head_scores(layer["query"][:4], layer["key"][:4], half) for layer in kept]
    induction, previous = (np.array(each) for each in zip(*scores, strict=True))
    return Progress(
        step, loss, float(losses[:, : half - 1].mean()), float(losses[:, half:].mean()), induction, previous
    )


def head_scores(query: Floats, key: Floats, half: int) -> tuple[Floats, Floats]:
    """The mean weight of each head on the word after the last occurrence, and on the previous word."""
    found = weights(query, key, mask=Causal()).mean(axis=0)
    rows = np.arange(half, 2 * half)
    each = np.arange(1, 2 * half)
    return found[:, rows, rows - half + 1].mean(axis=-1), found[:, each, each - 1].mean(axis=-1)


def reported(each: Progress) -> str:
    """A measurement as a line."""
    return (
        f"step {each.step:>4}: loss {each.loss:.2f}, first reading {each.first:.2f}, "
        f"second {each.second:.2f}; induction {each.induction.max():.2f}, "
        f"previous word {each.previous.max():.2f}"
    )


if __name__ == "__main__":
    started = monotonic()
    done = train(report=lambda each: print(reported(each), flush=True))
    print(f"{monotonic() - started:.0f} seconds")
    if len(sys.argv) > 1:
        done.save(Path(sys.argv[1]))
