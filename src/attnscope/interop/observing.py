"""observing(): an observation of each layer of a Transformers model, collected while it runs."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from transformers import PreTrainedModel

from attnscope.errors import AttentionError, UnsupportedProblemError
from attnscope.interop.layer_observation import Segments, TextOptions
from attnscope.interop.seen import Seen, read_heads, read_layers
from attnscope.interop.transformers_attention import observers
from attnscope.interop.transformers_register import register
from attnscope.interop.unwrapping import compiled_code_left_out, model_within


@contextmanager
def observing(  # noqa: PLR0913  # what is observed, each option by its name
    model: Any,
    *,
    segments: Segments | None = None,
    first_keys: int = 4,
    top_keys: int = 0,
    received: bool = False,
    block_map_size: int | None = None,
    layers: Collection[int] | None = None,
    ablate: Collection[tuple[int, int]] = (),
    keep_arguments: bool = False,
) -> Iterator[Seen]:
    """Collect an Observation of every layer while the model runs within the block; then restore the model.

    Within the block the model's attention is attnscope's. Its outputs equal those of the implementation
    "attnscope" bit for bit; register() need not have been called. An observation shows where heads looked,
    not what that changed: ablate a head, and compare the model's answers.

    Parameters
    ----------
    model : PreTrainedModel, or an object around one
        A model of Transformers; also compiled by torch.compile(), which has no effect within the block, or
        within PEFT's, DataParallel, SentenceTransformer or a pipeline.
    segments : {name: (start, end)}, or int array, (tokens,) or (batch, tokens)
        As in observe(), of the text's tokens; {name: (start, None)} reaches to the end of any text.
    first_keys, top_keys, received, block_map_size
        As in observe(). A block map belongs to one call; several calls have none.
    layers : collection of int or None
        Numbers of the layers to observe, from 0; the others only run. None: all.
    ablate : collection of (int, int)
        Heads, as (layer, head), whose output becomes 0.
    keep_arguments : bool
        Whether seen.arguments keeps every layer's arguments of attention(), for observation.rollout(): those
        of its last call, in the memory of the model's queries, keys and values.

    Yields
    ------
    Seen
        Empty at first; filled while the model runs.

    Raises
    ------
    UnsupportedProblemError
        If the model's attention does not go through Transformers' AttentionInterface: at the start of the
        block if its class shows that, otherwise at the end. Also for all that register() names.
    AttentionError
        If the model is being observed already, or if ranges, layers or heads are impossible; at the end of
        the block if the model did not call a named layer.

    Examples
    --------
    >>> with observing(model, segments={"system": (0, 40), "rest": (40, None)}) as seen:  # doctest: +SKIP
    ...     model(**inputs)
    >>> seen[3].segment_mass  # of layer 3: [batch, query_heads, query_len, 2]  # doctest: +SKIP
    """
    inner = model_within(model)
    modules = {module: name for name, module in inner.named_modules()}
    if any(module in observers for module in modules):
        raise AttentionError(
            "this model is being observed already. Leave the other `with observing(...)` first."
        )
    options = TextOptions(segments, first_keys, top_keys, received, block_map_size)
    seen = Seen(options, read_layers(layers), read_heads(ablate), modules, [] if keep_arguments else None)
    with (
        attending_by_attnscope(inner),
        compiled_code_left_out(model, inner),
        seen.runs.followed(models_of(inner)),
    ):
        observers.update(dict.fromkeys(modules, seen))
        try:
            yield seen
        finally:
            for module in modules:
                observers.pop(module, None)
    seen.check_layers()


@contextmanager
def attending_by_attnscope(model: Any) -> Iterator[None]:
    """Give a model attnscope's attention within the block, and restore its own in any case.

    Raises
    ------
    UnsupportedProblemError
        If the model's class accepts no other attention.
    """
    name = register()
    configs = configs_of(model)
    before = [config._attn_implementation_internal for config in configs]  # noqa: SLF001  # see the setter
    try:
        if not any(part._can_set_attn_implementation() for part in models_of(model)):  # noqa: SLF001
            raise UnsupportedProblemError(
                f"{type(model).__name__} computes its attention by itself, not through Transformers' "
                "AttentionInterface, so it cannot be replaced. Give its arrays to observe() by hand."
            )
        model.set_attn_implementation(name)
        for config, own in zip(configs, before, strict=True):
            if config._attn_implementation_internal == name:  # noqa: SLF001
                config._attn_implementation_internal = Borrowed(name, own)  # noqa: SLF001
        yield
    finally:
        for config, implementation in zip(configs, before, strict=True):
            config._attn_implementation_internal = implementation  # noqa: SLF001


class Borrowed(str):
    """The name of an implementation that a model has for a while; a copy of the model has its own one."""

    own: str | None

    def __new__(cls, name: str, own: str | None) -> "Borrowed":
        made = super().__new__(cls, name)
        made.own = own
        return made

    def __deepcopy__(self, _: Any) -> str | None:
        return self.own

    def __reduce__(self) -> Any:
        return (_same, (self.own,))


def _same(name: str | None) -> str | None:
    return name


def models_of(model: Any) -> list[Any]:
    """A model and the models inside it."""
    return [module for module in model.modules() if isinstance(module, PreTrainedModel)]


def configs_of(model: Any) -> list[Any]:
    """Every configuration that names an implementation of attention, each once."""
    found: dict[int, Any] = {}
    waiting = [part.config for part in models_of(model)]
    while waiting:
        config = waiting.pop()
        if config is not None and id(config) not in found:
            found[id(config)] = config
            waiting += [getattr(config, name, None) for name in config.sub_configs]
    return list(found.values())
