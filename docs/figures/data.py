"""The arrays that the figures show, computed by the library: python docs/figures/data.py writes them anew."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import attnscope as at
from attnscope import training as small_model
from attnscope.models.trained import stored_arrays
from attnscope.training import cross_entropy, shuffled_texts

FOLDER = Path(at.__file__).parent / "lesson" / "figures"
DIGITS = 6
SENTENCE = small_model.SENTENCE.rstrip(".")
LLAMA = {
    "model_type": "llama",
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "vocab_size": 128256,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 14336,
}


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
    words = ["The", "trophy", "does", "not", "fit", "because", "it", "is", "too", "big"]
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
        "name": "H100",
        "flops": line.hardware.flops_per_second,
        "bytes": line.hardware.bytes_per_second,
    }
    return {"words": SENTENCE.split(), "prompt": 8, "model": model, "hardware": hardware}


def gemma() -> dict[str, Any]:
    """What observe.py stored of a real model."""
    observed: dict[str, Any] = json.loads((Path(__file__).parent / "gemma.json").read_text(encoding="utf-8"))
    return observed


def masks() -> dict[str, Any]:
    """Scores of a head of Gemma 3 270M on the sentence, without its full stop."""
    sentence = gemma()["sentence"]
    words, head = sentence["words"][:-1], sentence["heads"]["it"]
    scores, values = np.array(head["scores"])[:-1, :-1], np.array(head["values"])[:-1]
    return {
        "words": words,
        "length": 11,
        "left": 3,
        "documents": [0] * 9 + [1] * 5,
        "scores": scores,
        "values": values,
    }


def weights() -> dict[str, Any]:
    """Rows of Gemma 3 270M on the sentence, and of the trained model's induction head."""
    sentence = gemma()["sentence"]
    rows = {}
    for name, head in sentence["heads"].items():
        row = sentence["words"].index(name.split(",")[0])
        rows[name] = {
            "model": f"Gemma 3 270M, layer {head['layer']}, head {head['head']}",
            "words": sentence["words"][: row + 1],
            "scores": np.array(head["scores"][row][: row + 1]),
            "values": np.array(head["values"][: row + 1]),
        }
    story = induction_story()
    rows["trophy, again"] = {
        "model": f"the trained model, layer {story.layer}, head {story.head}",
        "words": story.words,
        "scores": story.scores[-1],
        "values": story.values,
    }
    return {"rows": rows, "asked": gemma()["asked"]}


def heads() -> dict[str, Any]:
    """Attention maps of four heads of the trained model on the sentence."""
    model, words = at.models.trained_transformer()
    reading = model.read(words.encode(SENTENCE))
    maps = [
        at.reference.weights(
            reading.query[layer][head], reading.key[layer][head], mask=at.Causal(), scale=1.0
        )
        for layer, head in ((0, 0), (0, 1), (1, 0), (1, 1))
    ]
    return {"maps": [each.round(3) for each in maps]}


class induction_story:
    """The sentence, and its first two words again, as the trained model reads it."""

    def __init__(self) -> None:
        self.model, self.vocabulary = at.models.trained_transformer()
        self.tokens = self.vocabulary.encode(f"{SENTENCE}. The trophy")
        self.words = self.vocabulary.split(f"{SENTENCE}. The trophy")
        self.last = len(self.words) - 1
        self.a = self.words.index("trophy")
        reading = self.model.read(self.tokens)
        self.maps = [
            at.reference.weights(query, key, mask=at.Causal(), scale=1.0)
            for query, key in zip(reading.query, reading.key, strict=True)
        ]
        self.layer, self.head = 1, int(self.maps[1][:, self.last, self.a + 1].argmax())
        self.previous = int(self.maps[0][:, self.a + 1, self.a].argmax())
        query, key = (each[self.layer][self.head] for each in (reading.query, reading.key))
        self.scores = at.reference.scores(query, key, scale=1.0)
        u, s, _ = np.linalg.svd(reading.value[self.layer][self.head].astype(float), full_matrices=False)
        self.values = u * s

    def chances(self, ablate: list[tuple[int, int]]) -> np.ndarray:
        """The softmax of the last row's logits."""
        logits = self.model.logits(self.tokens, ablate=ablate)[-1].astype(float)
        return at.reference.weights(np.ones((1, 1)), logits[:, None], scale=1.0)[0]


