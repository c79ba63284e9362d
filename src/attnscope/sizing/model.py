"""What a model is, as far as its cache, its weights and its arithmetic go: layers, and what each keeps of a token."""

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod


@dataclass(frozen=True)
class Rows:
    """What a layer keeps of every token: so many heads of so many numbers, in the cache's number format.

    `number_format` is None, or the format that these rows keep whatever the cache's is; `heads_in_transformers` is
    None, or the number that Transformers caches where it repeats heads before it does.

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
        return self.heads * self.dim


@dataclass(frozen=True)
class State:
    """What a layer keeps of a sequence, however long it is: convolution and recurrent states.

    `number_format` is None where the state is kept as the model computes, in its activations' format.

    >>> State("recurrent", (32, 128, 128), "float32").numbers
    524288
    """

    name: str
    shape: tuple[int, ...]
    number_format: str | None = None

    @property
    def numbers(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True)
class Layer:
    """One layer of a decoder.

    kind             in words: "full", "sliding", "latent", "linear", ...; rows of the plan's table are named after it
    rows, states     what it keeps of each token, and of a sequence
    window           how many tokens a query sees, itself counted; None: all
    of_encoder       its rows are of the encoder's tokens, written once
    shared           its rows are an earlier layer's: it reads them, and holds none
    query_heads, key_dim, value_dim     of its scores and its output, whatever is cached for them
    attention_weights, mlp_weights, active_mlp_weights     parameters; active: those that one token meets
    experts, experts_per_token     of a routed MLP: how many there are, and how many of them a token meets; else 0
    index_heads      of an indexer that scores every token; 0: none runs in this layer
    index_tokens     how many tokens an indexer leaves to a query; None: no indexer chooses
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
        """Whether every further token is kept."""
        return bool(self.rows) and not (self.shared or self.of_encoder or self.window)

    @property
    def numbers_per_token(self) -> int:
        return 0 if self.shared else sum(rows.numbers for rows in self.rows)


@dataclass(frozen=True)
class ModelDescription:
    """A model, read from its config.

    encoder_tokens       how long the encoder's output always is; None: as long as its input, or there is no encoder
    quantized            whether the file has a quantization_config: weights are smaller than number_format says
    weights_missing      why not all parameters are counted, if they are not
    filled, assumed      fields that the file lacks, with the value taken and why; and those that the caller gave
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
    filled: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()

    @cached_property
    def kinds(self) -> dict[Layer, int]:
        """Each kind of layer, in the order in which they first come, and how many there are; their MLPs may differ."""
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
        return any(layer.of_encoder for layer in self.layers)

    @property
    def embedding_weights(self) -> int:
        """The embedding, and the output's matrix where it is another one."""
        return (self.vocabulary or 0) * (self.hidden_size or 0) * (1 if self.tied_embeddings else 2)

    @property
    def weights(self) -> int | None:
        """All parameters, norms and biases left out; None where the config does not tell them."""
        if self.weights_missing:
            return None
        each = sum(layer.attention_weights + layer.mlp_weights for layer in self.layers)
        return each + self.embedding_weights + self.encoder_weights

    def but(self, **changes: object) -> "ModelDescription":
        """The same model, with some fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]  # dataclasses check the names
