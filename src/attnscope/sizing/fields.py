"""Fields of a config: read by name, and never silently left unread."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from attnscope.arguments import brief
from attnscope.errors import ConfigError

LARGEST = 2**31  # no size of a model is as large
# what a field's name says if it could change the cache
SUSPICIOUS = re.compile(r"window|kv|head|layer|state|lora|index|compress|chunk", re.IGNORECASE)
# names that sound so, and do not: norms, dropout, training, tokens, outputs, which layers hold which MLP, prediction
# heads that generate() does not run, and what belongs to pictures or sound
HARMLESS = re.compile(
    r"""
    .*layer_?norm.*|norm_.*|.*layer_?drop.*|.*_dropout.*|.*layer_?scale.*|chunk_size_feed_forward
    |output_.*|return_.*states?|.*_(token|pad|bos|eos|unk)_(index|id|ids)|(pad|bos|eos|unk|mask)_index|.*lora_(alpha|dropout)
    |lm_head.*|.*classifier.*|summary_.*|pruned_heads|logits_to_keep|guided_attention_.*|.*head_init.*|init.*
    |mlp_layer_types|moe_layers?|moe_layer_.*|.*expert.*|interleave_moe_layer_step|mlp_only_layers|.*dense_layers?|first_k_dense.*
    |num_nextn_predict_layers|mtp_.*|num_mtp_.*|.*_per_layer_input|layer_rope_theta|no_rope_.*|.*rope.*
    |qkv_bias|use_qkv.*|attention_qkv.*|clip_qkv|qk_layer_?norms?|.*_checkpoint.*|pretraining_tp|transformers_.*
    |(vision|image|audio|video|speech|projector|mm|multimodal|perceiver|resampler|encodec|depth)_.*
    """,
    re.IGNORECASE | re.VERBOSE,
)


class Fields:
    """The fields of one mapping: which were read, which were missing and what stands in for them.

    `where` is the mapping's place in the file, as in "text_config."; `defaults` are the architecture's own, as its
    documentation gives them.

    Errors
        ConfigError.
    """

    def __init__(
        self,
        given: Mapping[str, Any],
        *,
        where: str = "",
        defaults: Mapping[str, Any] | None = None,
        model_type: str = "",
    ) -> None:
        self.given = given
        self.where = where
        self.defaults = defaults or {}
        self.model_type = model_type
        self.used: set[str] = set()
        self.filled: dict[str, str] = {}

    def value(self, *names: str) -> Any:
        """What stands under one of these names, or None; the architecture's default where no name is there."""
        self.used.update(names)
        found = {name: self.given[name] for name in names if self.given.get(name) is not None}
        if len(found) > 1 and len({repr(value) for value in found.values()}) > 1:
            said = " and ".join(f"{self.where}{name}={brief(value)}" for name, value in found.items())
            raise ConfigError(
                f"{said} are names of one size and disagree. Correct the file, or assume= one and None."
            )
        if found:
            return next(iter(found.values()))
        default = next((self.defaults[name] for name in names if name in self.defaults), None)
        if default is not None and not any(name in self.given for name in names):
            self.fill(names[0], default, f"the default of {self.model_type}")
            return default
        return None

    def fill(self, name: str, value: Any, why: str) -> None:
        """Note that a missing field was given a value."""
        self.filled[name] = f"{self.where}{name}={brief(value)} ({why})"

    def maybe_whole(self, *names: str, minimum: int = 1) -> int | None:
        """An integer, or None where there is none."""
        value = self.value(*names)
        return None if value is None else self._whole(value, self._present(names), minimum)

    def whole(self, *names: str, minimum: int = 1, otherwise: int | None = None, why: str = "") -> int:
        """An integer; where it is missing, what `otherwise` says, with its reason."""
        number = self.maybe_whole(*names, minimum=minimum)
        if number is not None:
            return number
        if otherwise is None:
            raise ConfigError(
                f"{self.where}{names[0]} is missing, and {self.model_type or 'the model'} has no default for it. "
                f"Give it: assume={{{names[0]!r}: ...}}."
            )
        self.fill(names[0], otherwise, why)
        return otherwise

    def require(self, name: str) -> None:
        """Raise ConfigError where the field is missing."""
        if self.value(name) is None:
            raise ConfigError(
                f"{self.where}{name} is missing, and the default of {self.model_type} differs from layer to layer. "
                f"Give it: assume={{{name!r}: ...}}."
            )

    def flag(self, *names: str, otherwise: bool = False) -> bool:
        value = self.value(*names)
        if value is None:
            return otherwise
        if type(value) is not bool:
            raise ConfigError(f"{self.where}{self._present(names)}={brief(value)}: expected true or false.")
        return value

    def words(self, *names: str) -> list[str] | None:
        """A list of strings, or None."""
        value = self.value(*names)
        if value is None:
            return None
        if not isinstance(value, list | tuple) or not all(type(word) is str for word in value):
            raise ConfigError(f"{self.where}{self._present(names)}={brief(value)}: expected a list of names.")
        return list(value)

    def wholes(self, *names: str, minimum: int = 0) -> list[int] | None:
        """A list of integers, or None."""
        value = self.value(*names)
        if value is None:
            return None
        name = self._present(names)
        if not isinstance(value, list | tuple) or len(value) > LARGEST:
            raise ConfigError(f"{self.where}{name}={brief(value)}: expected a list of integers.")
        return [self._whole(each, f"{name}[{i}]", minimum) for i, each in enumerate(value)]

    def inner(self, name: str) -> "Fields | None":
        """The fields of a mapping within, or None."""
        value = self.value(name)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise ConfigError(f"{self.where}{name}={brief(value)}: expected a mapping of fields.")
        return Fields(value, where=f"{self.where}{name}.", defaults=self.defaults, model_type=self.model_type)

    def leave(self, *names: str) -> None:
        """Say that these fields do not matter here."""
        self.used.update(names)

    def refuse_unread(self, harmless: Sequence[str] = ()) -> None:
        """Refuse a field that nobody read and whose name speaks of what a cache is made of.

        null and false say that something is off, and count as not there.
        """
        own = [re.compile(pattern) for pattern in harmless]
        for name, value in self.given.items():
            if name in self.used or value is None or value is False or value in ({}, []):
                continue
            if not SUSPICIOUS.search(name) or HARMLESS.fullmatch(name):
                continue
            if any(pattern.fullmatch(name) for pattern in own):
                continue
            raise ConfigError(
                f"{self.where}{name}={brief(value)}: {self.model_type or 'this model'} is not known to have this field, "
                f"and it could change the cache. If it does not: assume={{{name!r}: None}}."
            )

    def _present(self, names: Sequence[str]) -> str:
        return next((name for name in names if self.given.get(name) is not None), names[0])

    def _whole(self, value: Any, name: str, minimum: int) -> int:
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is not int:
            raise ConfigError(f"{self.where}{name}={brief(value)}: expected an integer.")
        if not minimum <= value < LARGEST:
            raise ConfigError(
                f"{self.where}{name}={brief(value)}: expected {minimum} or more, and less than 2**31."
            )
        return value
