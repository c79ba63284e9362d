"""The training on the lesson's text: its gradients are right, it repeats, and an induction head forms."""

from typing import Any

import numpy as np
import pytest

import attnscope as at
from attnscope.models.trained import WEIGHTS, stored_arrays
from attnscope.training import (
    first_weights,
    loss_and_gradients,
    read_again,
    shuffled_texts,
    train,
)

RNG = np.random.default_rng(3)
TEXT = RNG.integers(0, 256, 500).astype(np.uint8)
PASSAGES = read_again(RNG, TEXT, 2)


def loss(parameters: dict[str, Any]) -> float:
    return float(loss_and_gradients(parameters, PASSAGES, no_gradients)[0].astype(np.float64).mean())


def no_gradients(query: Any, key: Any, value: Any, grad_output: Any) -> tuple[Any, Any, Any]:
    return query, key, value


def by_the_reference(query: Any, key: Any, value: Any, grad_output: Any) -> tuple[Any, Any, Any]:
    found = at.reference.gradients(query, key, value, grad_output, mask=at.Causal())
    return found.query, found.key, found.value


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    """Along the gradient itself: the loss of a small step there changes by the step times the squared norm.

    A central difference has an error of step^2 and a rounding of the loss, 2^-24 of it, divided by the step.
    """
    parameters = first_weights(np.random.default_rng(0), 256)
    _, gradients = loss_and_gradients(parameters, PASSAGES, by_the_reference)
    for name, gradient in gradients.items():
        direction = gradient / np.linalg.norm(gradient)
        step = 2.0**-4
        ahead, behind = ({**parameters, name: parameters[name] + s * direction} for s in (step, -step))
        slope = (loss(ahead) - loss(behind)) / (2 * step)
        assert slope == pytest.approx(float(np.linalg.norm(gradient)), rel=0.02), name


def test_the_compiled_backward_pass_drives_it_as_the_reference_does() -> None:
    compiled = train(3, every=3).parameters
    reference = train(3, every=3, attention_gradients=by_the_reference).parameters
    # Adam divides by the gradient's own size, so an update is at most the rate, wherever rounding moves it
    for name, weights in compiled.items():
        assert np.abs(weights - reference[name]).max() < 1e-3, name


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second = (train(2, seed=5, every=2).parameters for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_the_loss_falls() -> None:
    history = train(30, every=30).history
    assert history[-1].loss < history[0].loss - 0.1


def test_the_stored_model_has_an_induction_head_whose_ablation_takes_the_second_step_back() -> None:
    model, words = at.models.trained_transformer()
    exam = shuffled_texts(np.random.default_rng(8), np.arange(len(words.words), dtype=np.uint8), 4)
    half = exam.shape[1] // 2

    def second_reading(ablate: list[tuple[int, int]]) -> float:
        losses = []
        for tokens in exam:
            logits = model.logits(tokens.tobytes(), ablate=ablate)[half:-1].astype(np.float64)
            shifted = logits - logits.max(axis=-1, keepdims=True)
            chosen = shifted[np.arange(len(logits)), tokens[half + 1 :]]
            losses.append((np.log(np.exp(shifted).sum(axis=-1)) - chosen).mean())
        return float(np.mean(losses))

    whole, without = second_reading([]), second_reading([(1, head) for head in range(5)])
    assert whole < 0.5 * np.log(len(words.words))
    assert without > np.log(len(words.words)) - 0.5
    assert len(WEIGHTS.read_bytes()) < 1_000_000


def test_the_stored_history_falls_in_two_steps() -> None:
    history = stored_arrays()["history"]
    steps, second, induction = history[:, 0], history[:, 3], history[:, 4]
    assert second[steps == 500] > second[steps == 0] - 0.1
    assert second[-1] < 1.5
    assert induction[steps == 500] < 0.1 < 0.5 < induction[-1]
