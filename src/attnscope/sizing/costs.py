"""What a prompt and a new token cost: operations and bytes, part by part.

A multiply-add is 2 operations. Bytes are those that must move at the least: weights once a pass for the whole batch,
each sequence's keys, values and states once; activations, norms and the looking up of embeddings are left out.
"""

from dataclasses import dataclass

from attnscope.sizing.layer_costs import (
    all_pairs,
    index_operations,
    is_chunked,
    met_experts,
    met_weights,
    score_operations,
    seen_tokens,
    sight,
    state_flops,
    visible_pairs,
)
from attnscope.sizing.model import Layer, ModelDescription
from attnscope.sizing.number_formats import BITS


@dataclass(frozen=True)
class Part:
    """One part of a pass: its operations, the bytes that it moves, and how they come about."""

    name: str
    flops: float
    moved_bytes: float
    formula: str


@dataclass(frozen=True)
class Costs:
    """A model's costs in given number formats.

    Parts
        attention      scores and outputs, 2 * query_heads * (key_dim + value_dim) a visible (query, key) pair; latent
                       layers decode against the latent itself: 2 * query_heads * (latent + rotary + latent). Reads the
                       keys, values and states that are visible
        projections    2 * parameters a token; reads them once
        MLP            2 * active parameters a token; reads those that the batch meets
        unembedding    2 * vocabulary * hidden a sequence: only the last token of a prompt is asked for the next
        cache          writes the new rows and the states
    Experts
        A token meets k of E experts. Of b tokens, each choosing evenly and by itself, none meets an expert with
        probability (1 - k/E)^b, so that E * (1 - (1 - k/E)^b) experts are read.
    Source
        Absorbed latent attention: "DeepSeek-V2", arXiv:2405.04434, section 2.1.2. Parameters times 2 a token: Kaplan et
        al. 2020, arXiv:2001.08361, section 2.1.
    """

    model: ModelDescription
    weight_dtype: str
    kv_dtype: str
    state_dtype: str

    def prefill(self, prompt: int, batch: int) -> tuple[Part, ...]:
        """All tokens of all prompts in one pass."""
        attention, written = _Tally(), _Tally()
        for layer, number in self.model.kinds.items():
            layers = f"{batch:,} x {number} {layer.kind} layers"
            times = number * batch
            each = score_operations(layer, absorbed=False)
            attention.compute(
                times * visible_pairs(layer, prompt) * each,
                f"{layers} x {visible_pairs(layer, prompt):,} pairs x {each:,}",
            )
            each = index_operations(layer)
            attention.compute(
                times * all_pairs(prompt) * each, f"{layers} x {all_pairs(prompt):,} indexed pairs x {each:,}"
            )
            flops = state_flops(layer)
            attention.compute(times * prompt * flops, f"{layers} x {prompt:,} tokens x {flops:,} on states")
            row, own, states = self._row_bytes(layer), self._own_row_bytes(layer), self._state_bytes(layer)
            attention.move(times * prompt * row, f"{layers} x {prompt:,} tokens x {row:,.6g}")
            written.move(times * prompt * own, f"{layers} x {prompt:,} tokens x {own:,.6g}")
            written.move(times * states, f"{layers} x {states:,.6g} of states")
        weights = self._weights(tokens=batch * prompt, asked=batch)
        return attention.part("attention"), *weights, written.part("cache")

    def step(self, context: int, batch: int) -> tuple[Part, ...]:
        """One new token of each sequence, which then has `context` tokens, the new one included."""
        attention, written = _Tally(), _Tally()
        for layer, number in self.model.kinds.items():
            layers = f"{batch:,} x {number} {layer.kind} layers"
            times = number * batch
            seen, each = seen_tokens(layer, context), score_operations(layer, absorbed=True)
            attention.compute(times * seen * each, f"{layers} x {seen:,} tokens x {each:,}")
            each = index_operations(layer)
            attention.compute(times * context * each, f"{layers} x {context:,} indexed tokens x {each:,}")
            flops = state_flops(layer)
            attention.compute(times * flops, f"{layers} x {flops:,} on states")
            index = self._row_bytes(layer, "indexer key")
            row, own, states = (
                self._row_bytes(layer) - index,
                self._own_row_bytes(layer),
                self._state_bytes(layer),
            )
            attention.move(times * seen * row, f"{layers} x {seen:,} tokens x {row:,.6g}")
            attention.move(times * context * index, f"{layers} x {context:,} indexed tokens x {index:,.6g}")
            attention.move(times * states, f"{layers} x {states:,.6g} of states")
            written.move(times * own, f"{layers} x {own:,.6g}")
            written.move(times * states, f"{layers} x {states:,.6g} of states")
        weights = self._weights(tokens=batch, asked=batch)
        return attention.part("attention"), *weights, written.part("cache")

    def edges(self) -> list[int]:
        """The contexts at which a layer stops to see more: between them all costs of a step grow evenly."""
        sights = {sight(layer) for layer in self.model.layers if not is_chunked(layer)}
        return sorted(tokens for tokens in sights if tokens is not None)

    def chunks(self) -> list[int]:
        """How long the chunks of chunked layers are: behind each, a step begins anew."""
        return sorted({layer.window for layer in self.model.layers if is_chunked(layer) and layer.window})

    def _weights(self, tokens: int, asked: int) -> tuple[Part, ...]:
        projections = sum(layer.attention_weights for layer in self.model.layers)
        mlps = self.model.mlps
        active = sum(number * layer.active_mlp_weights for layer, number in mlps.items())
        met = sum(number * met_weights(layer, tokens) for layer, number in mlps.items())
        unembedding = (self.model.vocabulary or 0) * (self.model.hidden_size or 0)
        routed = [layer for layer in mlps if layer.experts]
        name = "experts" if len(routed) == len(mlps) > 0 else "experts and MLP" if routed else "MLP"
        of_experts = "".join(
            f", {met_experts(layer, tokens):,.1f} of {layer.experts} experts a layer" for layer in routed[:1]
        )
        return (
            self._part("projections", tokens, projections, projections),
            self._part(name, tokens, active, met, of_experts),
            self._part("unembedding", asked, unembedding, unembedding),
        )

    def _part(self, name: str, tokens: int, active: int, met: float, more: str = "") -> Part:
        flops, moved = 2.0 * tokens * active, met * BITS[self.weight_dtype] / 8
        return Part(
            name,
            flops,
            moved,
            f"2 x {tokens:,} tokens x {active:,} parameters = {flops:,.0f} FLOP; {met:,.0f} parameters in "
            f"{self.weight_dtype} = {moved:,.0f} bytes{more}",
        )

    def _row_bytes(self, layer: Layer, name: str | None = None) -> float:
        """Bytes of a token's rows in one layer: of all, or of those of this name."""
        rows = [each for each in layer.rows if name in (None, each.name)]
        return sum(each.numbers * BITS[each.number_format or self.kv_dtype] / 8 for each in rows)

    def _own_row_bytes(self, layer: Layer) -> float:
        return 0.0 if layer.shared else self._row_bytes(layer)

    def _state_bytes(self, layer: Layer) -> float:
        return sum(
            state.numbers * BITS[state.number_format or self.state_dtype] / 8 for state in layer.states
        )


class _Tally:
    """Operations and bytes as they come together, each with what it is made of."""

    def __init__(self) -> None:
        self.flops = 0.0
        self.bytes = 0.0
        self.computed: list[str] = []
        self.moved: list[str] = []

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