def induction() -> dict[str, Any]:
    """The two heads on the story, the predictions without each, and the worth of each on shuffled texts."""
    story = induction_story()
    exam = shuffled_texts(np.random.default_rng(1), np.arange(len(story.vocabulary.words), dtype=np.uint8))
    other = next(head for head in range(len(story.maps[0])) if head != story.previous)
    found = induction_heads(story.model, exam)
    heads = {
        "none": [],
        "previous word": [(0, story.previous)],
        "one induction head": [(1, story.head)],
        "all induction heads": [(1, head) for head in found],
        "another head": [(0, other)],
    }
    predictions = {}
    for name, ablate in heads.items():
        chances = story.chances(ablate)
        best = list(np.argsort(-chances)[:5])
        right = story.tokens[story.a + 1]
        predictions[name] = [
            (story.vocabulary.words[token], chances[token])
            for token in (best if right in best else [*best[:4], right])
        ]
    return {
        "words": story.words,
        "a": story.a,
        "b": story.a + 1,
        "last": story.last,
        "previous": story.maps[0][story.previous, story.a + 1, : story.a + 2],
        "induction": story.maps[1][story.head, story.last],
        "predictions": predictions,
        "texts": len(exam),
        "inductionHeads": found,
        "losses": {name: second_reading(story.model, exam, ablate) for name, ablate in heads.items()},
    }


def induction_heads(model: Any, exam: np.ndarray) -> list[int]:
    """The heads of layer 1 that give a tenth of their weight, or more, to what followed last time."""
    seen = [
        at.observation.head_scores(model.read(text).observe(1, top_keys=len(text)), text) for text in exam
    ]
    scores = np.mean([each.induction[0] for each in seen], axis=0)
    return [int(head) for head in np.flatnonzero(scores > 0.1)]


def second_reading(model: Any, exam: np.ndarray, ablate: list[tuple[int, int]]) -> float:
    """The mean loss of words that are read again."""
    half = exam.shape[1] // 2
    read = [(model.logits(text, ablate=ablate)[half:-1].astype(float), text[half + 1 :]) for text in exam]
    return float(np.mean([cross_entropy(logits, following)[0] for logits, following in read]))


def training() -> dict[str, Any]:
    """The history of the training whose weights are stored."""
    names = ("step", "loss", "first", "second", "induction", "previous")
    history = [dict(zip(names, row, strict=True)) for row in stored_arrays()["history"].tolist()]
    return {"history": [{**each, "step": int(each["step"])} for each in history]}


def segments() -> dict[str, Any]:
    """A prompt of Gemma 3 270M, where its layers look, and the answer without a segment."""
    return {**gemma()["prompt"], "long": gemma()["long"]}


DATA: dict[str, Callable[[], dict[str, Any]]] = {
    "scale": scale,
    "positions": positions,
    "flash": flash,
    "leaks": leaks,
    "cache": cache,
    "masks": masks,
    "weights": weights,
    "heads": heads,
    "induction": induction,
    "training": training,
    "segments": segments,
}


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
    """The file's text: a line for each entry, and for each row of a table."""

    def written(value: Any) -> str:
        if isinstance(value, list) and value and isinstance(value[0], list | dict):
            return "[\n  " + ",\n  ".join(json.dumps(each, ensure_ascii=False) for each in value) + "\n ]"
        return json.dumps(value, ensure_ascii=False)

    lines = (f" {json.dumps(name)}: {written(value)}" for name, value in plain(data).items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    for name, made in DATA.items():
        (FOLDER / f"{name}.json").write_text(text(made()), encoding="utf-8")
