"""Inspect a model on a text: read the text, mark its segments, observe every layer once, and summarise."""

from collections.abc import Callable, Sequence
from pathlib import Path

from attnscope.inspection.hand_written import HandWritten
from attnscope.inspection.inspection import Inspection, provenance
from attnscope.inspection.layer_summary import summarize
from attnscope.inspection.reader import read
from attnscope.inspection.request import Request
from attnscope.inspection.segments import Segments, segment
from attnscope.inspection.subject import Subject, Tokens, tokenize
from attnscope.inspection.text import InspectionError

FIRST_KEYS = 4
TOP_KEYS = 8
BLOCK_MAP_SIZE = 64
GGUF_MAGIC = b"GGUF"

Progress = Callable[[float, str], None]  # the share that is done, and the next step


def inspect(request: Request, progress: Progress = lambda _share, _next: None) -> Inspection:
    """Run a model on a text and summarise what every head reads.

    Parameters
    ----------
    request : Request
        Text, model and segments.
    progress : callable, optional
        Called with the share that is done, 0 to 1, and the name of the next step.

    Returns
    -------
    Inspection
        The summary of every layer.

    Raises
    ------
    InspectionError
        If the text or the model cannot be used; the message states what to do.

    Examples
    --------
    >>> found = inspect(Request("the cat sat. the cat sat. the cat"))
    >>> found.ranked("induction")[-1].name
    'induction'
    """
    progress(0.0, "loading the model")
    subject = load(request.model)
    request = request.or_example(chats=subject.chats)
    layers = request.chosen_layers(subject.layers)
    text = read(request, subject)
    tokens = tokenize(
        subject, text.name, text.content, templated=text.templated, new_tokens=request.new_tokens
    )
    if request.new_tokens:
        progress(0.0, "generating")
        tokens = subject.generate(tokens, request.new_tokens)
    segments = segment(request, text, tokens)
    return observed(subject, text.name, tokens, segments, layers, progress)


def observed(  # a text, its parts, and a model
    subject: Subject,
    name: str,
    tokens: Tokens,
    segments: Segments | None,
    layers: Sequence[int],
    progress: Progress,
) -> Inspection:
    """The inspection of a model on tokens: every layer is observed once and summarised."""
    labels = None if segments is None else segments.labels
    count = len(tokens.ids)
    statistics = {
        "segments": labels,
        "first_keys": FIRST_KEYS,
        "top_keys": min(TOP_KEYS, count),
        "received": True,
        "block_map_size": min(BLOCK_MAP_SIZE, count),
    }

    def step(done: int) -> None:
        progress(done / len(layers), f"layer {layers[min(done, len(layers) - 1)]}")

    step(0)
    seen = subject.observe(tokens, layers, statistics, step)
    summaries = tuple(summarize(layer, tokens.ids, labels) for layer in seen)
    return Inspection(name, subject.name, tokens, segments, summaries, provenance(name, count, subject))


def load(source: Path | None) -> Subject:
    """The hand-written model, or what Transformers loads from a folder or a GGUF file, without a download.

    Raises
    ------
    InspectionError
        If the source contains no model, or torch or Transformers is missing.
    """
    if source is None:
        return HandWritten()
    check_source(source)
    try:
        from attnscope.inspection.transformers_model import TransformersModel
    except ImportError as error:
        raise InspectionError(
            f"--model needs torch and transformers ({error}). "
            "Install them: pip install 'attnscope[transformers]'."
        ) from error
    return TransformersModel(source)


def check_source(source: Path) -> None:
    """Raise InspectionError if the source is not a model, before anything large is imported."""
    if not source.exists():
        raise InspectionError(f"model={str(source)!r}: no such folder or file. Models are never downloaded.")
    if source.is_dir():
        if (source / "config.json").is_file():
            return
        files = sorted(path.name for path in source.glob("*.gguf"))
        remedy = (
            f"Give the file: {source / files[0]}" if files else "Give the folder that save_pretrained() wrote"
        )
        raise InspectionError(f"model={str(source)!r}: the folder contains no config.json. {remedy}.")
    with source.open("rb") as file:
        magic = file.read(len(GGUF_MAGIC))
    if magic != GGUF_MAGIC:
        raise InspectionError(
            f"model={str(source)!r} is not a GGUF file: it begins with {magic!r}. "
            "Give a model folder or a GGUF file."
        )
