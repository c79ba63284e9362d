"""Models small enough to count by hand."""

from typing import Any

# attention: 8 * (4 * 2 + 2 * (2 + 2) + 4 * 2) = 192 parameters per layer; MLP: 3 * 8 * 16 = 384; unembedding:
# 32 * 8 = 256
DENSE: dict[str, Any] = {
    "model_type": "llama",
    "num_hidden_layers": 2,
    "hidden_size": 8,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 2,
    "intermediate_size": 16,
    "vocab_size": 32,
    "torch_dtype": "bfloat16",
}
# 4 experts of 384 parameters and a router of 8 * 4 = 32, of which a token uses 1 expert and the router
EXPERTS = DENSE | {
    "model_type": "mixtral",
    "num_local_experts": 4,
    "num_experts_per_tok": 1,
    "sliding_window": None,
}
