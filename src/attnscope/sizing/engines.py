"""How each engine caches a layer's tokens: how many, in which pieces, and in which format."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from attnscope.arguments import brief
from attnscope.errors import ConfigError
from attnscope.sizing.model import Layer, Rows, State

PLAIN_FORMATS = {"float32": (1, 4), "bfloat16": (1, 2), "float16": (1, 2), "fp8": (1, 1)}
VLLM_BLOCK = 16
LLAMA_PAD = 256
LLAMA_BATCH = 512  # tokens that llama.cpp computes at once, unless -ub is given
ATTNSCOPE_PAGE = 64
SCALE_BYTES = 4
# architectures whose windows llama.cpp reads, and those whose windows it ignores
LLAMA_WINDOWS = "gemma2 gemma3_text gemma3n_text gemma4_text gpt_oss cohere2 llama4_text exaone4 olmo3"
LLAMA_NO_WINDOWS = "mistral mixtral ministral3 starcoder2 phi3 phimoe qwen2 qwen3"


def up_to(tokens: int, multiple: int) -> int:
    """The next multiple.

    >>> up_to(65, 64)
    128
    """
    return -(-tokens // multiple) * multiple


@dataclass(frozen=True)
class Engine:
    """The cache of one engine.

    Parameters
    ----------
    name : str
        Its name in `size(engine=)`.
    rounding, source : str
        How it rounds, in one sentence, and where that is documented.
    held : callable
        (layer, tokens so far) -> tokens for which the layer holds memory.
    formats : mapping
        kv_dtype -> (numbers per block, bytes per block).
    rows, states : callable
        What the engine caches of a layer per token and per sequence; states is None if it has no such cache.
    no_states : str
        Why it has none.
    windows, no_windows : frozenset of str
        Architectures whose windows it applies, None: all; and those of which it keeps all tokens.
    scale_bytes : mapping
        kv_dtype -> additional bytes per token and head.
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
        """Whether this engine drops tokens behind a window of this architecture; ConfigError if unknown."""
        if self.windows is None or model_type in self.windows:
            return True
        if model_type in self.no_windows:
            return False
        others = ", ".join(repr(name) for name, engine in ENGINES.items() if engine.windows is None)
        raise ConfigError(
            f"engine={self.name!r}: whether it keeps the tokens behind a window of {model_type} is not "
            f"known. Use one of {others}."
        )

    def tokens_of(self, model_type: str, layer: Layer, tokens: int) -> int:
        """The tokens for which a layer of this architecture holds memory."""
        if layer.window is not None and not self.has_window(model_type):
            layer = replace(layer, window=None)
        return self.held(layer, tokens)

    def row_bytes(self, rows: Rows, tokens: int, kv_dtype: str) -> int:
        """Bytes of the rows of so many tokens."""
        numbers, block_bytes = self.formats[rows.number_format or kv_dtype]
        scales = rows.heads * self.scale_bytes.get(kv_dtype, 0)
        return tokens * scales + -(-tokens * rows.numbers // numbers) * block_bytes


def _in_transformers(layer: Layer) -> tuple[Rows, ...]:
    return tuple(replace(rows, heads=rows.heads_in_transformers or rows.heads) for rows in layer.rows)


def _dynamic(layer: Layer, tokens: int) -> int:
    """The last window - 1 tokens: the next one completes the window. A window of 1 drops nothing."""
    return tokens if layer.window is None or layer.window == 1 else min(tokens, layer.window - 1)


def _static(layer: Layer, tokens: int) -> int:
    return tokens if layer.window is None else min(tokens, layer.window)


def _pages(page: int) -> Callable[[Layer, int], int]:
    """Whole pages, without those that the last token does not see: they are freed before it is written."""

    def held(layer: Layer, tokens: int) -> int:
        unseen = 0 if layer.window is None else max(0, tokens - layer.window) // page * page
        return up_to(tokens, page) - unseen

    return held


def _blocks(layer: Layer, tokens: int) -> int:
    """Blocks of vLLM; of a chunked layer, the blocks of the last token's chunk."""
    if layer.kind != "chunked" or layer.window is None:
        return _pages(VLLM_BLOCK)(layer, tokens)
    before_the_chunk = max(0, tokens - 1) // layer.window * layer.window
    return up_to(tokens, VLLM_BLOCK) - before_the_chunk // VLLM_BLOCK * VLLM_BLOCK


def _cells(layer: Layer, tokens: int) -> int:
    """Cells for the whole context, in multiples of 256; for a window, the window and one batch."""
    cells = up_to(tokens, LLAMA_PAD)
    return cells if layer.window is None else up_to(min(cells, layer.window + LLAMA_BATCH), LLAMA_PAD)


def _in_llama_cpp(layer: Layer) -> tuple[State, ...]:
    """All float32, and one column less of the convolution: the new token adds it."""
    return tuple(
        State(state.name, (*state.shape[:-1], state.shape[-1] - 1), "float32")
        if state.name == "convolution"
        else replace(state, number_format="float32")
        for state in layer.states
    )


def _key_and_value(layer: Layer) -> tuple[Rows, ...]:
    """There is no latent cache: the latent is stored as part of the key and again as the value."""
    if not layer.rows or layer.rows[0].name != "latent":
        return layer.rows
    latent, rotary, *more = layer.rows
    if more:
        raise ConfigError(
            "engine='attnscope' has no cache for an indexer's keys. Use engine='hf', 'hf-static' or 'vllm'."
        )
    return Rows("key", 1, latent.dim + rotary.dim), Rows("value", 1, latent.dim)


def _in_vllm(layer: Layer) -> tuple[Rows, ...]:
    """The indexer's keys are fp8 with one float32 scale per 128 numbers, whatever kv_dtype is."""
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
            "Transformers' DynamicCache: all tokens of a full layer, the last window - 1 of a sliding or "
            "chunked one",
            "transformers 5.23, cache_utils.py: DynamicLayer, DynamicSlidingWindowLayer, "
            "LinearAttentionLayer",
            _dynamic,
            PLAIN_FORMATS | {"int8": (1, 1), "int4": (2, 1)},
            rows=_in_transformers,
        ),
        Engine(
            "hf-static",
            "Transformers' StaticCache of `context` tokens: min(window, context) in a sliding or chunked "
            "layer",
            "transformers 5.23, cache_utils.py: StaticLayer, StaticSlidingWindowLayer",
            _static,
            PLAIN_FORMATS,
            rows=_in_transformers,
        ),
        Engine(
            "vllm",
            f"blocks of {VLLM_BLOCK} tokens; in a sliding or chunked layer, those that the last token sees; "
            "if kinds of layers differ in number, vLLM pads them to equal groups, which is not counted",
            "vllm, v1/core/single_type_kv_cache_manager.py: get_num_skipped_tokens; v1/kv_cache_interface.py",
            _blocks,
            PLAIN_FORMATS,
            rows=_in_vllm,
            states=None,
            no_states="vLLM pads blocks and states to one page size that depends on its start options",
        ),
        Engine(
            "llama.cpp",
            f"cells for the whole context in multiples of {LLAMA_PAD}; for a window that llama.cpp reads, "
            f"the window and a batch of {LLAMA_BATCH}; int8 is q8_0, int4 is q4_0",
            "llama.cpp, src/llama-kv-cache-iswa.cpp, src/llama-kv-cache.cpp, src/llama-hparams.cpp: "
            "n_embd_r, n_embd_s; src/models/*.cpp: swa_type",
            _cells,
            {"float32": (1, 4), "bfloat16": (1, 2), "float16": (1, 2), "int8": (32, 34), "int4": (32, 18)},
            states=_in_llama_cpp,
            windows=frozenset(LLAMA_WINDOWS.split()),
            no_windows=frozenset(LLAMA_NO_WINDOWS.split()),
        ),
        Engine(
            "attnscope",
            f"KVCache: pages of {ATTNSCOPE_PAGE} tokens per layer; a window frees the pages that the last "
            "query does not see; int8 has one float32 scale per token and head, for keys and for values",
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
    """The engine of this name; raises ConfigError if there is none."""
    if isinstance(given, str) and given in ENGINES:
        return ENGINES[given]
    raise ConfigError(f"engine={brief(given)}: expected one of {', '.join(ENGINES)}.")
