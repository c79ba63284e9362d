"""A Transformers model that scores answers: the prompt is read once, items run as a batch after it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from attnscope.errors import UnsupportedProblemError
from attnscope.inspection.attribution.scorer import (
    Bools,
    Floats,
    Ids,
    check_finite,
    mean_of_heads,
    one_by_one,
    predicting,
)
from attnscope.inspection.text import InspectionError
from attnscope.interop.transformers import SharedPrefix, contributions_of_keys, logits_of_pass

ROWS_AT_ONCE = 512
PADDED_ROWS = (
    256  # of texts of different lengths: with more, reading the weights is no longer what takes time
)
LOGITS_AT_ONCE = 2**26  # 256 MiB
ENTRIES_AT_ONCE = 2**28  # of masks, one byte each
OTHERWISE = "Choose method='removal', which runs the shortened texts."
TRIED_TOKENS = 8  # of the prompt, before the first use


class TransformersScorer:
    """A causal model.

    Raises
    ------
    InspectionError
        If it cannot follow a kept prompt: then only whole passes score an answer.
    """

    def __init__(self, model: Any, name: str) -> None:
        self.model, self.name, self.rows = model, name, 0
        self.ids = np.zeros(0, np.int64)
        self.ends = ends_of(model)
        try:
            self.prefix = SharedPrefix(model)
        except UnsupportedProblemError as error:
            raise InspectionError(f"{error} {OTHERWISE}") from error

    def keep(self, ids: Ids) -> None:
        self._try_it(ids[: 2 * TRIED_TOKENS])
        self.prefix.read(ids)
        self.ids = ids
        self.rows += len(ids)

    def _try_it(self, ids: Ids) -> None:
        """Compare a few rows after a kept prefix with those of one pass: a model may hold other states."""
        held = len(ids) // 2
        self.prefix.read(ids)
        start = self.prefix.begin(held, np.zeros((1, len(ids)), np.bool_))
        found, expected = start.run(ids[None, held:], 1)[0], logits_of_pass(self.model, ids, 1)
        check_finite(expected.numpy())
        if not torch.allclose(found, expected, rtol=0, atol=1e-2 * float(expected.abs().max())):
            raise InspectionError(
                f"{self.name} continues a kept prompt differently from the whole text, so no source can be "
                f"hidden from it. {OTHERWISE}"
            )

    def answer(self, held: int, tail: Ids, new_tokens: int) -> list[int]:
        following = self.prefix.begin(held, np.zeros((1, held + len(tail) + new_tokens), np.bool_))
        generated: list[int] = []
        rows = tail
        while len(generated) < new_tokens:
            logits = following.run(rows[None], 1)
            self.rows += len(rows)
            check_finite(logits.numpy())
            token = int(logits[0, -1].argmax())
            if token in self.ends:
                break
            generated.append(token)
            rows = np.array([token], np.int64)
        return generated

    def after(self, held: int, tail: Ids, answer: int, hidden: Bools) -> Floats:
        rows, targets = tail[:-1], tail[len(tail) - answer :]
        found = []
        for group in groups_of(hidden, held, len(rows), answer, self._vocabulary):
            ids = np.repeat(rows[None], len(group), axis=0)
            logits = self.prefix.begin(held, group).run(ids, answer)
            self.rows += ids.size
            found.append(log_probs(logits, targets))
        return np.concatenate(found)

    def after_each(self, tails: Sequence[tuple[int, Ids]], answer: int) -> Floats:
        found = np.zeros((len(tails), answer))
        order = sorted(range(len(tails)), key=lambda item: tails[item][0])
        while order:
            held = tails[order[0]][0]
            group: list[int] = []
            while order and (
                not group or (1 + len(group)) * longest([*group, order[0]], tails, held) <= PADDED_ROWS
            ):
                group.append(order.pop(0))
            found[group] = self._after_one_prefix(held, [tails[item] for item in group], answer)
        return found

    def _after_one_prefix(self, held: int, tails: Sequence[tuple[int, Ids]], answer: int) -> Floats:
        """Items in one batch: rows before an item's own `held` are computed again."""
        texts = [np.concatenate([self.ids[held:own], tail]) for own, tail in tails]
        lengths = np.array([len(text) - 1 for text in texts])
        rows = np.stack([np.resize(text[:-1], lengths.max()) for text in texts])
        hidden = np.zeros((len(texts), held + int(lengths.max())), np.bool_)
        logits = self.prefix.begin(held, hidden).run(rows, answer, lengths)
        self.rows += rows.size
        targets = texts[0][-answer:]
        return log_probs(logits, targets)

    def contributions(self, held: int, tail: Ids, labels: Ids) -> Floats:
        rows, targets = tail[:-1], tail[len(tail) - len(labels) :]
        found, logits = contributions_of_keys(self.prefix, held, rows, targets, labels)
        self.rows += len(rows)
        check_finite(logits.numpy())
        return found

    def received(self, held: int, tail: Ids, answer: int) -> Floats:
        rows = tail[:-1]
        hidden = np.zeros((1, held + len(rows)), np.bool_)
        following = self.prefix.begin(held, hidden, predicting(len(rows), answer))
        following.run(rows[None], 1)
        self.rows += len(rows)
        return mean_of_heads(following.follower.received)

    @property
    def _vocabulary(self) -> int:
        return int(self.model.config.get_text_config().vocab_size)


