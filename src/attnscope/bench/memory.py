"""What this machine can hold."""

import os

from attnscope.errors import AttentionShapeError


def check_memory(needed_bytes: int, sentence: str) -> None:
    """Check that so much memory is there; the sentence says what for, {} standing for how much.

    Errors
        AttentionShapeError.
    """
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed_bytes > memory_bytes:
        needed = f"{needed_bytes / 2**30:,.1f} GiB"
        raise AttentionShapeError(
            f"{sentence.format(needed)}, and this machine has {memory_bytes / 2**30:,.1f} GiB. "
            "Use a smaller batch, fewer heads or fewer keys."
        )
