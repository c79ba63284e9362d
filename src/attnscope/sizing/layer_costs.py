"""What one layer computes and reads: the tokens that its queries see, its operations, the experts that it meets."""

from attnscope.sizing.model import Layer

STATE_OPERATIONS = 6  # a number of a recurrent state: decay, add and read out, a multiply-add each
TAP_OPERATIONS = 2  # a number of a convolution's state


def is_chunked(layer: Layer) -> bool:
    """Whether its queries see the chunk that they stand in, and not the last tokens."""
    return layer.kind.startswith("chunked")


def sight(layer: Layer) -> int | None:
    """The most tokens that a query attends to, by its window or an indexer's choice; None: all."""
    limits = [limit for limit in (layer.window, layer.index_tokens) if limit is not None]
    return min(limits) if limits else None


def seen_tokens(layer: Layer, context: int) -> int:
    """How many tokens the last of `context` tokens attends to, itself among them.

    >>> seen_tokens(Layer("sliding", window=4), 9), seen_tokens(Layer("chunked", window=4), 9)
    (4, 1)
    """
    if is_chunked(layer) and layer.window:
        return (context - 1) % layer.window + 1
    limit = sight(layer)
    return context if limit is None else min(context, limit)


def all_pairs(tokens: int) -> int:
    """Visible (query, key) pairs where every token sees itself and all before it.

    >>> all_pairs(4)
    10
    """
    return tokens * (tokens + 1) // 2


def visible_pairs(layer: Layer, tokens: int) -> int:
    """The pairs of one sequence's prompt: seen_tokens() added up over it.

    >>> visible_pairs(Layer("sliding", window=2), 4), visible_pairs(Layer("chunked", window=2), 5)
    (7, 7)
    """
    limit = sight(layer)
    if limit is None or tokens <= limit:
        return all_pairs(tokens)
    if is_chunked(layer):
        return tokens // limit * all_pairs(limit) + all_pairs(tokens % limit)
    return all_pairs(limit) + (tokens - limit) * limit


def score_operations(layer: Layer, *, absorbed: bool) -> int:
    """Operations of a pair, its score and its output: 2 * query_heads * (key_dim + value_dim).

    absorbed: a latent layer multiplies its query into the latent's space, and attends to latents as they are cached.

    >>> score_operations(Layer("full", query_heads=2, key_dim=3, value_dim=4), absorbed=False)
    28
    """
    dims = layer.key_dim + layer.value_dim
    if absorbed and layer.rows and layer.rows[0].name == "latent":
        latent, rotary, *_ = layer.rows
        dims = latent.dim + rotary.dim + latent.dim
    return 2 * layer.query_heads * dims


def index_operations(layer: Layer) -> int:
    """Operations of a pair that an indexer scores: 2 * index_heads * its key's size; 0 where there is none."""
    return 2 * layer.index_heads * sum(rows.dim for rows in layer.rows if rows.name == "indexer key")


def state_flops(layer: Layer) -> int:
    """What a token does to a layer's states, estimated: 6 operations a number that recurs, 2 one of a convolution."""
    return sum(
        state.numbers * (TAP_OPERATIONS if state.name == "convolution" else STATE_OPERATIONS)
        for state in layer.states
    )


def met_weights(layer: Layer, tokens: int) -> float:
    """The parameters of an MLP that so many tokens meet: all, less the experts that none of them chose.

    all - E * e * (1 - k/E)^tokens, with e parameters an expert and (E - k) * e = all - active

    >>> met_weights(Layer("full", mlp_weights=800, active_mlp_weights=200, experts=8, experts_per_token=2), 2)
    350.0
    """
    if not layer.experts or layer.experts_per_token == layer.experts:
        return float(layer.mlp_weights)
    missed = 1 - layer.experts_per_token / layer.experts
    return layer.mlp_weights - (layer.mlp_weights - layer.active_mlp_weights) * missed ** (tokens - 1)


def met_experts(layer: Layer, tokens: int) -> float:
    """How many of a layer's experts so many tokens meet: E * (1 - (1 - k/E)^tokens)."""
    return float(layer.experts * (1 - (1 - layer.experts_per_token / layer.experts) ** tokens))
