"""Tiny random Transformers models of many architectures, from small configurations, without downloads."""

from typing import Any

SIZES = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 300,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "head_dim": 8,
    "initializer_range": 0.3,
}
EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
FULL_AND_SLIDING = ["sliding_attention", "full_attention"]
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "LlamaForCausalLM": {},
    "MistralForCausalLM": {"sliding_window": 6},
    "Qwen2ForCausalLM": {},
    "Qwen3ForCausalLM": {},
    "Gemma2ForCausalLM": {"sliding_window": 6, "query_pre_attn_scalar": 8, "layer_types": FULL_AND_SLIDING},
    "Gemma3ForCausalLM": {"sliding_window": 6, "query_pre_attn_scalar": 8, "layer_types": FULL_AND_SLIDING},
    "GPT2LMHeadModel": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 300},
    "GPTNeoXForCausalLM": {},
    "PhiForCausalLM": {},
    "OPTForCausalLM": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "BloomForCausalLM": {"n_layer": 2, "n_head": 4},
    "MptForCausalLM": {"d_model": 32, "n_heads": 4, "n_layers": 2},
    "FalconForCausalLM": {"new_decoder_architecture": True, "num_kv_heads": 2, "head_dim": None},
    "MixtralForCausalLM": EXPERTS,
    "GptOssForCausalLM": EXPERTS | {"sliding_window": 6, "layer_types": FULL_AND_SLIDING},
    "BertForMaskedLM": {},
    "RobertaForMaskedLM": {"pad_token_id": 1, "max_position_embeddings": 302},
    "BertModel": {},
    "GPT2Model": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 300},
    "Phi3ForCausalLM": {},
    "StableLmForCausalLM": {},
    "GPTJForCausalLM": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 300, "rotary_dim": 4},
    "OlmoForCausalLM": {},
    "CohereForCausalLM": {},
    "DistilBertForMaskedLM": {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48},
    "ModernBertForMaskedLM": {"local_attention": 8, "global_attn_every_n_layers": 2},
    "ElectraForMaskedLM": {"embedding_size": 32},
    "XGLMForCausalLM": {"d_model": 32, "num_layers": 2, "attention_heads": 4, "ffn_dim": 48},
    "GPTBigCodeForCausalLM": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 300},
    "Llama4ForCausalLM": EXPERTS
    | {
        "attention_chunk_size": 6,
        "layer_types": ["chunked_attention"] * 2,
        "intermediate_size_mlp": 48,
    },
    "CodeGenForCausalLM": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 300, "rotary_dim": 4},
}


def build(name: str, **changes: Any) -> Any:
    """A model with random weights, large enough that attention shows."""
    import torch
    import transformers

    torch.set_num_threads(1)  # of several test processes, each has its own
    torch.manual_seed(0)
    kind = getattr(transformers, name)
    wanted = {**SIZES, **ARCHITECTURES[name], **changes}
    config = kind.config_class(**{size: value for size, value in wanted.items() if value is not None})
    return kind(config).eval()
