"""Simpler cases, and the smallest one that fails in the same way."""

from collections.abc import Callable, Iterator

from attnscope.audit.case import Case
from attnscope.audit.contract import Contract
from attnscope.audit.options import BY_NAME
from attnscope.probing import shrink


def shrink_case(case: Case, contract: Contract, same: Callable[[Case], bool], seconds: float = 1.5) -> Case:
    """The smallest case found that still fails in the same way."""
    return shrink(case, lambda tried: simpler(tried, contract), same, seconds=seconds)


def simpler(case: Case, contract: Contract) -> Iterator[Case]:
    """Simpler cases, the largest steps first."""
    yield from plainer(case, contract)
    yield from fewer_options(case, contract)
    yield from smaller_sizes(case, contract)
    for name, kind in case.given:
        yield from (case.but(**{name: simple}) for simple in BY_NAME[name].simpler(kind))


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
        elif name != "causal":
            yield case.but(**{name: None})
        elif contract.causal is True:
            yield case.but(causal=False)


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
    """Fewer kv heads with groups of the same size, then smaller groups."""
    kv_heads = case.sizes.kv_heads
    group = case.sizes.query_heads // kv_heads
    yield from (case.but(kv_heads=fewer, query_heads=fewer * group) for fewer in range(1, kv_heads))
    yield from (case.but(query_heads=kv_heads * fewer) for fewer in range(2, group))


def shorter(length: int) -> Iterator[int]:
    """Shorter lengths to try: very short, half, and slightly shorter."""
    tried = (1, 2, 3, 4, length // 2, length - length // 4, length - length // 8, length - 1)
    yield from sorted({each for each in tried if 1 <= each < length})
