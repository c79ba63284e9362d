"""attnscope as an attention implementation of Transformers' models: register(), and observing()."""

from transformers import AttentionInterface, AttentionMaskInterface

from attnscope.interop.observing import NAME
from attnscope.interop.observing import Seen as Seen
from attnscope.interop.observing import observing as observing
from attnscope.interop.transformers_attention import attention_of_transformers
from attnscope.interop.transformers_masks import mask_of_transformers
from attnscope.interop.transformers_meaning import check_what_masks_mean


def register() -> str:
    """Add the attention implementation "attnscope" to Transformers, and return that name.

    Both halves of it: the attention, and what makes its masks, without which Transformers silently drops causal and
    padding masks. It serves every model whose attention goes through Transformers' AttentionInterface, on the CPU and
    without gradients: float32, bfloat16, float16 (float64 in the reference), grouped heads, soft-caps, sinks, sliding
    windows and chunks, padding on either side, packed texts, dynamic and static caches, a position bias, and masks
    [batch, heads, query_len, key_len] of bools or of numbers that are added. Threads are torch's: torch.set_num_threads().
    A row that sees no key is 0. Calling it again changes nothing.

    A model, or a part of one, that computes its attention by itself runs as before, without an error: DeBERTa, Mamba,
    the image encoder of SAM. Transformers offers no way to notice that here; observing(model) raises if nothing came.

    Errors
        UnsupportedProblemError for a version of Transformers whose mask functions mean something else; where the model
        runs, for what cannot be honoured: gradients, dropout while training, output_attentions, paged caches, tensors
        that are not on the CPU, models that compute with their mask.
    Source
        https://huggingface.co/docs/transformers/attention_interface

    >>> model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation=register())  # doctest: +SKIP
    """
    check_what_masks_mean()
    AttentionInterface.register(NAME, attention_of_transformers)
    AttentionMaskInterface.register(NAME, mask_of_transformers)
    return NAME
