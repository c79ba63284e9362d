"""What a function claims: the options that it takes, and its other promises."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, Literal, Protocol, Self, get_args

import numpy as np
from numpy.typing import NDArray

from attnscope.arguments import brief, whole_number
from attnscope.audit.options import BY_NAME
from attnscope.errors import AttentionError
from attnscope.problem import FORMATS

Alignment = Literal["end", "start"]
MaskedRows = Literal["zero", "unspecified"]
SWITCHES = (
    *(name for name in BY_NAME if name != "causal"),
    "logsumexp",
    "unequal_lengths",
    "hidden_nan",
    "same_bits",
)
CALLABLES = ("gradients", "cache")


class ContractError(AttentionError):
    """Raised if a contract or a claim cannot be checked."""


class Cache(Protocol):
    """Keys and values of one sequence of calls: causal, bottom-right aligned, without options."""

    def append(self, key: NDArray[Any], value: NDArray[Any]) -> None:
        """Append tokens, [batch, heads, tokens, dim]."""

    def attend(self, query: NDArray[Any]) -> NDArray[Any]:
        """Return the output of queries whose positions are those of the last keys."""


@dataclass(frozen=True)
class Contract:
    """State what an attention function claims.

    An option that is not declared is never passed, not even as False.

    Parameters
    ----------
    causal : bool or "always"
        Passed as causal=True or False: a query sees no key after its position. "always": the function is
        causal, and the option is never passed.
    alignment : {"end", "start"}
        The alignment of causal and window. "end" (bottom-right): the last query has the position of the
        last key. "start" (top-left): the first query has the position of the first key.
    key_mask : bool
        Passed as a bool array [batch, key_len]; True = visible.
    mask : bool
        Passed as a bool array [batch, 1 or heads, query_len, key_len]; True = visible.
    window : bool
        Passed as window=(left, right): neighbours, the position itself not counted.
    documents : bool
        Passed as an int array [batch, key_len]: a query sees only keys of its own document.
    grouped_heads : bool
        There may be more query heads than kv heads: head h reads h // (query_heads / kv_heads).
    scale : bool
        Passed as a float that replaces 1 / sqrt(key_dim).
    softcap : bool
        Passed as a float: softcap * tanh(score / softcap).
    bias : bool
        Passed as a float array [batch or 1, heads or 1, query_len or 1, key_len], added after scale and
        soft-cap.
    sinks : bool
        Passed as a float array [heads]: logits that join the softmax denominator.
    logsumexp : bool
        Passed as return_logsumexp=True. The function then returns (output, logsumexp) with the natural log
        of the softmax denominator, [batch, heads, query_len].
    dtypes : tuple of str
        The number formats of the arrays.
    gradients : callable, optional
        `gradients(query, key, value, grad_output, **options) -> (grad_query, grad_key, grad_value)`.
    cache : callable, optional
        Called without arguments; returns an object with append(key, value) and attend(query).
    masked_rows : {"zero", "unspecified"}
        "zero": a fully masked row has output 0, and logsumexp -inf or the sink. "unspecified": no claim.
    unequal_lengths : bool
        Whether query_len may differ from key_len.
    hidden_nan : bool
        Whether a NaN in a hidden slot must reach no output.
    same_bits : bool
        Whether a batch item must have the same bits alone and beside others.

    Raises
    ------
    ContractError
        If a field is wrong. The message names the field, what was expected, what came and what to do.

    Examples
    --------
    >>> Contract(causal=True, key_mask=True).options
    ('causal', 'key_mask')
    """

    causal: bool | Literal["always"] = False
    alignment: Alignment = "end"
    key_mask: bool = False
    mask: bool = False
    window: bool = False
    documents: bool = False
    grouped_heads: bool = False
    scale: bool = False
    softcap: bool = False
    bias: bool = False
    sinks: bool = False
    logsumexp: bool = False
    dtypes: tuple[str, ...] = ("float32",)
    gradients: Callable[..., Any] | None = None
    cache: Callable[[], Cache] | None = None
    masked_rows: MaskedRows = "zero"
    unequal_lengths: bool = True
    hidden_nan: bool = True
    same_bits: bool = True

    def __post_init__(self) -> None:
        if not (isinstance(self.causal, bool) or self.causal == "always"):
            raise ContractError(f"causal={brief(self.causal)}: expected True, False or 'always'.")
        for name in SWITCHES:
            given = getattr(self, name)
            if not isinstance(given, bool):
                raise ContractError(
                    f"{name}={brief(given)}: expected True or False: does the function take it?"
                )
        for name, allowed in (("alignment", Alignment), ("masked_rows", MaskedRows)):
            if getattr(self, name) not in get_args(allowed):
                raise ContractError(
                    f"{name}={brief(getattr(self, name))}: expected one of {list(get_args(allowed))}."
                )
        for name in CALLABLES:
            given = getattr(self, name)
            if given is not None and not callable(given):
                raise ContractError(f"{name}={brief(given)}: expected a callable, or None if there is none.")
        object.__setattr__(self, "dtypes", read_dtypes(self.dtypes))

    @classmethod
    def of(cls, claims: Mapping[str, Any]) -> Self:
        """Make a contract from a mapping, such as the content of a TOML or JSON file.

        Parameters
        ----------
        claims : mapping
            Fields of the contract, by name.

        Returns
        -------
        Contract
            The contract with these fields; the others have their defaults.

        Raises
        ------
        ContractError
            If a name is no field of a contract, or a value is wrong.

        Examples
        --------
        >>> Contract.of({"causal": True}).options
        ('causal',)
        """
        known = [field.name for field in fields(cls)]
        for name in claims:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                meant = f"Did you mean {near[0]!r}?" if near else f"Use some of {known}."
                raise ContractError(f"{brief(name)} is no field of a contract. {meant}")
        return cls(**claims)

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the declared options that change the meaning of a call, in the order of the table."""
        return tuple(name for name in BY_NAME if getattr(self, name))

    @property
    def offset(self) -> int | None:
        """The position of the first query, as masks take it; None stands for key_len - query_len."""
        return 0 if self.alignment == "start" else None

    @property
    def main_format(self) -> str:
        """The declared format that most calls use, preferably float32."""
        return next(name for name in ("float32", "float64", "float16", "bfloat16") if name in self.dtypes)

    def __str__(self) -> str:
        claims = [
            f"{field.name}={_shown(getattr(self, field.name))}"
            for field in fields(self)
            if getattr(self, field.name) != field.default
        ]
        return f"Contract({', '.join(claims)})"


