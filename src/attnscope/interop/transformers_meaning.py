"""Whether the Transformers that is installed still means by its mask functions what they are read as."""

from collections.abc import Iterator
from functools import cache

import numpy as np
import torch
import transformers
from transformers import masking_utils

import attnscope as at
from attnscope.interop.transformers_masks import Asked, Function, evaluated, known

ASKED = (Asked(2, 6, 6, 0, 0), Asked(2, 3, 6, 5, 2), Asked(2, 1, 5, 6, 2))


def functions() -> Iterator[tuple[str, Function]]:
    """One of each function that is read without being asked, by its name."""
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


@cache
def check_what_masks_mean() -> None:
    """Ask each known function for every entry of a few small masks, once in a process.

    Errors
        UnsupportedProblemError for a version of Transformers in which one of them means something else.
    """
    for name, function in functions():
        for asked in ASKED:
            sizes = {"batch": asked.batch, "query_len": asked.query_len, "key_len": asked.key_len}
            read, told = known(function, asked), evaluated(function, None, asked)
            matrix = told.visible(**sizes)
            if not np.array_equal(np.ones_like(matrix) if read is None else read.visible(**sizes), matrix):
                raise at.UnsupportedProblemError(
                    f"{name} of Transformers {transformers.__version__} no longer means what attnscope reads it as. "
                    "Install the version that attnscope was made for: pip install 'attnscope[transformers]'."
                )
