"""The Transformers model inside a compiled one, PEFT's, DataParallel, SentenceTransformer or a pipeline."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import Pipeline, PreTrainedModel

from attnscope.errors import UnsupportedProblemError


def model_within(given: Any) -> Any:
    """The model of Transformers that an object is, wraps or runs.

    Raises
    ------
    UnsupportedProblemError
        If it contains none, or several.
    """
    held = given.model if isinstance(given, Pipeline) else given
    models = [] if not isinstance(held, torch.nn.Module) else list(outermost(held))
    if len(models) == 1:
        return models[0][1]
    if not models:
        raise UnsupportedProblemError(
            f"model is a {type(given).__name__}, expected a model of Transformers, or a module around one. "
            "For other code, call observe()."
        )
    names = ", ".join(name for name, _ in models)
    raise UnsupportedProblemError(
        f"model is a {type(given).__name__} with {len(models)} models of Transformers inside: {names}. "
        "Observe one of them."
    )


def outermost(module: torch.nn.Module, name: str = "") -> Iterator[tuple[str, Any]]:
    """The models within a module that are in no other, with their names."""
    if isinstance(module, PreTrainedModel):
        yield name, module
        return
    for part, inner in module.named_children():
        yield from outermost(inner, f"{name}.{part}".lstrip("."))


@contextmanager
def compiled_code_left_out(given: Any, model: Any) -> Iterator[None]:
    """Run compiled models as they were written, or nothing could follow their parts."""
    if is_compiled(given) or any(map(is_compiled, model.modules())):
        with torch.compiler.set_stance("force_eager"):
            yield
    else:
        yield


def is_compiled(module: Any) -> bool:
    """Whether torch.compile() returned this module, or replaced how it is called."""
    own = getattr(module, "__dict__", {})
    return "_orig_mod" in own.get("_modules", {}) or any(
        getattr(own.get(name), "_torchdynamo_orig_callable", None) is not None
        for name in ("forward", "_compiled_call_impl")
    )
