"""Configs of real models, written from their published fields."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "configs"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


def config(name: str, **changes: Any) -> dict[str, Any]:
    """A model's config, with some fields changed, or left out if the change is Ellipsis."""
    fields: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return {key: value for key, value in (fields | changes).items() if value is not ...}


LLAMA = {
    "model_type": "llama",
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
}  # per token: 2 layers x 2 heads x (16 + 16) numbers = 128, in bfloat16 256 bytes
SLIDING = LLAMA | {"model_type": "mistral", "sliding_window": 100}
