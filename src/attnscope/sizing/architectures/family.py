"""What all models of one architecture have in common: names, a pattern of layers, and what each kind keeps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from attnscope.sizing.architectures.attention import KINDS, Builder, Names
from attnscope.sizing.architectures.mlp import Mlp
from attnscope.sizing.architectures.patterns import Pattern, all_of
from attnscope.sizing.fields import Fields
from attnscope.sizing.model import Layer

ALL_FULL = all_of("full")


@dataclass(frozen=True)
class Family:
    """How the configs of an architecture are read.

    pattern       which kind each layer is of
    kinds         what a layer of each kind keeps
    names         what the sizes are called
    defaults      the architecture's documented values of fields that published files leave out
    required      fields whose default is no single value: a file must have them
    harmless      patterns of names that sound as if they changed the cache, and do not
    heads         whether there are attention heads at all
    kv_heads      reads their number where it is no plain field
    layer_count   reads how many layers there are where that is no plain field
    finish        changes layers by what spans them, as where the last ones read earlier ones' keys
    decoder_flag  the file must say is_decoder: by itself the architecture is an encoder and has no cache
    tied          whether input and output share one matrix where the file does not say
    """

    pattern: Pattern = ALL_FULL
    kinds: Mapping[str, Builder] = field(default_factory=lambda: KINDS)
    names: Names = field(default_factory=Names)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    harmless: tuple[str, ...] = ()
    heads: bool = True
    kv_heads: Callable[[Fields], int | None] | None = None
    layer_count: Callable[[Fields], int] | None = None
    finish: Callable[[Fields, list[Layer]], list[Layer]] | None = None
    mlp: Mlp | None = field(default_factory=Mlp)
    decoder_flag: bool = False
    tied: bool = False