class WholePasses:
    """A causal model that runs every text from its first token on; no source can be hidden."""

    def __init__(self, model: Any, name: str) -> None:
        self.model, self.name, self.rows = model, name, 0
        self.ids = np.zeros(0, np.int64)
        self.ends = ends_of(model)

    def keep(self, ids: Ids) -> None:
        self.ids = ids

    def answer(self, held: int, tail: Ids, new_tokens: int) -> list[int]:
        ids = np.concatenate([self.ids[:held], tail])
        given = {"max_new_tokens": new_tokens, "do_sample": False, "num_beams": 1}
        with torch.inference_mode():
            generated = self.model.generate(torch.from_numpy(ids[None]), **given)[0, len(ids) :].tolist()
        self.rows += len(ids) + len(generated)
        return [token for token in generated if token not in self.ends]

    def after(self, held: int, tail: Ids, answer: int, hidden: Bools) -> Floats:
        assert not hidden.any()
        ids, targets = np.concatenate([self.ids[:held], tail]), tail[len(tail) - answer :]
        self.rows += len(ids) - 1
        return log_probs(logits_of_pass(self.model, ids[:-1], answer)[None], targets)

    def after_each(self, tails: Sequence[tuple[int, Ids]], answer: int) -> Floats:
        return one_by_one(self, tails, answer)

    def contributions(self, held: int, tail: Ids, labels: Ids) -> Floats:
        raise InspectionError(f"method='gradient' needs the keys of {self.name}. {OTHERWISE}")

    def received(self, held: int, tail: Ids, answer: int) -> None:
        """Nothing: the attention of such a model is not observed."""


def longest(items: Sequence[int], tails: Sequence[tuple[int, Ids]], held: int) -> int:
    """The most rows that one of these items has after so many tokens."""
    return max(tails[item][0] - held + len(tails[item][1]) for item in items)


def keeps_prefixes(model: Any) -> bool:
    """Whether all that a model keeps of a text are keys and values."""
    try:
        SharedPrefix(model)
    except UnsupportedProblemError:
        return False
    return True


def ends_of(model: Any) -> set[int]:
    """The tokens that end an answer."""
    named = getattr(model.generation_config, "eos_token_id", None)
    return {named} if isinstance(named, int) else set(named or ())


def groups_of(hidden: Bools, held: int, rows: int, answer: int, vocabulary: int) -> list[Bools]:
    """The items in groups that fit into memory."""
    entries, logits = rows * (held + rows), answer * vocabulary
    size = max(1, min(ROWS_AT_ONCE // rows, LOGITS_AT_ONCE // logits, ENTRIES_AT_ONCE // entries))
    return [hidden[first : first + size] for first in range(0, len(hidden), size)]


def log_probs(logits: Any, targets: NDArray[np.int64]) -> Floats:
    """The log probability of each target in nats, (items, targets), of logits (items, targets, words)."""
    wanted = torch.from_numpy(targets)
    total = torch.logsumexp(logits, dim=-1).double()
    chosen = logits[:, torch.arange(len(targets)), wanted].double() - total
    check_finite(total.numpy())
    return np.asarray(chosen.numpy())
