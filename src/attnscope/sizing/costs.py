"""Operations and bytes of a prompt and of a new token, part by part.

A multiply-add is 2 operations. Bytes are the least that must move: weights once per pass for the whole batch,
each sequence's keys, values and states once. Activations, norms and embedding lookups are left out.
"""

from dataclasses import dataclass, field

from attnscope.sizing.model import Layer, ModelDescription
from attnscope.sizing.units import BITS

STATE_OPERATIONS = 6  # per number of a recurrent state: decay, add and read out, a multiply-add each
TAP_OPERATIONS = 2  # per number of a convolution's state


def is_chunked(layer: Layer) -> bool:
    """Whether queries see the chunk that they are in, instead of the last tokens."""
    return layer.kind.startswith("chunked")


def most_visible(layer: Layer) -> int | None:
    """The most tokens that a query attends to, by a window or an indexer's selection; None: all."""
    limits = [limit for limit in (layer.window, layer.index_tokens) if limit is not None]
    return min(limits) if limits else None


def visible_tokens(layer: Layer, context: int) -> int:
    """The tokens that the last of `context` tokens attends to, including itself.

    >>> visible_tokens(Layer("sliding", window=4), 9), visible_tokens(Layer("chunked", window=4), 9)
    (4, 1)
    """
    if is_chunked(layer) and layer.window:
        return (context - 1) % layer.window + 1
    limit = most_visible(layer)
    return context if limit is None else min(context, limit)


def causal_pairs(tokens: int) -> int:
    """Visible (query, key) pairs if every token sees itself and all before it.

    >>> causal_pairs(4)
    10
    """
    return tokens * (tokens + 1) // 2


def visible_pairs(layer: Layer, tokens: int) -> int:
    """Visible pairs of one sequence's prompt: the sum of visible_tokens() over it.

    >>> visible_pairs(Layer("sliding", window=2), 4), visible_pairs(Layer("chunked", window=2), 5)
    (7, 7)
    """
    limit = most_visible(layer)
    if limit is None or tokens <= limit:
        return causal_pairs(tokens)
    if is_chunked(layer):
        return tokens // limit * causal_pairs(limit) + causal_pairs(tokens % limit)
    return causal_pairs(limit) + (tokens - limit) * limit


def score_flops(layer: Layer, *, absorbed: bool) -> int:
    """Operations per visible pair, for score and output: 2 * query_heads * (key_dim + value_dim).

    absorbed: a latent layer projects its query into the latent space and attends to the cached latents.

    >>> score_flops(Layer("full", query_heads=2, key_dim=3, value_dim=4), absorbed=False)
    28
    """
    dims = layer.key_dim + layer.value_dim
    if absorbed and layer.rows and layer.rows[0].name == "latent":
        latent, rotary, *_ = layer.rows
        dims = latent.dim + rotary.dim + latent.dim
    return 2 * layer.query_heads * dims


def index_flops(layer: Layer) -> int:
    """Operations per pair that an indexer scores: 2 * index_heads * size of its key; 0 without an indexer."""
    return 2 * layer.index_heads * sum(rows.dim for rows in layer.rows if rows.name == "indexer key")


def state_flops(layer: Layer) -> int:
    """Operations of one token on a layer's states, estimated: 6 per recurrent number, 2 per convolution's."""
    return sum(
        state.numbers * (TAP_OPERATIONS if state.name == "convolution" else STATE_OPERATIONS)
        for state in layer.states
    )


def activated_weights(layer: Layer, tokens: int) -> float:
    """Parameters of an MLP that so many tokens activate: all, without the experts that no token chose.

    all - E * e * (1 - k/E)^tokens, with e parameters per expert and (E - k) * e = all - active

    >>> layer = Layer("full", mlp_weights=800, active_mlp_weights=200, experts=8, experts_per_token=2)
    >>> activated_weights(layer, 2)
    350.0
    """
    if not layer.experts or layer.experts_per_token == layer.experts:
        return float(layer.mlp_weights)
    missed = 1 - layer.experts_per_token / layer.experts
    return layer.mlp_weights - (layer.mlp_weights - layer.active_mlp_weights) * missed ** (tokens - 1)


