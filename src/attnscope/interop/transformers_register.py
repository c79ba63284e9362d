"""register(): "attnscope" as an attention implementation of Transformers."""

from collections.abc import Iterator
from functools import cache

import numpy as np
import torch
import transformers
from transformers import AttentionInterface, AttentionMaskInterface, masking_utils

from attnscope.errors import UnsupportedProblemError
from attnscope.interop.mask_functions import Function, MaskRegion, known
from attnscope.interop.transformers_attention import attention_of_transformers
from attnscope.interop.transformers_masks import evaluated, mask_of_transformers

NAME = "attnscope"
REGIONS = (MaskRegion(2, 6, 6, 0, 0), MaskRegion(2, 3, 6, 5, 2), MaskRegion(2, 1, 5, 6, 2))


def register() -> str:
    """Add the attention implementation "attnscope" to Transformers, and return that name.

    It serves every model whose attention goes through Transformers' AttentionInterface, on the CPU, to run
    and to train, in float32, bfloat16, float16, and float64 by the reference. It honours grouped heads,
    soft-caps, sinks, sliding windows and chunks, padding on either side, packed texts, dynamic and static
    caches, a position bias, and masks [batch, heads, query_len, key_len] of bools or of numbers that are
    added.

    Returns
    -------
    str
        "attnscope", for `attn_implementation=`.

    Raises
    ------
    UnsupportedProblemError
        If a mask function of the installed Transformers means something else than attnscope expects.

    Notes
    -----
    When the model runs, UnsupportedProblemError is raised for what cannot be honoured: dropout while training
    unless it is 0, a second derivative, output_attentions, paged caches, tensors that are not on the CPU. A
    call without a mask shows every key, as eager attention does; it is refused if sdpa would show fewer.

    Masks are statements, without a matrix. If a model computes with its mask, the matrix is made, up to
    2^26 entries and with a warning: of bools as sdpa's, or of numbers as eager's if the model does not
    support sdpa. Under torch.autocast, queries, keys and values are taken in its format.

    A model, or a part of one, that computes its attention by itself runs as before, without an error:
    DeBERTa, Mamba, the image encoder of SAM. Transformers calls nothing of ours there. observing(model)
    raises if no call arrived, and its `names` list the modules whose calls did.

    Both halves are registered, the attention and the function that makes its masks: without the second,
    Transformers drops causal and padding masks without a warning. A fully masked row is 0; eager attention
    averages its hidden values instead, so outputs at padding differ. Threads are torch's:
    torch.set_num_threads(). A second call changes nothing.

    References
    ----------
    https://huggingface.co/docs/transformers/attention_interface

    Examples
    --------
    >>> model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation=register())  # doctest: +SKIP
    """
    check_mask_functions()
    AttentionInterface.register(NAME, attention_of_transformers)
    AttentionMaskInterface.register(NAME, mask_of_transformers)
    return NAME


@cache
def check_mask_functions() -> None:
    """Compare each known mask function with its entries on a few small masks, once per process.

    Raises
    ------
    UnsupportedProblemError
        If the installed Transformers means something else by one of them.
    """
    for name, function in examples():
        for region in REGIONS:
            sizes = {"batch": region.batch, "query_len": region.query_len, "key_len": region.key_len}
            read, expected = known(function, region), evaluated(function, None, region).visible(**sizes)
            shown = np.ones_like(expected) if read is None else read.visible(**sizes)
            if not np.array_equal(shown, expected):
                raise UnsupportedProblemError(
                    f"{name} of Transformers {transformers.__version__} shows other keys than attnscope "
                    "expects. Install the version that attnscope was tested with: see its extra "
                    "[transformers]."
                )


def examples() -> Iterator[tuple[str, Function]]:
    """One of each known mask function, by its name."""
    made = masking_utils
    padded, ids = torch.tensor([0, 2]), torch.tensor([[0, 0, 0, 1, 1, 1, 1, 2], [0, 1, 1, 1, 1, 1, 2, 2]])
    groups = torch.where(ids == 0, -1, ids)
    yield "causal_mask_function", made.causal_mask_function
    yield "bidirectional_mask_function", made.bidirectional_mask_function
    yield "sliding_window_overlay", made.sliding_window_overlay(2)
    yield "sliding_window_bidirectional_overlay", made.sliding_window_bidirectional_overlay(2)
    yield "chunked_overlay", made.chunked_overlay(3, padded)
    yield "packed_sequence_mask_function", made.packed_sequence_mask_function(ids)
    yield "blockwise_overlay", made.blockwise_overlay(groups)
    yield "padding_mask_function", made.padding_mask_function(ids > 0)
    yield "and_masks", made.and_masks(made.causal_mask_function, made.sliding_window_overlay(2))
    yield "or_masks", made.or_masks(made.causal_mask_function, made.sliding_window_bidirectional_overlay(1))
