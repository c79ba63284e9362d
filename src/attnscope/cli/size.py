"""The command `attnscope size`: from a model's config to the bytes of its cache and the time of its steps."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from attnscope.arguments import brief
from attnscope.cli.refusals import explained
from attnscope.cli.terminal import json_option, print_json
from attnscope.errors import AttentionError, ConfigError
from attnscope.sizing import (
    CachePlan,
    EngineCache,
    Hardware,
    Roofline,
    compare_engines,
    comparison_table,
    read_bytes,
    read_hardware,
    read_tokens,
    roofline,
)
from attnscope.sizing import size as size_cache

DEFAULT_CONTEXT = 8192
DEFAULT_NEW_TOKENS = 256


def quantity(read: Callable[[str, str], int]) -> Callable[..., int | None]:
    """A callback that reads a number with a unit."""

    def convert(context: click.Context, option: click.Parameter, given: str | None) -> int | None:
        if given is None:
            return None
        try:
            return read(given, option.opts[0].removeprefix("--"))
        except AttentionError as error:
            raise click.BadParameter(str(error), context, option) from error

    return convert


TOKENS: Any = {"metavar": "TOKENS", "callback": quantity(read_tokens)}
BYTES: Any = {"metavar": "BYTES", "callback": quantity(read_bytes)}


@click.command(short_help="Size a model's KV cache from its config: bytes, sequences, seconds.")
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--context", **TOKENS, help="Tokens per sequence; 128k is 131,072. [default: 8192]")
@click.option("--batch", type=int, metavar="N", default=1, show_default=True, help="Number of sequences.")
@click.option(
    "--kv-dtype",
    metavar="FORMAT",
    default="bfloat16",
    show_default=True,
    help="Number format of keys and values: bfloat16, float16, float32, fp8, int8 or int4.",
)
@click.option(
    "--engine",
    metavar="NAME",
    default="hf",
    show_default=True,
    help="Engine of the first table: hf, hf-static, vllm, llama.cpp or attnscope.",
)
@click.option(
    "--memory",
    **BYTES,
    help="Memory for weights and cache: 80GiB is 80 * 2^30, 80GB is 80 * 10^9, 80g is GiB.",
)
@click.option(
    "--hardware",
    metavar="NAME",
    help="Bound the speed on this hardware, such as h100; here: measure this machine.",
)
@click.option(
    "--prompt", **TOKENS, help="Prompt tokens per sequence. [default: the context minus the new tokens]"
)
@click.option(
    "--new-tokens", **TOKENS, help=f"Tokens to decode per sequence. [default: {DEFAULT_NEW_TOKENS}]"
)
@click.option(
    "--weight-dtype", metavar="FORMAT", help="Number format of the weights. [default: the config's]"
)
@click.option("--assume", multiple=True, metavar="FIELD=JSON", help="Use this value instead of the file's.")
@click.option("--explain", is_flag=True, help="Print the formulas with their numbers.")
@json_option
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw the cache over the context as a PNG, SVG or PDF.",
)
def size(config: Path, **options: Any) -> None:
    """Size the KV cache of a model: CONFIG is a config.json, the folder that holds it, or a GGUF file.

    Prints the layers by kind, the bytes per token and of the whole cache, the weights, and all engines side
    by side. With --memory, also how many sequences and which context fit. With --hardware, also what limits
    prefill and decode.

    \b
    Examples:
      attnscope size config.json
      attnscope size config.json --context 128k --batch 8 --memory 80GiB
      attnscope size config.json --kv-dtype fp8 --hardware h100 --prompt 7k --new-tokens 1k
      attnscope size model.gguf --engine llama.cpp --json | jq .cache_bytes
    """  # noqa: D301 - click reads \b as: keep these lines
    with explained():
        report(config, options)


def report(config: Path, options: dict[str, Any]) -> None:
    """Size, compare, draw and print; raises AttentionError."""
    context, prompt, new_tokens = tokens_of(options)
    limits = hardware_of(options["hardware"])
    memory = options["memory"]
    if memory is None and limits is not None:
        memory = limits.memory_bytes
    arguments = {
        "context": context,
        "batch": options["batch"],
        "kv_dtype": options["kv_dtype"],
        "memory": memory,
        "assume": assumed(options["assume"]),
    }
    plan = size_cache(config, engine=options["engine"], **arguments)
    caches = compare_engines(config, arguments)
    line = None
    if limits is not None:
        shared = {name: arguments[name] for name in ("batch", "kv_dtype", "assume")}
        shared |= {"prompt": prompt, "new_tokens": new_tokens, "weight_dtype": options["weight_dtype"]}
        line = roofline(config, hardware=limits, **shared)
    if options["plot"] is not None:
        draw(caches, options["plot"])
    if options["as_json"]:
        print_json(facts_of(plan, caches, line))
    else:
        click.echo(text_of(plan, caches, line, options["explain"]))


def tokens_of(options: dict[str, Any]) -> tuple[int, int, int]:
    """Context, prompt and new tokens; one that is not given follows from the others."""
    context, prompt, new_tokens = options["context"], options["prompt"], options["new_tokens"]
    if context is None:
        context = DEFAULT_CONTEXT if prompt is None else prompt + (new_tokens or DEFAULT_NEW_TOKENS)
    if prompt is None and new_tokens is None:
        new_tokens = min(DEFAULT_NEW_TOKENS, max(1, context - 1))
        return context, max(1, context - new_tokens), new_tokens
    new_tokens = context - prompt if new_tokens is None else new_tokens
    prompt = context - new_tokens if prompt is None else prompt
    if min(prompt, new_tokens) < 1 or prompt + new_tokens > context:
        raise ConfigError(
            f"context={context:,}: expected room for the prompt and the new tokens, at least one each, got "
            f"prompt={prompt:,} and new-tokens={new_tokens:,}. Give two of the three."
        )
    return context, prompt, new_tokens


def hardware_of(name: str | None) -> Hardware | None:
    """Hardware by name; "here" is measured."""
    if name is None:
        return None
    return Hardware.measure() if name == "here" else read_hardware(name)


def assumed(given: tuple[str, ...]) -> dict[str, Any]:
    """The fields of FIELD=JSON, such as sliding_window=4096; raises ConfigError."""
    fields = {}
    for each in given:
        name, equals, text = each.partition("=")
        try:
            fields[name] = json.loads(text)
        except (ValueError, RecursionError):
            equals = ""
        if not (name and equals):
            raise ConfigError(
                f"assume={brief(each)}: expected FIELD=JSON, such as sliding_window=4096 or lora=null."
            )
    return fields


def draw(caches: tuple[EngineCache, ...], path: Path) -> None:
    """Draw the caches; raises ConfigError without matplotlib, or if the file cannot be written."""
    try:
        from attnscope.sizing.plot import draw_caches
    except ImportError as error:
        raise ConfigError(
            f"--plot needs matplotlib ({error}). Install it: pip install 'attnscope[plot]'."
        ) from error
    try:
        draw_caches(caches, path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"plot={str(path)!r} cannot be written: {error}.") from error


def text_of(plan: CachePlan, caches: tuple[EngineCache, ...], line: Roofline | None, explain: bool) -> str:
    """The report as text."""
    parts = [str(plan), comparison_table(caches)]
    if line is not None:
        notes = tuple(note for note in line.notes if note not in plan.notes)  # the plan has them
        line = replace(line, notes=notes)
        parts.append(str(line))
    if explain:
        parts += [plan.explain(), *([line.explain()] if line is not None else [])]
    return "\n\n".join(parts)


def facts_of(plan: CachePlan, caches: tuple[EngineCache, ...], line: Roofline | None) -> dict[str, Any]:
    """The report as JSON: the same facts, bytes and seconds unrounded."""
    return {
        "model_type": plan.model.model_type,
        "context": plan.context,
        "batch": plan.batch,
        "kv_dtype": plan.kv_dtype,
        "engine": plan.engine,
        "layers": [asdict(row) for row in plan.layers],
        "bytes_per_token": plan.bytes_per_token,
        "cache_bytes": plan.cache_bytes,
        "weights": asdict(plan.weights),
        **capacity(plan),
        "notes": plan.notes,
        "engines": {each.engine: of_engine(each) for each in caches},
        "roofline": None if line is None else of_roofline(line),
    }


def capacity(plan: CachePlan) -> dict[str, int | None]:
    return {"memory": plan.memory, "max_sequences": plan.max_sequences, "max_context": plan.max_context}


def of_engine(each: EngineCache) -> dict[str, Any]:
    if each.plan is None:
        return {"why_not": each.why_not}
    sizes = {"cache_bytes": each.plan.cache_bytes, "bytes_per_token": each.plan.bytes_per_token}
    return {**sizes, **capacity(each.plan), "rounding": each.plan.rounding}


def of_roofline(line: Roofline) -> dict[str, Any]:
    phases = {"prefill": line.prefill, "decode": line.decode}
    facts = {name: value for name, value in vars(line).items() if name not in phases}
    facts["hardware"] = asdict(line.hardware)
    for name, phase in phases.items():
        sums = {key: getattr(phase, key) for key in ("flops", "moved_bytes", "intensity", "seconds", "bound")}
        facts[name] = sums | {"parts": [asdict(part) for part in phase.parts]}
    return {**facts, "total_seconds": line.total_seconds, "tokens_per_second": line.tokens_per_second}
