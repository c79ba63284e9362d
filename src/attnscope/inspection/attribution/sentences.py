"""Split a text into sentences, by pysbd."""

import re

import pysbd

from attnscope.inspection.attribution.sources import Range, trimmed

ENGLISH = pysbd.Segmenter(language="en", clean=False, char_span=True)
# pysbd ends a sentence at each line end. A text with lines of equal width has line ends within sentences:
# those after a word or a comma, before a word. Lists, quotes and headings begin their lines with a mark.
WITHIN_SENTENCE = re.compile(r"(?<=[\w,)'\"])\n(?=[^\W\d_])")


def sentences(text: str) -> list[Range]:
    r"""The characters start <= i < end of each sentence, without the blanks around it.

    >>> sentences("Dr. Hopper wrote\nit. It ran.")
    [(0, 20), (21, 28)]
    """
    unwrapped = WITHIN_SENTENCE.sub(" ", text)
    return [each for found in ENGLISH.segment(unwrapped) if (each := trimmed(text, found.start, found.end))]