def check_limits(seed: Any, **seconds: Any) -> None:
    """Refuse a seed that is no whole number, and limits that are no time."""
    whole_number(seed, "seed", minimum=0, error=ContractError)
    for name, given in seconds.items():
        if isinstance(given, bool) or not isinstance(given, int | float | np.number) or not given > 0:
            raise ContractError(f"{name}={brief(given)}: expected a number of seconds above 0.")


def read_dtypes(given: Any) -> tuple[str, ...]:
    """Names of number formats, from one or several names or dtypes; ContractError for others."""
    several = given if isinstance(given, tuple | list) else (given,)
    names: list[str] = []
    for each in several:
        name = each if isinstance(each, str) else _dtype_name(each)
        if name not in FORMATS:
            raise ContractError(
                f"dtypes={brief(given)}: {brief(each)} is no format that is audited. "
                f"Use some of {list(FORMATS)}."
            )
        names.append(name)
    if not names:
        raise ContractError("dtypes=(): expected at least one format, such as ('float32',).")
    return tuple(dict.fromkeys(names))


def _dtype_name(given: Any) -> str:
    try:
        return str(np.dtype(given).name)
    except Exception:  # noqa: BLE001  # NumPy raises many kinds of errors for what is no dtype
        return brief(given)


def _shown(value: Any) -> str:
    name = getattr(value, "__qualname__", None)
    return name if isinstance(name, str) else repr(value)
