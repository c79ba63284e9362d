"""Models of pictures and sound around a decoder: whose text_config describes which architecture.

A file's text_config may leave out its model_type; then it is this one. What surrounds the decoder keeps no cache.

Source
    The sub_configs_defaults of each architecture's configuration file in Transformers 5.23.
"""

TEXT_MODELS = {
    **dict.fromkeys(
        ("deepseek_vl", "glmasr", "idefics3", "janus", "llava", "llava_next", "llava_next_video", "perception_lm",
         "smolvlm", "video_llava", "vipllava", "voxtral"),
        "llama",
    ),
    **dict.fromkeys(
        ("audioflamingo3", "fast_vlm", "got_ocr2", "internvl", "llava_onevision", "musicflamingo", "ovis2",
         "qwen2_audio", "vibevoice", "vibevoice_asr"),
        "qwen2",
    ),
    **dict.fromkeys(("fun_asr_nano", "lighton_ocr", "moss_transcribe_diarize", "qwen3_asr"), "qwen3"),
    **dict.fromkeys(("aya_vision", "cohere2_vision"), "cohere2"),
    **dict.fromkeys(("gemma3", "shieldgemma2"), "gemma3_text"),
    **dict.fromkeys(("granite_speech", "granite_speech_plus"), "granite"),
    **dict.fromkeys(("idefics2", "mistral3"), "mistral"),
    "aria": "aria_text",
    "exaone4_5": "exaone4",
    "fuyu": "persimmon",
    "gemma3n": "gemma3n_text",
    "gemma4": "gemma4_text",
    "gemma4_unified": "gemma4_unified_text",
    "kimi_k25": "deepseek_v3",
    "lfm2_vl": "lfm2",
    "lfm3_vl": "lfm3",
    "llama4": "llama4_text",
    "paligemma": "gemma",
    "qwen2_5_vl": "qwen2_5_vl_text",
    "qwen2_vl": "qwen2_vl_text",
    "qwen3_5": "qwen3_5_text",
    "qwen3_5_moe": "qwen3_5_moe_text",
    "qwen3_vl": "qwen3_vl_text",
    "qwen3_vl_moe": "qwen3_vl_moe_text",
    # not around another model, but the same under another name
    "kimi_k2": "deepseek_v3",
    "qwen3_vl_text": "qwen3",
    "qwen3_vl_moe_text": "qwen3_moe",
}  # fmt: skip
