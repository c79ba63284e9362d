"""A model as data: its layers, and what each keeps, computes and reads."""

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod


@dataclass(frozen=True)
class Rows:
    """Numbers that a layer caches for every token: `heads` vectors of `dim` numbers.

    Parameters
    ----------
    name : str
        What the rows hold: key, value, latent, rotary key or indexer key.
    heads, dim : int
        Vectors per token, and numbers per vector.
    number_format : str or None
        A format that these rows keep whatever kv_dtype is; None: kv_dtype.
    heads_in_transformers : int or None
        The heads that Transformers caches if it repeats heads first; None: `heads`.

    Examples
    --------
    >>> Rows("key", heads=8, dim=128).numbers
    1024
    """

    name: str
    heads: int
    dim: int
    number_format: str | None = None
    heads_in_transformers: int | None = None

    @property
    def numbers(self) -> int:
        """Numbers per token."""
        return self.heads * self.dim


@dataclass(frozen=True)
class State:
    """Numbers that a layer caches per sequence, whatever its length: convolution and recurrent states.

    Parameters
    ----------
    name : str
        convolution or recurrent.
    shape : tuple of int
        Sizes of one sequence's state.
    number_format : str or None
        A format of its own; None: the format of the model's activations.

    Examples
    --------
    >>> State("recurrent", (32, 128, 128), "float32").numbers
    524288
    """

    name: str
    shape: tuple[int, ...]
    number_format: str | None = None

    @property
    def numbers(self) -> int:
        """Numbers per sequence."""
        return prod(self.shape)


@dataclass(frozen=True)
class Layer:
    """One layer of a decoder.

    Parameters
    ----------
    kind : str
        full, sliding, chunked, latent, linear, ...; the plan's table has one row per kind.
    rows : tuple of Rows
        What the layer caches per token.
    states : tuple of State
        What the layer caches per sequence.
    window : int or None
        Tokens that a query sees, its own included; None: all.
    of_encoder : bool
        The rows belong to the encoder's tokens and are written once.
    shared : bool
        The layer reads an earlier layer's rows and caches none.
    query_heads, key_dim, value_dim : int
        Sizes of the scores and of the output, whatever is cached for them.
    attention_weights, mlp_weights, active_mlp_weights : int
        Parameters; active: those that one token uses.
    experts, experts_per_token : int
        Experts of a routed MLP, and how many of them one token activates; 0 without experts.
    index_heads : int
        Heads of an indexer that scores every token; 0: no indexer runs in this layer.
    index_tokens : int or None
        Tokens that an indexer selects per query; None: no indexer selects.
    """

    kind: str
    rows: tuple[Rows, ...] = ()
    states: tuple[State, ...] = ()
    window: int | None = None
    of_encoder: bool = False
    shared: bool = False
    query_heads: int = 0
    key_dim: int = 0
    value_dim: int = 0
    attention_weights: int = 0
    mlp_weights: int = 0
    active_mlp_weights: int = 0
    experts: int = 0
    experts_per_token: int = 0
    index_heads: int = 0
    index_tokens: int | None = None

    @property
    def grows(self) -> bool:
        """Whether the layer caches every further token."""
        return bool(self.rows) and not (self.shared or self.of_encoder or self.window)


@dataclass(frozen=True)
class ModelDescription:
    """A model, read from its config.

    Parameters
    ----------
    model_type : str
        The architecture.
    layers : tuple of Layer
        All layers of the decoder, in order.
    hidden_size, vocabulary : int or None
        Sizes; None if the config lacks them.
    tied_embeddings : bool
        Input and output share one matrix.
    max_positions : int or None
        The longest sequence that the config names.
    number_format : str or None
        The format of the weights as the config names it.
    quantized : bool
        The config has a quantization_config, so weights are smaller than in number_format.
    encoder_tokens : int or None
        Fixed length of the encoder's output; None: as long as its input, or no encoder.
    encoder_weights : int
        Parameters of the encoder.
    weights_missing : str or None
        Why not all parameters are counted; None if they are.
    notes : tuple of str
        Fields that were filled in, that have no effect, or that the caller gave.
    """

    model_type: str
    layers: tuple[Layer, ...]
    hidden_size: int | None = None
    vocabulary: int | None = None
    tied_embeddings: bool = False
    max_positions: int | None = None
    number_format: str | None = None
    quantized: bool = False
    encoder_tokens: int | None = None
    encoder_weights: int = 0
    weights_missing: str | None = None
    notes: tuple[str, ...] = ()

    @cached_property
    def kinds(self) -> dict[Layer, int]:
        """Each kind of layer in order of appearance, and how many there are; MLPs are left out."""
        return Counter(
            replace(layer, mlp_weights=0, active_mlp_weights=0, experts=0, experts_per_token=0)
            for layer in self.layers
        )

    @cached_property
    def mlps(self) -> dict[Layer, int]:
        """Each kind of MLP, as a layer that has nothing else, and how many there are."""
        return Counter(
            Layer(
                "MLP",
                mlp_weights=layer.mlp_weights,
                active_mlp_weights=layer.active_mlp_weights,
                experts=layer.experts,
                experts_per_token=layer.experts_per_token,
            )
            for layer in self.layers
            if layer.mlp_weights
        )

    @property
    def has_encoder(self) -> bool:
        """Whether any layer reads an encoder's output."""
        return any(layer.of_encoder for layer in self.layers)

    @property
    def embedding_weights(self) -> int:
        """Parameters of the embedding, and of the output matrix if it is another one."""
        return (self.vocabulary or 0) * (self.hidden_size or 0) * (1 if self.tied_embeddings else 2)

    @property
    def weights(self) -> int | None:
        """All parameters, without norms and biases; None if the config does not determine them."""
        if self.weights_missing:
            return None
        each = sum(layer.attention_weights + layer.mlp_weights for layer in self.layers)
        return each + self.embedding_weights + self.encoder_weights
