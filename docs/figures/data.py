"""The arrays that the figures show, computed by the library: python docs/figures/data.py writes them anew."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import attnscope as at

FOLDER = Path(at.__file__).parent / "lesson" / "figures"
DIGITS = 6
SENTENCE = "The trophy does not fit in the suitcase because it is too big"
LLAMA = {
    "model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "vocab_size": 128256,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 14336,
}  # fmt: skip


def scale() -> dict[str, Any]:
    """A row of 16 dot products for each size of a head, and the steepest slope of the median row."""
    rng = np.random.default_rng(2)
    dots, slopes = [], {"plain": [], "root": [], "width": []}
    for d in 2 ** np.arange(11):
        query, key = rng.standard_normal((2000, 1, d)), rng.standard_normal((2000, 16, d))
        if d == 1:  # a row that is as spread as most
            query[0] = 1.0
        dots.append((query[0] @ key[0].T)[0])
        for name, factor in (("plain", 1.0), ("root", d**-0.5), ("width", 1 / d)):
            weights = at.reference.weights(query, key, scale=factor)[:, 0]
            slopes[name].append(np.median((weights * (1 - weights)).max(axis=-1)))
    return {"dots": dots, "slopes": slopes}


def positions() -> dict[str, Any]:
    """A query and a key of eight numbers, and a table of positions that were learned, or might have been."""
    rng = np.random.default_rng(6)
    query, key = 1.6 * rng.standard_normal((2, 8))
    return {"query": query, "key": key, "table": rng.standard_normal((16, 8))}


def flash() -> dict[str, Any]:
    """Twelve tokens of four numbers."""
    query, key, value = np.random.default_rng(8).standard_normal((3, 12, 4))
    return {"query": 1.5 * query, "key": 1.5 * key, "value": value}


def leaks() -> dict[str, Any]:
    """Ten tokens of four numbers, three of which may be padding."""
    query, key, value = np.random.default_rng(9).standard_normal((3, 10, 4))
    words = "The trophy does not fit because it is too big".split()
    return {"words": words, "padded": 3, "query": query, "key": key, "value": value}


def cache() -> dict[str, Any]:
    """A model's costs per token and per pair, as the library counts them."""
    line = at.roofline(LLAMA, prompt=1, new_tokens=1, hardware="h100")
    parts = {part.name: part for part in line.decode.parts}
    of_weights = {name: int(parts[name].flops / 2) for name in ("projections", "MLP", "unembedding")}
    layers = LLAMA["num_hidden_layers"]
    model = {
        "name": "Llama 3 8B",
        "layers": layers,
        "flopsPerPair": parts["attention"].flops / layers / 2,  # a step with two tokens of context
        "bytesPerToken": at.size(LLAMA, context=1).bytes_per_token,
        "parameters": of_weights["projections"] + of_weights["MLP"],
        "unembedding": of_weights["unembedding"],
    }
    hardware = {
        "name": "H100", "flops": line.hardware.flops_per_second, "bytes": line.hardware.bytes_per_second,
    }  # fmt: skip
    return {"words": SENTENCE.split(), "prompt": 8, "model": model, "hardware": hardware}


DATA: dict[str, Callable[[], dict[str, Any]]] = {
    "scale": scale, "positions": positions, "flash": flash, "leaks": leaks, "cache": cache,
}  # fmt: skip


def plain(value: Any) -> Any:
    """Arrays as lists, and numbers with six digits behind the point."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    return round(value, DIGITS) if isinstance(value, float) else value


def text(data: dict[str, Any]) -> str:
    """The file's text: a line for each row of numbers."""
    lines = json.dumps(plain(data), ensure_ascii=False, separators=(",", ":"))
    return lines.replace("],[", "],\n[").replace(',"', ',\n"') + "\n"


if __name__ == "__main__":
    for name, made in DATA.items():
        (FOLDER / f"{name}.json").write_text(text(made()), encoding="utf-8")