def activated_experts(layer: Layer, tokens: int) -> float:
    """The experts of a layer that so many tokens activate: E * (1 - (1 - k/E)^tokens)."""
    return float(layer.experts * (1 - (1 - layer.experts_per_token / layer.experts) ** tokens))


@dataclass(frozen=True)
class Part:
    """One part of a pass.

    Parameters
    ----------
    name : str
        attention, projections, MLP or experts, unembedding, or cache.
    flops : float
        Operations.
    moved_bytes : float
        Bytes that are read or written.
    formula : str
        How both are computed, in numbers.
    """

    name: str
    flops: float
    moved_bytes: float
    formula: str


@dataclass(frozen=True)
class Costs:
    """The costs of a model in given number formats, by part.

    * attention: scores and outputs, 2 * query_heads * (key_dim + value_dim) per visible (query, key) pair.
      Latent layers decode against the latent itself: 2 * query_heads * (latent + rotary + latent). Reads the
      visible keys, values and states.
    * projections: 2 * parameters per token; reads them once.
    * MLP: 2 * active parameters per token; reads those that the batch activates. A token activates k of E
      experts. If each token chooses evenly and independently, b tokens activate E * (1 - (1 - k/E)^b)
      experts.
    * unembedding: 2 * vocabulary * hidden per sequence, since only a prompt's last token predicts.
    * cache: writes the new rows and the states.

    Absorbed latent attention: "DeepSeek-V2", arXiv:2405.04434, section 2.1.2. 2 * parameters per token:
    Kaplan et al. 2020, arXiv:2001.08361, section 2.1.
    """

    model: ModelDescription
    weight_dtype: str
    kv_dtype: str
    state_dtype: str

    def prefill(self, prompt: int, batch: int) -> tuple[Part, ...]:
        """All tokens of all prompts in one pass."""
        attention, cache = _Tally(), _Tally()
        for layer, number in self.model.kinds.items():
            layers, times = f"{batch:,} x {number} {layer.kind} layers", number * batch
            pairs, each = visible_pairs(layer, prompt), score_flops(layer, absorbed=False)
            attention.compute(times * pairs * each, f"{layers} x {pairs:,} pairs x {each:,}")
            pairs, each = causal_pairs(prompt), index_flops(layer)
            attention.compute(times * pairs * each, f"{layers} x {pairs:,} indexed pairs x {each:,}")
            each = state_flops(layer)
            attention.compute(times * prompt * each, f"{layers} x {prompt:,} tokens x {each:,} on states")
            row, own, states = self._row_bytes(layer), self._own_row_bytes(layer), self._state_bytes(layer)
            attention.move(times * prompt * row, f"{layers} x {prompt:,} tokens x {row:,.6g}")
            cache.move(times * prompt * own, f"{layers} x {prompt:,} tokens x {own:,.6g}")
            cache.move(times * states, f"{layers} x {states:,.6g} of states")
        weights = self._weights(tokens=batch * prompt, predicting=batch)
        return attention.part("attention"), *weights, cache.part("cache")

    def step(self, context: int, batch: int) -> tuple[Part, ...]:
        """One new token per sequence, which then has `context` tokens, including the new one."""
        attention, cache = _Tally(), _Tally()
        for layer, number in self.model.kinds.items():
            layers, times = f"{batch:,} x {number} {layer.kind} layers", number * batch
            seen, each = visible_tokens(layer, context), score_flops(layer, absorbed=True)
            attention.compute(times * seen * each, f"{layers} x {seen:,} tokens x {each:,}")
            each = index_flops(layer)
            attention.compute(times * context * each, f"{layers} x {context:,} indexed tokens x {each:,}")
            each = state_flops(layer)
            attention.compute(times * each, f"{layers} x {each:,} on states")
            index = self._row_bytes(layer, "indexer key")
            row, own = self._row_bytes(layer) - index, self._own_row_bytes(layer)
            states = self._state_bytes(layer)
            attention.move(times * seen * row, f"{layers} x {seen:,} tokens x {row:,.6g}")
            attention.move(times * context * index, f"{layers} x {context:,} indexed tokens x {index:,.6g}")
            attention.move(times * states, f"{layers} x {states:,.6g} of states")
            cache.move(times * own, f"{layers} x {own:,.6g}")
            cache.move(times * states, f"{layers} x {states:,.6g} of states")
        weights = self._weights(tokens=batch, predicting=batch)
        return attention.part("attention"), *weights, cache.part("cache")

    def edges(self) -> list[int]:
        """The contexts at which a layer stops seeing more; between them a step's costs grow linearly."""
        limits = {most_visible(layer) for layer in self.model.layers if not is_chunked(layer)}
        return sorted(tokens for tokens in limits if tokens is not None)

    def chunks(self) -> list[int]:
        """The lengths of chunks; after each one a step's costs start over."""
        return sorted({layer.window for layer in self.model.layers if is_chunked(layer) and layer.window})

    def _weights(self, tokens: int, predicting: int) -> tuple[Part, ...]:
        projections = sum(layer.attention_weights for layer in self.model.layers)
        mlps = self.model.mlps
        active = sum(number * layer.active_mlp_weights for layer, number in mlps.items())
        activated = sum(number * activated_weights(layer, tokens) for layer, number in mlps.items())
        unembedding = (self.model.vocabulary or 0) * (self.model.hidden_size or 0)
        routed = [layer for layer in mlps if layer.experts]
        name = "experts" if len(routed) == len(mlps) > 0 else "experts and MLP" if routed else "MLP"
        of_experts = "".join(
            f", {activated_experts(layer, tokens):,.1f} of {layer.experts} experts activated per layer"
            for layer in routed[:1]
        )
        return (
            self._part("projections", tokens, projections, projections),
            self._part(name, tokens, active, activated, of_experts),
            self._part("unembedding", predicting, unembedding, unembedding),
        )

    def _part(self, name: str, tokens: int, active: int, activated: float, more: str = "") -> Part:
        flops, moved = 2.0 * tokens * active, activated * BITS[self.weight_dtype] / 8
        return Part(
            name,
            flops,
            moved,
            f"2 x {tokens:,} tokens x {active:,} parameters = {flops:,.0f} FLOP; {activated:,.0f} "
            f"parameters in {self.weight_dtype} = {moved:,.0f} bytes{more}",
        )

    def _row_bytes(self, layer: Layer, name: str | None = None) -> float:
        """Bytes of one token's rows in one layer: of all, or of those of this name."""
        rows = [each for each in layer.rows if name in (None, each.name)]
        return sum(each.numbers * BITS[each.number_format or self.kv_dtype] / 8 for each in rows)

    def _own_row_bytes(self, layer: Layer) -> float:
        return 0.0 if layer.shared else self._row_bytes(layer)

    def _state_bytes(self, layer: Layer) -> float:
        return sum(
            state.numbers * BITS[state.number_format or self.state_dtype] / 8 for state in layer.states
        )


@dataclass
class _Tally:
    """Operations and bytes as they add up, with the formula of each term."""

    flops: float = 0.0
    bytes: float = 0.0
    computed: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)

    def compute(self, flops: float, formula: str) -> None:
        if flops:
            self.flops += flops
            self.computed.append(formula)

    def move(self, moved_bytes: float, formula: str) -> None:
        if moved_bytes:
            self.bytes += moved_bytes
            self.moved.append(formula)

    def part(self, name: str) -> Part:
        terms = []
        if self.computed:
            terms.append(f"{' + '.join(self.computed)} = {self.flops:,.0f} FLOP")
        if self.moved:
            terms.append(f"{' + '.join(self.moved)} = {self.bytes:,.0f} bytes")
        return Part(name, self.flops, self.bytes, "; ".join(terms))
