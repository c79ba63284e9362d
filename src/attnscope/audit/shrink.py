"""From a call that goes wrong to the smallest one that goes wrong the same way."""

from collections.abc import Callable, Iterator
from time import monotonic

from attnscope.audit.case import Case
from attnscope.audit.contract import Contract

MOST_TRIES = 200
SIMPLE_KINDS = {
    "key_mask": "right padding",
    "mask": "the same for all heads",
    "documents": "runs",
    "bias": "full",
}


def shrink(case: Case, contract: Contract, same: Callable[[Case], bool], seconds: float = 1.5) -> Case:
    """Take one step after the other as long as the smaller case still goes wrong the same way."""
    tries, deadline = 0, monotonic() + seconds
    smaller = True
    while smaller:
        smaller = False
        for candidate in steps(case, contract):
            tries += 1
            if tries > MOST_TRIES or monotonic() > deadline:
                return case
            if same(candidate):
                case, smaller = candidate, True
                break
    return case


def steps(case: Case, contract: Contract) -> Iterator[Case]:
    """Simpler cases, the boldest steps first."""
    yield from plainer(case, contract)
    yield from fewer_options(case, contract)
    yield from smaller_sizes(case, contract)
    yield from simpler_kinds(case)


def plainer(case: Case, contract: Contract) -> Iterator[Case]:
    plain = {
        "layout": "contiguous",
        "number_format": contract.main_format,
        "offset": 0.0,
        "spread": 1.0,
        "spiked": False,
    }
    for name, value in plain.items():
        if getattr(case, name) != value:
            yield case.but(**{name: value})


def fewer_options(case: Case, contract: Contract) -> Iterator[Case]:
    if case.logsumexp:
        yield case.but(logsumexp=False)
    for name in case.options:
        if name == "grouped_heads":
            yield case.but(query_heads=case.sizes.kv_heads)
        elif name == "causal":
            if contract.causal is True:
                yield case.but(causal=False)
        else:
            yield case.but(**{name: None})


def smaller_sizes(case: Case, contract: Contract) -> Iterator[Case]:
    sizes = case.sizes
    yield from (case.but(batch=batch) for batch in range(1, sizes.batch))
    yield from fewer_heads(case)
    if sizes.query_len == sizes.key_len:
        yield from (case.but(query_len=length, key_len=length) for length in shorter(sizes.key_len))
    if contract.unequal_lengths:
        yield from (case.but(query_len=length) for length in shorter(sizes.query_len))
        yield from (case.but(key_len=length) for length in shorter(sizes.key_len))
    for dim in (1, 2, 4):
        if dim < sizes.key_dim:
            yield case.but(key_dim=dim, value_dim=min(dim, sizes.value_dim))


def fewer_heads(case: Case) -> Iterator[Case]:
    """Fewer kv heads with as large groups, then smaller groups."""
    kv_heads = case.sizes.kv_heads
    group = case.sizes.query_heads // kv_heads
    yield from (case.but(kv_heads=fewer, query_heads=fewer * group) for fewer in range(1, kv_heads))
    yield from (case.but(query_heads=kv_heads * fewer) for fewer in range(2, group))


def shorter(length: int) -> Iterator[int]:
    """Lengths to try in the place of one: very few, half, and a little less."""
    tried = (1, 2, 3, 4, length // 2, length - length // 4, length - length // 8, length - 1)
    yield from sorted({each for each in tried if 1 <= each < length})


def simpler_kinds(case: Case) -> Iterator[Case]:
    if case.sinks:
        yield case.but(sinks=0.0)
    for name, kind in SIMPLE_KINDS.items():
        if getattr(case, name) not in (None, kind):
            yield case.but(**{name: kind})
    if case.window is not None and case.window != (0, 0):
        left, right = case.window
        for window in ((0, 0), (1, 0), (0, right), (left, 0), (left // 2, right // 2)):
            if window != case.window and window[0] <= left and window[1] <= right:
                yield case.but(window=window)
