"""What sizing may refuse although Transformers builds it, and why; any other refusal is a failure."""


def names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# no entry in attnscope.sizing.architectures, so the cache would be a guess
NOT_KNOWN = (
    names(  # encoders, encoder-decoders and speech models with caches of their own layout
        "big_bird canary cohere_asr dia encoder-decoder kyutai_speech_to_text megatron-bert moonshine "
        "moonshine_streaming musicgen musicgen_melody prophetnet reformer rembert roformer seamless_m4t "
        "seamless_m4t_v2 speech-encoder-decoder speecht5 t5gemma t5gemma2 xlm xlnet xmod"
    )
    | names(  # decoders whose modeling file was not read yet
        "blt cohere_compass_text cpmant deepseek_v4 dots1 dots3_note_text hrm_text inkling2_text "
        "inkling_text jetmoe longcat_flash minimax_m3_vl_text ministral openai-gpt qwen4_exp_text "
        "recurrent_gemma rwkv xlstm zaya"
    )
    | names(  # models around those decoders
        "dots3_note emu3 gemma4_assistant gemma4_unified_assistant mllama nemo_speechlm qwen4_exp "
        "voxtral_realtime"
    )
)
# published files list layer_types, and each class has a rule of its own for files that do not
WITHOUT_A_RULE = names(
    "bailing_hybrid beam exaone4 exaone_moe flint kimi_linear laguna lfm2_moe lfm3 mellum modernbert-decoder"
)
DEFAULTS = names("lfm2_moe")  # its default config lacks layer_types
# sizes that make a model: they are read from its file, never filled in from a class
SIZES = names(
    "hidden_size num_hidden_layers num_attention_heads n_embd n_layer n_head d_model n_layers n_heads "
    "num_layers num_heads decoder_layers decoder_attention_heads attention_heads head_dim attn_config "
    "sliding_window attention_chunk_size layer_types attn_layer_offset attn_layer_period indexer_types "
    "kv_lora_rank qk_nope_head_dim qk_rope_head_dim v_head_dim index_head_dim index_n_heads "
    "linear_conv_kernel_dim linear_key_head_dim linear_num_key_heads linear_num_value_heads "
    "linear_value_head_dim linear_head_dim linear_num_heads conv_L_cache conv_kernel state_size "
    "ssm_state_size n_groups mamba_d_conv mamba_d_state mamba_d_head mamba_n_groups mamba_n_heads "
    "mamba_expand n_mamba_heads mamba_head_dim mamba_num_heads mamba_headdim mamba_ngroups"
)
# architectures whose class does not build a changed default config, whatever the heads
NOT_BUILT = names("dbrx hunyuan_v1_dense hunyuan_v1_moe lfm2_moe nemotron")
# those that only run within a model of pictures
WITHIN_ANOTHER = names("qwen2_vl_text qwen2_5_vl_text")
# (architecture, field that is left out) -> how its refusal begins
OTHER_FIELDS = {
    ("falcon_h1", "mamba_d_ssm"): "mamba_expand * hidden_size",  # the default config contradicts itself
    ("nemotron_h", "layers_block_type"): "hybrid_override_pattern=None",  # the list of its layers
    ("zamba", "layers_block_type"): "layer_types is missing",  # the same
    ("zamba2", "layers_block_type"): "layer_types is missing",
}
