"""The training on the lesson's text: its gradients are right, it repeats, and an induction head forms."""

from typing import Any

import numpy as np

import attnscope as at
from attnscope.lesson.figure import Figure
from attnscope.models.trained import WEIGHTS, stored_arrays
from attnscope.training import (
    CONTEXT,
    DIM,
    HEADS,
    first_weights,
    lesson_words,
    library_gradients,
    loss_and_gradients,
    rate_at,
    read_again,
    shuffled_texts,
    train,
)

UNIT = 2.0**-24  # of float32
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
    """Along the gradient itself the slope is its norm.

    A central difference over step h is wrong by c h^2 and by the rounding of both losses over h. Richardson's
    (4 slope(h/2) - slope(h)) / 3 has no h^2 left, and what it changed bounds what is left. Roundings add up
    to (4 * 2 + 1) / 3 of those at h. A loss is rounded in its last bit, and so is each stored weight, which
    moves the loss by at most that rounding's norm times the gradient's.
    """
    parameters = first_weights(np.random.default_rng(0), 256)
    _, gradients = loss_and_gradients(parameters, PASSAGES, by_the_reference)
    step, whole = 2.0**-2, loss(parameters)
    for name, gradient in gradients.items():
        norm = float(np.linalg.norm(gradient))

        def slope(step: float, name: str = name, direction: Any = gradient / norm) -> float:
            ahead, behind = ({**parameters, name: parameters[name] + s * direction} for s in (step, -step))
            return (loss(ahead) - loss(behind)) / (2 * step)

        wide, narrow = slope(step), slope(step / 2)
        extrapolated = (4 * narrow - wide) / 3
        rounding = UNIT * (whole + float(np.linalg.norm(parameters[name])) * norm)
        allowed = abs(extrapolated - narrow) + 3 * rounding / step
        assert allowed < norm / 100, name
        assert abs(extrapolated - norm) <= allowed, name


def test_the_compiled_backward_pass_drives_it_as_the_reference_does() -> None:
    """One gradient is off by the roundings of its sums; after Adam's steps no weight went the other way.

    Each weight's gradient passes four sums, over a head's dims and over the context, twice each. An update
    against the gradient's sign would leave two weights apart by twice that step's rate.
    """
    parameters = first_weights(np.random.default_rng(0), 256)
    _, right = loss_and_gradients(parameters, PASSAGES, by_the_reference)
    _, found = loss_and_gradients(parameters, PASSAGES, library_gradients)
    for name, gradient in right.items():
        error = np.linalg.norm(found[name] - gradient) / np.linalg.norm(gradient)
        assert error <= UNIT * 2 * (DIM + CONTEXT), name
    steps = 3
    compiled = train(steps, every=steps).parameters
    reference = train(steps, every=steps, attention_gradients=by_the_reference).parameters
    for name, weights in compiled.items():
        assert np.abs(weights - reference[name]).max() < rate_at(0, steps), name


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second = (train(2, seed=5, every=2).parameters for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_the_loss_falls() -> None:
    """On the same passages of the text, by more than three standard errors of the fall."""
    trained = [train(steps, every=steps + 1) for steps in (0, 30)]
    text = np.frombuffer(trained[0].vocabulary.encode(" ".join(lesson_words())), np.uint8)
    passages = read_again(np.random.default_rng(4), text, 32)[1::2]  # the others are shuffled words
    before, after = (loss_and_gradients(each.parameters, passages, no_gradients)[0] for each in trained)
    fall = (before - after).mean(axis=1)
    assert fall.mean() > 3 * fall.std(ddof=1) / len(fall) ** 0.5


def test_the_stored_model_needs_its_induction_heads_and_not_the_heads_beside_them() -> None:
    """Without them the second reading is a guess. As a control, heads of the layer below are taken out."""
    model, words = at.models.trained_transformer()
    exam = shuffled_texts(np.random.default_rng(8), np.arange(len(words.words), dtype=np.uint8), 4)
    half, guess = exam.shape[1] // 2, np.log(len(words.words))

    def second_reading(ablate: list[tuple[int, int]]) -> float:
        losses = []
        for tokens in exam:
            logits = model.logits(tokens.tobytes(), ablate=ablate)[half:-1].astype(np.float64)
            shifted = logits - logits.max(axis=-1, keepdims=True)
            chosen = shifted[np.arange(len(logits)), tokens[half + 1 :]]
            losses.append((np.log(np.exp(shifted).sum(axis=-1)) - chosen).mean())
        return float(np.mean(losses))

    heads: Any = Figure("induction").data["inductionHeads"]
    others = [head for head in range(HEADS) if head != previous_word_head(model, exam[0])]
    whole = second_reading([])
    without = second_reading([(1, head) for head in heads])
    control = second_reading([(0, head) for head in others])
    assert whole < guess / 2
    assert without > guess
    # All the others together cost less than one induction head on average
    assert control - whole < (without - whole) / len(heads)
    assert len(WEIGHTS.read_bytes()) < 1_000_000


def previous_word_head(model: at.models.Transformer, tokens: Any) -> int:
    """The head of the first layer that puts most weight on the previous word."""
    reading = model.read(tokens.tobytes())
    maps = at.reference.weights(reading.query[0], reading.key[0], mask=at.Causal(), scale=1.0)
    return int(np.diagonal(maps, -1, axis1=-2, axis2=-1).mean(axis=-1).argmax())


def test_the_stored_history_falls_in_two_steps() -> None:
    """First the text's own words; then, with the induction heads, words that were read only once before."""
    history = stored_arrays()["history"]
    steps, text, second, induction = history[:, 0], history[:, 1], history[:, 3], history[:, 4]
    guess, middle = np.log(256), steps == 500
    rows = np.arange(CONTEXT // 2, CONTEXT)
    uniform = (1 / (rows + 1)).mean()  # of the weights of the second reading
    assert text[middle] < guess - 1 < guess < second[middle]
    assert second[-1] < text[middle]
    assert induction[middle] < 2 * uniform
    assert induction[-1] > 0.5  # more than on all other words together
