"""The arguments of an audit of a model: what it claims, checked, and the settings of the audit."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from attnscope.audit.contract import ContractError, check_limits
from attnscope.audit.report import Progress
from attnscope.audit.suspect import Watch

Side = Literal["left", "right"]
SIDES = ("left", "right")
POSITIONS = ("unknown", "none", "relative", "rotary", "alibi", "absolute", "learned", "sinusoidal")
SIZES = {"vocab_size": 2, "window": 0, "prefix": 1, "layers": 1, "most_tokens": 2}


def counts(size: Any, least: int) -> bool:
    """Whether a value is an integer of at least `least`."""
    return isinstance(size, int | np.integer) and not isinstance(size, bool) and int(size) >= least


class Generation(Protocol):
    """A cached generation, as `decode()` starts it; reorder and truncate are optional."""

    def step(self, token_ids: NDArray[Any], attention_mask: NDArray[Any] | None) -> NDArray[Any]:
        """Return the logits of the next tokens, [batch, tokens, vocab]; the mask covers all tokens so far."""


@dataclass(frozen=True)
class ModelClaims:
    """The promises of a model.

    Parameters
    ----------
    vocab_size : int
        Token ids are drawn from 0 to vocab_size - 1, without pad_id.
    causal : bool
        Whether a token sees itself and earlier tokens only; else every token sees every other.
    pad_id : int, optional
        The token in padded slots; 0 if not given.
    padding : {"left", "right"}, optional
        The side on which rows may be padded; None: rows are never padded.
    documents : bool
        Whether a third argument gives each token's document.
    window : int, optional
        Tokens before its own that one layer sees.
    prefix : int, optional
        The number of first tokens that see each other.
    decode : callable, optional
        Starts a cached generation.
    positions : str
        How positions enter: "rotary", "alibi", "relative", "learned", "sinusoidal", "absolute", "none" or
        "unknown".
    layers : int, optional
        The number of layers, from which the reach of a window follows.
    special_ids : tuple of int
        Tokens with a meaning, such as an end of text; rows contain them.
    most_tokens : int, optional
        The longest row that the model takes.
    local : bool
        Whether tokens see chunks or neighbourhoods that no other claim describes, so that far tokens need
        not matter.
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
        """Refuse claims that contradict the vocabulary or each other."""
        for token in (self.pad_id, *self.special_ids):
            if token is not None and not 0 <= token < self.vocab_size:
                raise ContractError(
                    f"token {token} is outside the vocabulary: expected 0 to {self.vocab_size - 1}."
                )
        if not self.causal and (self.prefix is not None or self.decode is not None):
            raise ContractError("causal=False: an encoder has neither a prefix nor a cached generation.")

    @property
    def ordinary(self) -> NDArray[np.int64]:
        """The tokens that rows are drawn from."""
        tokens = np.arange(self.vocab_size, dtype=np.int64)
        return tokens if self.pad_id is None or self.vocab_size < 3 else np.delete(tokens, self.pad_id)

    @property
    def fill(self) -> int:
        """The token in padded slots."""
        return 0 if self.pad_id is None else self.pad_id

    @property
    def counted(self) -> bool:
        """Whether positions are absolute, so that a shift of the whole row changes the logits."""
        return self.positions in ("absolute", "learned", "sinusoidal")

    def __str__(self) -> str:
        claims = ", ".join(
            f"{each.name}={value if each.name != 'decode' else '...'}"
            for each in fields(self)
            if (value := getattr(self, each.name)) != each.default
        )
        return f"a model with {claims}"


@dataclass(frozen=True)
class Limits:
    """The settings of an audit, which do not depend on the model.

    Parameters
    ----------
    seed : int
        Determines every question.
    seconds : float
        Time limit, in seconds.
    progress : callable, optional
        Called with the completed share and the name of the next step.
    not_covered : tuple of str
        Sentences for the report.
    watch : callable, optional
        Called with the description of each call before it is made.
    """

    seed: int = 0
    seconds: float = 240.0
    progress: Progress | None = None
    not_covered: tuple[str, ...] = ()
    watch: Watch | None = None

    def __post_init__(self) -> None:
        check_limits(self.seed, seconds=self.seconds)

    def report(self, share: float, step: str) -> None:
        """Call `progress`, if there is one."""
        if self.progress is not None:
            self.progress(share, step)
