"""The same cache with every engine, side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from attnscope.errors import ConfigError
from attnscope.sizing.engines import ENGINES
from attnscope.sizing.plan import CachePlan
from attnscope.sizing.size import size
from attnscope.sizing.table import in_units


@dataclass(frozen=True)
class EngineCache:
    """One engine's plan, or the reason why there is none."""

    engine: str
    plan: CachePlan | None
    why_not: str | None = None


def compare_engines(config: Any, asked: Mapping[str, Any]) -> tuple[EngineCache, ...]:
    """size() with each engine; what one engine does not have is said, and hides no other."""
    return tuple(_with_engine(config, engine, asked) for engine in ENGINES)


def _with_engine(config: Any, engine: str, asked: Mapping[str, Any]) -> EngineCache:
    try:
        return EngineCache(engine, size(config, **(dict(asked) | {"engine": engine})))
    except ConfigError as error:
        return EngineCache(engine, None, str(error))


def comparison_table(caches: tuple[EngineCache, ...]) -> str:
    """A row for each engine: the cache, and what fits where a memory was given."""
    rows: list[tuple[str, ...]] = [("engine", "cache", "", "a token", "sequences", "context")]
    rows += [_row(each) for each in caches]
    with_memory = any(each.plan is not None and each.plan.memory is not None for each in caches)
    columns = range(6 if with_memory else 4)
    widths = [max(len(row[i]) for row in rows if len(row) > 2) for i in range(6)]
    return "\n".join(
        "  ".join(
            row[i].rjust(widths[i]) if i else row[i].ljust(widths[0]) for i in columns if i < len(row)
        ).rstrip()
        for row in rows
    )


def _row(each: EngineCache) -> tuple[str, ...]:
    if each.plan is None:
        return each.engine, f"{each.why_not}"
    plan = each.plan
    sequences, longest = (
        "-" if most is None else f"{most:,}" for most in (plan.max_sequences, plan.max_context)
    )
    in_gb = f"({plan.cache_bytes / 1e9:,.2f} GB)"
    return each.engine, in_units(plan.cache_bytes), in_gb, f"{plan.bytes_per_token:,}", sequences, longest
