"""Mistakes about windows and documents."""

from dataclasses import replace
from typing import Any

import numpy as np

from attnscope.audit import Contract
from tests.audit.plain import Asked, Plain
from tests.audit.planted.registry import planting

# Windows

planted = planting(Contract(causal=True, key_mask=True, window=True))


@planted("window", "leak")
class WindowOneTooWide(Plain):
    """transformers#39408."""

    def window(self, asked: Asked) -> Any:
        left, right = asked.window
        return super().window(replace(asked, window=(left + 1, right)))


@planted("window")
class WindowOneTooNarrow(Plain):
    def window(self, asked: Asked) -> Any:
        left, right = asked.window
        return super().window(replace(asked, window=(left - 1, right)))


@planted("window", "leak")
class WindowOneTooWideToTheRight(Plain):
    def window(self, asked: Asked) -> Any:
        left, right = asked.window
        return super().window(replace(asked, window=(left, right + 1)))


@planted("window", "leak")
class WindowIgnored(Plain):
    """unsloth#8253."""

    def window(self, asked: Asked) -> Any:
        return np.True_


@planted("window", "leak")
class WindowWithoutARightBound(Plain):
    """jax#39576."""

    def window(self, asked: Asked) -> Any:
        return asked.keys >= asked.positions - asked.window[0]


@planted("window", "leak")
class WindowWithoutALeftBound(Plain):
    """transformers#41228."""

    def window(self, asked: Asked) -> Any:
        return asked.keys <= asked.positions + asked.window[1]


@planted("window", "leak")
class WindowSymmetric(Plain):
    def window(self, asked: Asked) -> Any:
        left, _ = asked.window
        return super().window(replace(asked, window=(left, left)))


@planted("window", "leak")
class WindowOfZeroIsNone(Plain):
    def window(self, asked: Asked) -> Any:
        left, right = asked.window
        return super().window(replace(asked, window=(left or 10**6, right or 10**6)))


@planted("dependence", "leak")
class WindowReplacesCausal(Plain):
    def causal(self, asked: Asked) -> Any:
        return np.True_ if asked.window is not None else super().causal(asked)


@planted("window", "leak")
class WindowDroppedBesideAKeyMask(Plain):
    def window(self, asked: Asked) -> Any:
        return np.True_ if asked.key_mask is not None else super().window(asked)


@planted("alignment", "leak")
class WindowAlignedToTheStart(Plain):
    def window(self, asked: Asked) -> Any:
        left, right = asked.window
        places = np.arange(asked.query.shape[2])[:, None]
        return (asked.keys >= places - left) & (asked.keys <= places + right)


# Documents

planted = planting(Contract(causal=True, key_mask=True, documents=True))


@planted("documents", "leak")
class DocumentsIgnored(Plain):
    def documents(self, asked: Asked) -> Any:
        return np.True_


@planted("documents", "leak")
class DocumentsAreABand(Plain):
    """sglang-jax#1289."""

    def documents(self, asked: Asked) -> Any:
        return np.abs(asked.keys - asked.positions) <= 4


@planted("documents")
class DocumentsAreRuns(Plain):
    """torchtitan#3130: one document is taken for several."""

    def documents(self, asked: Asked) -> Any:
        ids = asked.documents
        runs = np.cumsum(np.diff(ids, axis=1, prepend=ids[:, :1]) != 0, axis=1)
        return super().documents(replace(asked, documents=runs))


@planted("documents", "leak")
class DocumentsShareOneGroup(Plain):
    """transformers#38080: every image sees every image."""

    def documents(self, asked: Asked) -> Any:
        return super().documents(replace(asked, documents=(asked.documents > 1).astype(int)))


@planted("documents")
class DocumentsAreCausal(Plain):
    """unturtle#44."""

    def documents(self, asked: Asked) -> Any:
        return super().documents(asked) & super().causal(asked)


@planted("documents", "leak")
class DocumentsLookedUpFromTheStart(Plain):
    def documents(self, asked: Asked) -> Any:
        ids, query_len = asked.documents, asked.query.shape[2]
        if query_len > ids.shape[1]:
            return super().documents(asked)
        return (ids[:, :query_len, None] == ids[:, None, :])[:, None]


@planted("documents", "leak")
class DocumentsOfItemZero(Plain):
    def documents(self, asked: Asked) -> Any:
        return super().documents(asked)[:1]
