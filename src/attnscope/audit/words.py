"""Findings in sentences: which query reads which key, why it must not, and what else must be given to see it."""

from attnscope.audit.case import Case
from attnscope.audit.expectation import Expectation
from attnscope.audit.isolation import Reach
from attnscope.audit.visibility import Row, why_hidden

WORDS = {
    "causal": "causal",
    "key_mask": "a key mask",
    "mask": "a mask",
    "window": "a window",
    "documents": "documents",
    "grouped_heads": "grouped heads",
    "scale": "a scale",
    "softcap": "a soft-cap",
    "bias": "a bias",
    "sinks": "sinks",
}


def listed(words: list[str]) -> str:
    """One, two and three.

    >>> listed(["a bias"]), listed(["a bias", "sinks", "causal"])
    ('a bias', 'a bias, sinks and causal')
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def place(row: Row, case: Case) -> str:
    """The row in words, as far as there are several."""
    said = [f"query {row.query}"]
    said += [f"head {row.head}"] if case.sizes.query_heads > 1 else []
    said += [f"batch item {row.batch}"] if case.sizes.batch > 1 else []
    return " of ".join(said)


def condition(case: Case, but: tuple[str, ...] = ()) -> str:
    """What the smallest case still needs: ", when a key mask is also given, at key_len=65"."""
    given = [WORDS[name] for name in case.options if name not in but]
    also = "also " if but else ""
    said = (
        [
            f"when {listed(given)} {'is' if len(given) == 1 and given[0] not in ('documents', 'sinks', 'grouped heads') else 'are'} {also}given"
        ]
        if given
        else []
    )
    sizes = case.sizes
    if sizes.key_len > 16:
        said.append(f"at query_len={sizes.query_len}, key_len={sizes.key_len}")
    elif sizes.query_len != sizes.key_len:
        said.append(f"with query_len={sizes.query_len} and key_len={sizes.key_len}")
    said += [f"in {case.number_format}"] if case.number_format != "float32" else []
    said += [f"with {case.layout} arrays"] if case.layout != "contiguous" else []
    said += [f"where scores lie around {case.offset:g}"] if case.offset else []
    said += ["where scores are large"] if case.spread > 1 else []
    return "".join(f", {each}" for each in said)


def of_reach(reach: Reach, row: Row, case: Case, expected: Expectation) -> str:
    """A row that depends on what it must not."""
    where = place(row, case)
    if reach.side == "key" and reach.key is not None:
        why = why_hidden(expected.reading.call, expected.reading.masks, row, reach.key)
        return (
            f"{where} reads key {reach.key}, which {listed(list(why.values()))}{condition(case, tuple(why))}"
        )
    if reach.side == "key":
        return f"{where} reads hidden keys{condition(case)}"
    return f"{where} depends on another {reach.side}{condition(case)}"


def of_error(row: Row, case: Case, expected: Expectation, what: str, actual: float, right: float) -> str:
    """A row that is not what it should be."""
    name = "logsumexp" if what == "logsumexp" else "output"
    return f"{place(row, case)} has {name} {actual:.6g} where {right:.6g} is right{condition(case)}"
