"""What strangers put into files, and how long a reader may take for it."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import strategies as st

SECONDS = 5  # of CPU per example; an ordinary one takes some ms
LONGEST_ERROR = 2_000

NUMBERS = st.one_of(
    st.integers(-3, 70),
    st.sampled_from([2**15, 2**31, 2**40, 2**63, 2**64 + 1, 10**30, -(2**63)]),
    st.floats(allow_nan=True, allow_infinity=True),
    st.booleans(),
    st.none(),
)
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from([
        "",
        " ",
        "\x1b[31m",
        "\u202e",
        "\ud800",
        "\0",
        "a" * 5_000,
        "9" * 5_000,
        "../x",
        "system",
    ]),
)


VALUES = st.recursive(
    NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)


@st.composite
def spoiled(draw: st.DrawFn, sound: Any, values: st.SearchStrategy[Any] = VALUES) -> Any:
    """A JSON value of which some members are replaced, left out or repeated."""
    changed = json.loads(json.dumps(sound))
    for _ in range(draw(st.integers(1, 3))):
        places = list(places_of(changed))
        if not places:
            return draw(values)
        parent, key = draw(st.sampled_from(places))
        action = draw(st.sampled_from(["replace", "replace", "replace", "leave out", "add"]))
        if action == "leave out":
            del parent[key]
        elif action == "add" and isinstance(parent, list):
            parent.append(draw(values))
        elif action == "add":
            parent[draw(TEXTS)] = draw(values)
        else:
            parent[key] = draw(values)
    return changed


def places_of(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a JSON value with each of its keys."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places_of(value[key])


@st.composite
def file_of(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> bytes:
    """A JSON file of such a value, sometimes with bytes changed, cut out or put in."""
    content = bytearray(json.dumps(draw(values)).encode())
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 3]))):
        at = draw(st.integers(0, len(content)))
        content[at : at + draw(st.sampled_from([0, 1, 8]))] = draw(st.binary(max_size=4))
    return bytes(content)


@contextmanager
def limited(seconds: float = SECONDS) -> Iterator[None]:
    """Raise TimeoutError if the body takes more CPU time."""

    def stop(*_: Any) -> None:
        raise TimeoutError(f"more than {seconds} s of CPU")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def check_error(error: Exception, *, escaped: bool = False, names: str = "") -> None:
    """The text is short, names what it is to name, and has no control character if it is escaped."""
    text = str(error)
    assert text.isprintable() or not escaped
    assert names in text
    assert 0 < len(text) < LONGEST_ERROR, f"{len(text)} characters: {text[:200]!r}"
