"""What a model claims: the arguments of `audit.model`, checked."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from attnscope.audit.contract import ContractError

Side = Literal["left", "right"]
SIDES = ("left", "right")
POSITIONS = ("unknown", "none", "relative", "rotary", "alibi", "absolute", "learned", "sinusoidal")
SIZES = {"vocab_size": 2, "window": 0, "prefix": 1, "layers": 1, "most_tokens": 2}


def counts(size: Any, least: int) -> bool:
    """Whether something is a number of at least so many."""
    return isinstance(size, int | np.integer) and not isinstance(size, bool) and int(size) >= least


class Generation(Protocol):
    """A cached generation, as `decode()` starts one; reorder and truncate may be missing."""

    def step(self, token_ids: NDArray[Any], attention_mask: NDArray[Any] | None) -> NDArray[Any]:
        """The logits of the next tokens, [batch, tokens, vocab]; the mask covers all tokens so far."""


@dataclass(frozen=True)
class ModelClaims:
    """What a model promises of its logits.

    vocab_size     token ids are drawn from 0 ... vocab_size - 1, without pad_id
    causal         a token sees itself and what lies before it; False: every token sees every other
    pad_id         what stands in padded slots; token 0 unless given
    padding        the side on which rows may be padded; None: rows are never padded
    documents      a third argument says which document a token belongs to
    window         tokens before its own that one layer sees
    prefix         so many first tokens see each other
    decode         starts a cached generation
    positions      how positions enter: "rotary", "alibi" or "relative"; "learned", "sinusoidal" or "absolute"; "none"
    layers         how many layers there are, so that a window's reach is known
    special_ids    tokens that mean something, as an end of text; each is seen among the others
    most_tokens    the longest row that the model takes
    local          tokens see chunks or neighbourhoods that no claim here describes: what is far need not matter
    """

    vocab_size: int
    causal: bool = True
    pad_id: int | None = None
    padding: Side | None = None
    documents: bool = False
    window: int | None = None
    prefix: int | None = None
    decode: Callable[[], Any] | None = None
    positions: str = "unknown"
    layers: int | None = None
    special_ids: tuple[int, ...] = ()
    most_tokens: int | None = None
    local: bool = False

    def __post_init__(self) -> None:
        for name, least in SIZES.items():
            size = getattr(self, name)
            if (size is not None or name == "vocab_size") and not counts(size, least):
                raise ContractError(f"{name}={size!r}: expected an integer, {least} or more.")
        if self.padding is not None and self.padding not in SIDES:
            raise ContractError(f'padding={self.padding!r}: expected "left", "right" or None.')
        if self.positions not in POSITIONS:
            raise ContractError(f"positions={self.positions!r}: expected one of {', '.join(POSITIONS)}.")
        if self.decode is not None and not callable(self.decode):
            raise ContractError(
                f"decode={self.decode!r}: expected a function that starts a cached generation."
            )
        self.check_together()

    def check_together(self) -> None:
        """Refuse what does not fit the vocabulary, or an encoder."""
        for token in (self.pad_id, *self.special_ids):
            if token is not None and not 0 <= token < self.vocab_size:
                raise ContractError(f"token {token} is none of the {self.vocab_size} of the vocabulary.")
        if not self.causal and (self.prefix is not None or self.decode is not None):
            raise ContractError("causal=False: an encoder has neither a prefix nor a cached generation.")

    @property
    def ordinary(self) -> NDArray[np.int64]:
        """The tokens that rows are drawn from."""
        tokens = np.arange(self.vocab_size, dtype=np.int64)
        return tokens if self.pad_id is None or self.vocab_size < 3 else np.delete(tokens, self.pad_id)

    @property
    def fill(self) -> int:
        """What stands in padded slots."""
        return 0 if self.pad_id is None else self.pad_id

    @property
    def counted(self) -> bool:
        """Whether positions are known to be counted, so that a shift of the whole row shows."""
        return self.positions in ("absolute", "learned", "sinusoidal")

    def __str__(self) -> str:
        said = ", ".join(
            f"{each.name}={value if each.name != 'decode' else '...'}"
            for each in fields(self)
            if (value := getattr(self, each.name)) != each.default
        )
        return f"a model with {said}"
