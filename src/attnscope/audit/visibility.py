"""Which keys a call's options show: one mask an option, so that a finding can name the option that hides a key."""

from typing import NamedTuple

import numpy as np

from attnscope.audit.case import Call
from attnscope.audit.contract import Contract
from attnscope.problem import Causal, Dense, Documents, Mask, Window

HIDES = {
    "causal": "causal hides",
    "key_mask": "the key mask hides",
    "mask": "the mask hides",
    "window": "the window hides",
    "documents": "documents hide",
}


class Row(NamedTuple):
    """A row of the output."""

    batch: int
    head: int
    query: int


def masks_of(call: Call, contract: Contract) -> dict[str, Mask]:
    """The mask that each option of a call stands for."""
    options, offset = call.options, contract.offset
    masks: dict[str, Mask] = {}
    if options.get("causal") or contract.causal == "always":
        masks["causal"] = Causal(offset)
    if "key_mask" in options:
        masks["key_mask"] = Dense(options["key_mask"][:, None, None, :])
    if "mask" in options:
        masks["mask"] = Dense(options["mask"])
    if "window" in options:
        masks["window"] = Window(options["window"][0], options["window"][1], offset)
    if "documents" in options:
        masks["documents"] = Documents(options["documents"], offset)
    return masks


def joined(masks: dict[str, Mask]) -> Mask | None:
    """What all of them show."""
    whole: Mask | None = None
    for mask in masks.values():
        whole = mask if whole is None else whole & mask
    return whole


def visible_slots(call: Call, masks: dict[str, Mask]) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Write out what is visible, (batch, query_heads, query_len, key_len)."""
    batch, heads, query_len, _ = call.query.shape
    key_len = call.key.shape[2]
    visible = np.ones((batch, heads, query_len, key_len), np.bool_)
    for mask in masks.values():
        visible &= mask.visible(query_len, key_len, batch=batch, heads=heads).reshape(
            (batch, heads, query_len, key_len) if batch * heads > 1 else (1, 1, query_len, key_len)
        )
    return visible


def why_hidden(call: Call, masks: dict[str, Mask], row: Row, key: int) -> dict[str, str]:
    """The options that hide a key from a row, each with its reason: "causal hides (key 7 comes after query 3)"."""
    query_len, key_len = call.query.shape[2], call.key.shape[2]
    said: dict[str, str] = {}
    for name, mask in masks.items():
        text = mask.explain(
            query=row.query, key=key, query_len=query_len, key_len=key_len, batch=row.batch, head=row.head
        )
        verdict, _, reason = text.partition(": ")
        if verdict == "hidden":
            _, _, detail = reason.partition(", ")
            said[name] = HIDES[name] if name in ("key_mask", "mask") else f"{HIDES[name]} ({detail})"
    return said
