"""Inputs for any model of Transformers, by the names of its forward method's parameters."""

import inspect
from collections.abc import Callable, Iterator
from itertools import islice, product
from typing import Any

import torch

BATCH, TOKENS, DECODED, FRAMES = 2, 11, 7, 64
MOST_TRIES = 40
Inputs = dict[str, Any]


def drawn(*shape: int) -> Any:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def words(model: Any, length: int, seed: int = 2) -> Any:
    """Token ids that are no special tokens."""
    config = model.config.get_text_config()
    most = min(int(value) for value in (getattr(config, "vocab_size", None) or 60, 60))
    special = {
        value for name, value in vars(config).items() if name.endswith("token_id") and isinstance(value, int)
    }
    special |= {
        value
        for name, value in vars(model.config).items()
        if name.endswith(("_id", "_index")) and isinstance(value, int)
    }
    plain = torch.tensor([word for word in range(3, most) if word not in special] or [1])
    return plain[torch.randint(len(plain), (BATCH, length), generator=torch.Generator().manual_seed(seed))]


def sizes(config: Any, *names: str) -> list[int]:
    """What a configuration or one within it gives for these names, each value once."""
    found: list[int] = []
    waiting = [config]
    while waiting:
        each = waiting.pop(0)
        for name in names:
            value = getattr(each, name, None)
            value = value[0] if isinstance(value, (list, tuple)) and value else value
            if isinstance(value, int) and not isinstance(value, bool) and value not in found:
                found.append(value)
        waiting += [sub for name in each.sub_configs if (sub := getattr(each, name, None)) is not None]
    return found


def images(model: Any) -> Iterator[Any]:
    channels = sizes(model.config, "num_channels", "in_channels", "in_chans") or [3]
    for size in [*sizes(model.config, "image_size", "input_size", "img_size"), 32, 64, 128, 224]:
        yield drawn(BATCH, channels[0], size, size)
        yield drawn(BATCH, 1, channels[0], size, size)
        yield drawn(BATCH, 2, channels[0], size, size)


def features(model: Any) -> Iterator[Any]:
    widths = sizes(
        model.config,
        "num_mel_bins",
        "feature_size",
        "input_feat_per_channel",
        "input_dim",
        "mel_bins",
        "n_mels",
    )
    lengths = [2 * size for size in sizes(model.config, "max_source_positions")]
    for width in [*widths, 80, 128]:
        for length in [*lengths, FRAMES, 4 * FRAMES, 1024]:
            yield drawn(BATCH, width, length)
            yield drawn(BATCH, length, width)
            yield drawn(BATCH, 1, length, width)


def waves(model: Any) -> Iterator[Any]:
    for length in (3200, 16_000):
        yield drawn(BATCH, length)
        yield drawn(BATCH, 1, length)
    for width in sizes(model.config, "num_mel_bins"):
        for length in [*sizes(model.config, "max_length"), FRAMES]:
            yield drawn(BATCH, length, width)


def patches(model: Any) -> Iterator[Any]:
    """Patches of two images of 4 x 4 patches, one after the other."""
    config = model.config
    channels = (sizes(config, "in_channels", "num_channels", "in_chans") or [3])[0]
    for patch in [*sizes(config, "patch_size", "spatial_patch_size"), 14]:
        for frames in [*sizes(config, "temporal_patch_size"), 1]:
            yield drawn(32, channels * frames * patch * patch)
            yield drawn(32, channels, patch, patch)


def hidden(model: Any) -> Iterator[Any]:
    for width in sizes(model.config, "hidden_size", "d_model", "hidden_dim", "input_dim", "embed_dim"):
        yield drawn(BATCH, TOKENS, width)


def series(model: Any) -> Iterator[Any]:
    lengths = sizes(model.config, "context_length")
    lags = max(getattr(model.config, "lags_sequence", None) or [0])
    for length in [*(each + lags for each in lengths), 64]:
        yield drawn(BATCH, length)
        yield drawn(BATCH, length, *sizes(model.config, "num_input_channels", "input_size")[:1])


def once(make: Callable[[Any], Any]) -> Callable[[Any], Iterator[Any]]:
    return lambda model: iter([make(model)])


GRID = torch.tensor([[1, 4, 4], [1, 4, 4]])
MAKERS: dict[str, Callable[[Any], Iterator[Any]]] = {
    "input_ids": once(lambda model: words(model, TOKENS)),
    "decoder_input_ids": once(lambda model: words(model, DECODED, seed=3)),
    "qformer_input_ids": once(lambda model: words(model, TOKENS)),
    "inputs_embeds": hidden,
    "hidden_states": hidden,
    "query_embeds": hidden,
    "context": hidden,
    "patch_embeds": hidden,
    "pixel_values": images,
    "image": images,
    "prompt_pixel_values": images,
    "pixel_values_videos": lambda model: (each for each in images(model) if each.ndim == 5),
    "grid_thw": once(lambda model: GRID),
    "image_grid_thw": once(lambda model: GRID),
    "input_features": features,
    "audio_mel": features,
    "spectrogram": features,
    "input_values": waves,
    "past_values": series,
    "past_observed_mask": lambda model: (torch.ones_like(each) for each in series(model)),
    "past_time_features": lambda model: (
        drawn(BATCH, each.shape[1], *sizes(model.config, "num_time_features")[:1]) for each in series(model)
    ),
    "attention_mask": once(lambda model: torch.ones((BATCH, TOKENS), dtype=torch.long)),
    "bbox": once(lambda model: torch.arange(4).expand(BATCH, TOKENS, 4)),
}


def candidates(model: Any) -> Iterator[Inputs]:
    """Inputs to try, in the order of how likely they fit.

    Raises
    ------
    ValueError
        If the model needs an input that is not made here.
    """
    parameters = inspect.signature(model.forward).parameters
    needed = needed_names(model, parameters)
    unknown = [name for name in needed if name not in MAKERS]
    if unknown:
        raise ValueError(f"no inputs are made for {', '.join(unknown)}")
    makers = {name: list(islice(MAKERS[name](model), 30)) for name in needed}
    if "grid_thw" in needed:
        makers |= {name: list(patches(model)) for name in ("hidden_states", "pixel_values") if name in needed}
    for values in islice(product(*makers.values()), MOST_TRIES):
        yield dict(zip(makers, values, strict=True))
    if "pixel_values" in parameters and "pixel_values" not in needed:  # what is given beside a text
        first = {name: values[0] for name, values in makers.items()}
        words_too = {"input_ids": words(model, TOKENS)} if "input_ids" in parameters else {}
        for pixels in islice(images(model), 12):
            yield {**words_too, **first, "pixel_values": pixels}


def needed_names(model: Any, parameters: Any) -> list[str]:
    """The parameters without a default, and those that models of their kind do not run without."""
    needed = [
        name
        for name, each in parameters.items()
        if each.default is each.empty and each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]
    main = model.main_input_name if isinstance(model.main_input_name, str) else "input_ids"
    wanted = [main, "bbox", *(["decoder_input_ids"] if model.config.is_encoder_decoder else [])]
    return needed + [name for name in wanted if name in parameters and name not in needed]
