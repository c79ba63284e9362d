"""Which model is meant: a folder or a GGUF file, told from what is none before anything heavy is loaded."""

from pathlib import Path

from attnscope.inspection.by_hand import HandWritten
from attnscope.inspection.error import InspectionError
from attnscope.inspection.subject import Subject

GGUF_MAGIC = b"GGUF"


def subject_of(source: Path | None) -> Subject:
    """The model in a folder or a GGUF file, as Transformers loads it, offline; the hand-written one where none is named.

    Errors
        InspectionError for what holds no model, and where torch or Transformers is missing.
    """
    if source is None:
        return HandWritten()
    check_source(source)
    try:
        from attnscope.inspection.transformers_model import TransformersModel
    except ImportError as error:
        raise InspectionError(
            f"--model needs torch and transformers ({error}). Install them: pip install 'attnscope[transformers]'."
        ) from error
    return TransformersModel(source)


def check_source(source: Path) -> None:
    if not source.exists():
        raise InspectionError(f"model={str(source)!r}: no such folder or file. Models are never downloaded.")
    if source.is_dir():
        if not (source / "config.json").is_file():
            inside = sorted(path.name for path in source.glob("*.gguf"))
            way_out = (
                f"name the file: {source / inside[0]}"
                if inside
                else "give the folder that save_pretrained() wrote"
            )
            raise InspectionError(f"model={str(source)!r}: the folder holds no config.json; {way_out}.")
        return
    with source.open("rb") as file:
        magic = file.read(len(GGUF_MAGIC))
    if magic != GGUF_MAGIC:
        raise InspectionError(
            f"model={str(source)!r} is no GGUF file: it begins with {magic!r}. Give a model's folder or a GGUF file."
        )
