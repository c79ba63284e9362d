"""The fields of a config: read by name, checked, and refused if a field that could matter stays unread."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from attnscope.arguments import LONGEST_NAME, brief, one_line
from attnscope.errors import ConfigError

LARGEST = 2**31  # no size of a model is as large
MOST_FIELDS = 2**16
# parts of names whose fields could change the cache; attention.* is a field of a GGUF file
SUSPICIOUS = re.compile(r"window|kv|head|layer|state|lora|index|compress|chunk|attention\.", re.IGNORECASE)
# names with such parts that do not change it: norms, dropout, training, tokens, outputs, which layers hold
# which MLP, prediction heads that generate() does not run, and what belongs to pictures or sound
HARMLESS = re.compile(
    r"""
    .*layer_?norm.*|norm_.*|.*layer_?drop.*|.*_dropout.*|.*layer_?scale.*|chunk_size_feed_forward
    |output_.*|return_.*states?|.*_(token|pad|bos|eos|unk)_(index|id|ids)|(pad|bos|eos|unk|mask)_index
    |.*lora_(alpha|dropout)|lm_head.*|.*classifier.*|summary_.*|pruned_heads|logits_to_keep
    |guided_attention_.*|.*head_init.*|init.*|mlp_layer_types|moe_layers?|moe_layer_.*|.*expert.*
    |interleave_moe_layer_step
    |mlp_only_layers|.*dense_layers?|first_k_dense.*|num_nextn_predict_layers|mtp_.*|num_mtp_.*
    |.*_per_layer_input|layer_rope_theta|no_rope_.*|.*rope.*|qkv_bias|use_qkv.*|attention_qkv.*|clip_qkv
    |qk_layer_?norms?
    |.*_checkpoint.*|pretraining_tp|transformers_.*
    |(vision|image|audio|video|speech|projector|mm|multimodal|perceiver|resampler|encodec|depth)_.*
    """,
    re.IGNORECASE | re.VERBOSE,
)


class Fields:
    """The fields of one mapping; remembers which were read, and notes on those that were filled in.

    `prefix` is the mapping's place in the file, such as "text_config."; `defaults` are the architecture's
    documented values of fields that files leave out. Every reader raises ConfigError for a value that is not
    of its kind.
    """

    def __init__(
        self,
        given: Mapping[str, Any],
        *,
        prefix: str = "",
        defaults: Mapping[str, Any] | None = None,
        model_type: str = "",
    ) -> None:
        if len(given) > MOST_FIELDS:
            raise ConfigError(
                f"{prefix or 'the config'} has {len(given):,} fields: expected at most {MOST_FIELDS:,}."
            )
        self.given = given
        self.prefix = prefix
        self.defaults = defaults or {}
        self.model_type = model_type
        self.used: set[str] = set()
        self.notes: dict[str, str] = {}  # by the field that they are about

    def value(self, *names: str) -> Any:
        """The value under any of these names, or None; the default if none of the names is in the file."""
        self.used.update(names)
        found = {name: self.given[name] for name in names if self.given.get(name) is not None}
        if len(found) > 1 and len({repr(value) for value in found.values()}) > 1:
            both = " and ".join(f"{self.prefix}{name}={brief(value)}" for name, value in found.items())
            raise ConfigError(
                f"{both} are names of one size and disagree. Correct the file, or assume= one of them and "
                "None for the other."
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
        self.notes[name] = f"not in the file: {self.prefix}{name}={brief(value)} ({why})"

    def note_unused(self, name: str, why: str) -> None:
        """Note that a field, or its default, has no effect."""
        value = self.given.get(name, self.defaults.get(name))
        self.notes[name] = f"not used: {self.prefix}{name}={brief(value)} ({why})"

    def optional_integer(self, *names: str, minimum: int = 1) -> int | None:
        """An integer, or None if the field is missing."""
        value = self.value(*names)
        return None if value is None else self._integer(value, self.present(names), minimum)

    def integer(self, *names: str, minimum: int = 1, otherwise: int | None = None, why: str = "") -> int:
        """An integer; if it is missing, `otherwise`, which is noted with its reason."""
        number = self.optional_integer(*names, minimum=minimum)
        if number is not None:
            return number
        if otherwise is None:
            raise ConfigError(
                f"{self.prefix}{names[0]} is missing, and {self.model_type or 'the model'} has no default. "
                f"Give it: assume={{{names[0]!r}: ...}}."
            )
        self.fill(names[0], otherwise, why)
        return otherwise

    def require(self, name: str) -> None:
        """Raise ConfigError if the field is missing."""
        if self.value(name) is None:
            raise ConfigError(
                f"{self.prefix}{name} is missing, and the default of {self.model_type} differs from layer to "
                f"layer. Give it: assume={{{name!r}: ...}}."
            )

    def flag(self, *names: str, otherwise: bool = False) -> bool:
        """A boolean; `otherwise` if it is missing."""
        value = self.value(*names)
        if value is None:
            return otherwise
        if type(value) is not bool:
            raise ConfigError(f"{self.prefix}{self.present(names)}={brief(value)}: expected true or false.")
        return value

    def strings(self, *names: str) -> list[str] | None:
        """A list of strings, or None if the field is missing."""
        value = self.value(*names)
        if value is None:
            return None
        if not isinstance(value, list | tuple) or not all(type(word) is str for word in value):
            raise ConfigError(f"{self.prefix}{self.present(names)}={brief(value)}: expected a list of names.")
        return list(value)

    def integers(self, *names: str, minimum: int = 0) -> list[int] | None:
        """A list of integers, or None if the field is missing."""
        value = self.value(*names)
        if value is None:
            return None
        name = self.present(names)
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{self.prefix}{name}={brief(value)}: expected a list of integers.")
        return [self._integer(each, f"{name}[{i}]", minimum) for i, each in enumerate(value)]

    def mapping(self, name: str) -> "Fields | None":
        """The fields of an inner mapping, or None if it is missing."""
        value = self.value(name)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise ConfigError(f"{self.prefix}{name}={brief(value)}: expected a mapping of fields.")
        return Fields(
            value, prefix=f"{self.prefix}{name}.", defaults=self.defaults, model_type=self.model_type
        )

    def ignore(self, *names: str) -> None:
        """Note that these fields do not change the cache here."""
        self.used.update(names)

    def present(self, names: Sequence[str]) -> str:
        """The name under which the file has the field; the first one if it has none."""
        return next((name for name in names if self.given.get(name) is not None), names[0])

    def refuse_unread(self, harmless: Sequence[str] = ()) -> None:
        """Raise ConfigError for an unread field whose name suggests that it could change the cache.

        null, false and empty values switch something off, and count as missing.
        """
        own = [re.compile(pattern) for pattern in harmless]
        for name, value in self.given.items():
            if name in self.used or value is None or value is False or value in ({}, []):
                continue
            start = name[:LONGEST_NAME]  # the whole of a longer name is no more telling
            if not SUSPICIOUS.search(start) or HARMLESS.fullmatch(start):
                continue
            if any(pattern.fullmatch(start) for pattern in own):
                continue
            raise ConfigError(
                f"{self.prefix}{one_line(name)}={brief(value)}: {self.model_type or 'this model'} is not "
                "known to have this field, and it could change the cache. If it does not: "
                f"assume={{{brief(name)}: None}}."
            )

    def _integer(self, value: Any, name: str, minimum: int) -> int:
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is not int:
            raise ConfigError(f"{self.prefix}{name}={brief(value)}: expected an integer.")
        if not minimum <= value < LARGEST:
            raise ConfigError(
                f"{self.prefix}{name}={brief(value)}: expected {minimum} or more, and less than 2**31."
            )
        return value
