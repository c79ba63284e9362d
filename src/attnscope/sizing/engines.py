"""How each engine keeps a layer's tokens: how many, in which pieces, and in what format."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from attnscope.arguments import brief
from attnscope.errors import ConfigError
from attnscope.sizing.model import Layer, Rows, State

PLAIN_FORMATS = {"float32": (1, 4), "bfloat16": (1, 2), "float16": (1, 2), "fp8": (1, 1)}
VLLM_BLOCK = 16
LLAMA_PAD = 256
LLAMA_BATCH = 512  # the tokens that llama.cpp computes at once, unless -ub says otherwise
ATTNSCOPE_PAGE = 64
SCALE_BYTES = 4
# windows that llama.cpp reads, and those that it does not or switches off, as for Phi-3
LLAMA_WINDOWS = frozenset((
    "gemma2",
    "gemma3_text",
    "gemma3n_text",
    "gemma4_text",
    "gpt_oss",
    "cohere2",
    "llama4_text",
    "exaone4",
    "olmo3",
))
LLAMA_NO_WINDOWS = frozenset((
    "mistral",
    "mixtral",
    "ministral3",
    "starcoder2",
    "phi3",
    "phimoe",
    "qwen2",
    "qwen3",
))


def up_to(tokens: int, multiple: int) -> int:
    """The next multiple.

    >>> up_to(65, 64)
    128
    """
    return -(-tokens // multiple) * multiple


@dataclass(frozen=True)
class Engine:
    """What one engine's cache takes of a layer.

    rounding    in a sentence, for the reader of a plan
    source      where that is to be read
    held        the layer, and how many tokens came -> for how many the layer holds memory
    formats     kv_dtype -> (numbers in a block, bytes of a block)
    rows        what the layer keeps of a token, as this engine does
    states      what the layer keeps of a sequence; None: this engine has no such cache, and `no_states` says what has
    windows         the architectures whose windows this engine knows; None: all
    no_windows      those of which it keeps all tokens
    scale_bytes     more of each head's row, kv_dtype by kv_dtype
    """

    name: str
    rounding: str
    source: str
    held: Callable[[Layer, int], int]
    formats: Mapping[str, tuple[int, int]]
    rows: Callable[[Layer], tuple[Rows, ...]] = lambda layer: layer.rows
    states: Callable[[Layer], tuple[State, ...]] | None = lambda layer: layer.states
    no_states: str = ""
    windows: frozenset[str] | None = None
    no_windows: frozenset[str] = frozenset()
    scale_bytes: Mapping[str, int] = field(default_factory=dict)

    def has_window(self, model_type: str) -> bool:
        """Whether a window of this architecture lets go of tokens here.

        Errors
            ConfigError where that is not known.
        """
        if self.windows is None or model_type in self.windows:
            return True
        if model_type in self.no_windows:
            return False
        others = ", ".join(repr(name) for name, engine in ENGINES.items() if engine.windows is None)
        raise ConfigError(
            f"engine={self.name!r}: whether it keeps the tokens behind a window of {model_type} is not known here. "
            f"Use one of {others}."
        )

    def tokens_of(self, model_type: str, layer: Layer, tokens: int) -> int:
        """For how many tokens a layer of this architecture holds memory."""
        if layer.window is not None and not self.has_window(model_type):
            layer = replace(layer, window=None)
        return self.held(layer, tokens)

    def row_bytes(self, rows: Rows, tokens: int, kv_dtype: str) -> int:
        """Bytes of so many tokens' rows."""
        numbers, block_bytes = self.formats[rows.number_format or kv_dtype]
        scales = rows.heads * self.scale_bytes.get(kv_dtype, 0)
        return tokens * scales + -(-tokens * rows.numbers // numbers) * block_bytes


def _in_transformers(layer: Layer) -> tuple[Rows, ...]:
    return tuple(replace(rows, heads=rows.heads_in_transformers or rows.heads) for rows in layer.rows)


def _dynamic(layer: Layer, tokens: int) -> int:
    """The last window - 1 tokens: with the next one they fill the window. A window of 1 lets go of nothing."""
    return tokens if layer.window is None or layer.window == 1 else min(tokens, layer.window - 1)


def _static(layer: Layer, tokens: int) -> int:
    return tokens if layer.window is None else min(tokens, layer.window)


def _pages(page: int) -> Callable[[Layer, int], int]:
    """Whole pages, less those that the last token does not see: they are given back before it is written."""

    def held(layer: Layer, tokens: int) -> int:
        unseen = 0 if layer.window is None else max(0, tokens - layer.window) // page * page
        return up_to(tokens, page) - unseen

    return held


def _blocks(layer: Layer, tokens: int) -> int:
    """Blocks of vLLM; of a chunked layer those of the chunk that holds the last token."""
    if layer.kind != "chunked" or layer.window is None:
        return _pages(VLLM_BLOCK)(layer, tokens)
    before_the_chunk = max(0, tokens - 1) // layer.window * layer.window
    return up_to(tokens, VLLM_BLOCK) - before_the_chunk // VLLM_BLOCK * VLLM_BLOCK


def _cells(layer: Layer, tokens: int) -> int:
    """All cells of the context at once, in multiples of 256; of a window, it and one batch more."""
    cells = up_to(tokens, LLAMA_PAD)
    return cells if layer.window is None else up_to(min(cells, layer.window + LLAMA_BATCH), LLAMA_PAD)


def _in_llama_cpp(layer: Layer) -> tuple[State, ...]:
    """All float32, and one column of the convolution less: the new token brings it."""
    return tuple(
        State(state.name, (*state.shape[:-1], state.shape[-1] - 1), "float32")
        if state.name == "convolution"
        else replace(state, number_format="float32")
        for state in layer.states
    )


def _key_and_value(layer: Layer) -> tuple[Rows, ...]:
    """No latent cache here: the latent is part of the key, and once more the value."""
    if not layer.rows or layer.rows[0].name != "latent":
        return layer.rows
    latent, rotary, *more = layer.rows
    if more:
        raise ConfigError(
            "engine='attnscope' has no cache for an indexer's keys. Use engine='hf', 'hf-static' or 'vllm'."
        )
    return Rows("key", 1, latent.dim + rotary.dim), Rows("value", 1, latent.dim)


def _in_vllm(layer: Layer) -> tuple[Rows, ...]:
    """The indexer's keys are fp8 with a float32 scale for each 128 numbers, whatever kv_dtype says."""
    return tuple(
        replace(rows, dim=rows.dim + up_to(rows.dim, 128) // 128 * SCALE_BYTES, number_format="fp8")
        if rows.name == "indexer key"
        else rows
        for rows in layer.rows
    )


ENGINES: dict[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine(
            "hf",
            "Transformers' DynamicCache: every token of a full layer; of a sliding or chunked one the last window - 1",
            "transformers 5.23, cache_utils.py: DynamicLayer, DynamicSlidingWindowLayer, LinearAttentionLayer",
            _dynamic,
            PLAIN_FORMATS | {"int8": (1, 1), "int4": (2, 1)},
            rows=_in_transformers,
        ),
        Engine(
            "hf-static",
            "Transformers' StaticCache made for `context` tokens: min(window, context) of a sliding or chunked layer",
            "transformers 5.23, cache_utils.py: StaticLayer, StaticSlidingWindowLayer",
            _static,
            PLAIN_FORMATS,
            rows=_in_transformers,
        ),
        Engine(
            "vllm",
            f"blocks of {VLLM_BLOCK} tokens; of a sliding or chunked layer, those that the last token sees; "
            "where kinds of layers differ in number vLLM pads them to equal groups, which is not counted",
            "vllm, v1/core/single_type_kv_cache_manager.py: get_num_skipped_tokens; v1/kv_cache_interface.py",
            _blocks,
            PLAIN_FORMATS,
            rows=_in_vllm,
            states=None,
            no_states="vLLM pads attention blocks and states to one page size that depends on its start options",
        ),
        Engine(
            "llama.cpp",
            f"cells for the whole context in multiples of {LLAMA_PAD}; of a window, where llama.cpp reads one, it and a batch "
            f"of {LLAMA_BATCH}; int8 is q8_0, int4 is q4_0",
            "llama.cpp, src/llama-kv-cache-iswa.cpp, src/llama-kv-cache.cpp, src/llama-hparams.cpp: n_embd_r, n_embd_s; "
            "src/models/*.cpp: swa_type",
            _cells,
            {"float32": (1, 4), "bfloat16": (1, 2), "float16": (1, 2), "int8": (32, 34), "int4": (32, 18)},
            states=_in_llama_cpp,
            windows=LLAMA_WINDOWS,
            no_windows=LLAMA_NO_WINDOWS,
        ),
        Engine(
            "attnscope",
            f"KVCache: pages of {ATTNSCOPE_PAGE} tokens a layer; a window lets go of pages that the last query does not see; "
            "int8 has a float32 scale a token and head, for keys and for values",
            "attnscope/cache/layout.py, attnscope/cache/layer.py",
            _pages(ATTNSCOPE_PAGE),
            {"float32": (1, 4), "bfloat16": (1, 2), "float16": (1, 2), "int8": (1, 1)},
            rows=_key_and_value,
            states=None,
            no_states="attnscope's KVCache holds keys and values only",
            scale_bytes={"int8": SCALE_BYTES},
        ),
    )
}


def read_engine(given: object) -> Engine:
    """An engine by its name.

    Errors
        ConfigError.
    """
    if isinstance(given, str) and given in ENGINES:
        return ENGINES[given]
    raise ConfigError(f"engine={brief(given)}: expected one of {', '.join(ENGINES)}.")
