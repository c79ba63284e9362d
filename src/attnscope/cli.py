"""The command line: one verb for each thing that attnscope is for.

What is heavy is imported inside the verbs, so that --help and completion answer at once.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attnscope.errors import AttentionError
from attnscope.sizing_command import size

if TYPE_CHECKING:
    from rich.console import Console

    from attnscope.audit import Report

FORMATS = ("float32", "bfloat16", "float16", "float64")
HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
TEXT_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
POSITIVE = click.IntRange(min=1)
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)
NEW_FOLDER = click.Path(file_okay=False, path_type=Path)


class InputError(click.ClickException):
    """What the caller gave cannot be used: exit code 2, as for a wrong option."""

    exit_code = 2


@contextmanager
def explained() -> Iterator[None]:
    """What attnscope says about its input becomes a message and a code, not a traceback."""
    try:
        yield
    except AttentionError as error:
        raise InputError(str(error)) from error
    except MemoryError as error:
        raise InputError(f"this does not fit into memory: {error}. Use smaller sizes.") from error


def print_version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from attnscope.machine import this_machine

    with explained():
        click.echo(str(this_machine()))
    context.exit()


@click.group(context_settings=HELP)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=print_version,
    help="Print version, CPU level and threads.",
)
def main() -> None:
    """Softmax attention to compute, see, check, size and learn.

    \b
    Examples:
      attnscope tour                 what attention does, on the README
      attnscope tour notes.txt       the same, on your own text
      attnscope bench --causal       how fast it runs here
      attnscope bench --decode       how fast the cache decodes
      attnscope audit m.py:attend    what is wrong with a function of yours
      attnscope size config.json     what a model's cache takes
    """  # noqa: D301 - click reads \b as: keep these lines
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that has no "█" shows "?", and the tour goes on


main.add_command(size)


@main.command(short_help="Show what attention does on a real text.")
@click.argument("file", required=False, type=TEXT_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print the same facts as JSON.")
def tour(file: Path | None, as_json: bool) -> None:
    """Show what attention does on a real text: FILE, "-" for standard input, or the README.

    A transformer with hand-written weights reads the text and writes on; one sees where its heads look, what
    ablating one of them costs, how a leaking mask shows, and what the kernel saves. Takes some seconds; every
    number is computed there and then. Texts longer than 8,192 bytes are cut.

    \b
    Examples:
      attnscope tour
      attnscope tour src/attnscope/cli.py
      git log | attnscope tour -
      attnscope tour --json | jq .leak
    """  # noqa: D301 - click reads \b as: keep these lines
    from attnscope import tour as rooms

    with explained(), rooms.progress(terminal(stderr=True)) as step:
        facts = rooms.tour(rooms.read_text(file, most_bytes=rooms.most_bytes()), step)
    if as_json:
        print_json(asdict(facts))
    else:
        rooms.print_page(facts, terminal())


def declared(name: str, text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """An option --name/--no-name, which declares a field of a contract, or takes it back."""
    spelled = name.replace("_", "-")
    return click.option(f"--{spelled}/--no-{spelled}", name, default=None, help=text)


@main.command(short_help="Check that attention code keeps its promises.")
@click.argument("target", metavar="MODULE:FUNCTION", required=False)
@click.option(
    "--model", type=FOLDER, metavar="DIR", help="Audit a model that Transformers loads from DIR, instead."
)
@click.option("--contract", "contract_file", type=EXISTING_FILE, help="What it claims, as TOML or JSON.")
@declared("causal", "It takes causal=True or False.")
@click.option("--alignment", type=click.Choice(["end", "start"]), help="Which query meets which key.")
@declared("key_mask", "key_mask=bool[batch, key_len], True = visible.")
@declared("mask", "mask=bool[batch, 1 or heads, query_len, key_len].")
@declared("window", "window=(left, right).")
@declared("documents", "documents=int[batch, key_len].")
@declared("grouped_heads", "More query heads than key heads.")
@declared("scale", "scale=float.")
@declared("softcap", "softcap=float.")
@declared("bias", "bias=float[batch, heads, query_len, key_len].")
@declared("sinks", "sinks=float[heads].")
@declared("log_normalizer", "return_log_normalizer=True.")
@click.option("--dtype", "dtypes", multiple=True, type=click.Choice(FORMATS), help="May be repeated.")
@click.option("--gradients", metavar="MODULE:FUNCTION", help="Its gradients.")
@click.option("--cache", metavar="MODULE:FUNCTION", help="What makes its cache.")
@click.option("--empty-rows", type=click.Choice(["zero", "unspecified"]), help="Of rows that see no key.")
@declared("hidden_nan", "A NaN in a hidden slot reaches no output.")
@declared("unequal_lengths", "query_len may differ from key_len.")
@declared("same_bits", "Last bits do not depend on the batch.")
@click.option("--torch", "on_tensors", is_flag=True, help="The function takes torch tensors.")
@click.option("--tokens-first", is_flag=True, help="The function takes [batch, tokens, heads, dim].")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--junit", type=NEW_FILE, metavar="FILE", help="Write the report as JUnit's XML, too.")
@click.option("--sarif", type=NEW_FILE, metavar="FILE", help="Write the report as SARIF, too.")
@click.option("--save", type=NEW_FOLDER, metavar="FOLDER", help="Write each counterexample as .npz.")
@click.option("--seed", type=click.IntRange(min=0), metavar="N", default=0, show_default=True)
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    metavar="N",
    help="At most: 60, and 240 for a model, unless given.",
)
def audit(target: str | None, model: Path | None, **given: Any) -> None:
    """Check that an attention function keeps its promises: no leaks, the right numbers, no surprises.

    The function is called as fn(query, key, value, **options) on NumPy arrays [batch, heads, tokens, dim], with the
    options that its contract declares and no others. The contract is the function's own `contract`, if it has one,
    then FILE, then the options below. Ends with 0 where nothing is found, 1 where something is, 2 for a wrong call.

    \b
    Examples:
      attnscope audit my_package.attention:attend --causal --key-mask
      attnscope audit my_file.py:attend --contract contract.toml --junit audit.xml
      attnscope audit torch.nn.functional:scaled_dot_product_attention
      attnscope audit --model path/to/model
    """  # noqa: D301 - click reads \b as: keep these lines
    if (target is None) == (model is None):
        raise click.UsageError("name either MODULE:FUNCTION or --model DIR.")
    run = {name: value for name in ("seed", "seconds") if (value := given.pop(name)) is not None}
    written = {name: given.pop(name) for name in ("as_json", "junit", "sarif", "save")}
    with explained(), bar("audit") as progress:
        if model is not None:
            report = model_report(model, given, progress, run)
        else:
            report = function_report(str(target), given, progress, run)
    write_report(report, **written)
    sys.exit(report.exit_status)


def function_report(
    target: str, given: dict[str, Any], progress: Callable[[float, str], None], run: dict[str, Any]
) -> "Report":
    """The audit of a function, by its name and its contract."""
    from attnscope.audit import attention
    from attnscope.audit.targets import adapted, claims_of_file, contract_for, load

    adapters = {name: given.pop(name) for name in ("on_tensors", "tokens_first")}
    file = given.pop("contract_file")
    flags = {name: value for name, value in given.items() if value not in (None, ())}
    fn = load(target)
    contract = contract_for(fn, claims_of_file(file) if file else {}, flags)
    return attention(adapted(fn, **adapters), contract, name=target, progress=progress, **run)


def model_report(
    folder: Path, given: dict[str, Any], progress: Callable[[float, str], None], run: dict[str, Any]
) -> "Report":
    """The audit of a model that Transformers loads; it claims what its class and configuration say, and nothing else."""
    from attnscope.audit import transformers
    from attnscope.audit.models.transformers_model import load

    said = [name for name, value in given.items() if value not in (None, (), False)]
    if said:
        raise click.UsageError(
            f"--{said[0].replace('_', '-')} is of a function, and --model DIR names a model."
        )
    return transformers(load(folder), progress=progress, **run)


def write_report(
    report: "Report", *, as_json: bool, junit: Path | None, sarif: Path | None, save: Path | None
) -> None:
    """Print a report, and write the files that were asked for."""
    if junit is not None:
        junit.write_text(report.to_junit(), encoding="utf-8")
    if sarif is not None:
        sarif.write_text(report.to_sarif(), encoding="utf-8")
    if save is not None:
        report.save(save)
    click.echo(report.to_json() if as_json else str(report))


@contextmanager
def bar(label: str) -> Iterator[Callable[[float, str], None]]:
    """A bar on the terminal's error stream, gone when it is done; yields what moves it: share, next step."""
    from rich.progress import Progress

    console = terminal(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(label, total=1.0)
        yield lambda share, step: progress.update(task, completed=share, description=f"{label}: {step}")


@main.command(short_help="Time attention() on any shape, or decoding, beside this machine's limits.")
@click.option(
    "--decode", is_flag=True, help="One query a sequence over a KVCache, at three lengths unless given."
)
@click.option("--batch", type=POSITIVE, metavar="N", default=1, show_default=True)
@click.option("--query-heads", type=POSITIVE, metavar="N", show_default="8; 32 to decode")
@click.option("--kv-heads", type=POSITIVE, metavar="N", show_default="as query heads; a quarter to decode")
@click.option("--query-len", type=POSITIVE, metavar="N", show_default="2048; 1 to decode")
@click.option(
    "--key-len", type=POSITIVE, metavar="N", show_default="as the queries; 4096, 32768, 131072 to decode"
)
@click.option("--key-dim", type=POSITIVE, metavar="N", default=128, show_default=True)
@click.option("--value-dim", type=POSITIVE, metavar="N", show_default="as the keys'")
@click.option(
    "--dtype", "number_format", type=click.Choice((*FORMATS, "int8")), default="float32", show_default=True
)
@click.option("--causal", is_flag=True, help="The last query meets the last key; not to decode.")
@click.option(
    "--window",
    type=POSITIVE,
    metavar="N",
    help="Causal, over the last N keys, its own included; not to decode.",
)
@click.option("--page-tokens", type=POSITIVE, metavar="N", show_default="64", help="To decode.")
@click.option("--threads", type=click.IntRange(1, 1024), metavar="N", show_default="all CPUs")
@click.option(
    "--repeat", type=POSITIVE, metavar="N", default=9, show_default=True, help="Calls to take the median of."
)
@click.option("--json", "as_json", is_flag=True, help="Print the same facts as JSON.")
def bench(decode: bool, as_json: bool, **sizes: int | str | bool | None) -> None:
    """Time attention() on random arrays of any shape, beside this machine's own limits; or the cache, decoding.

    Floating-point operations are counted over the visible (query, key) pairs only; the shares are of a loop
    of multiply-adds on registers, and of a streaming read, both measured in the same run.

    \b
    Examples:
      attnscope bench --causal
      attnscope bench --query-len 16384 --window 512 --dtype bfloat16 --json
      attnscope bench --decode
      attnscope bench --decode --batch 8 --key-len 32768 --dtype int8
    """  # noqa: D301 - click reads \b as: keep these lines
    check_bench_options(decode, sizes)
    (bench_decode if decode else bench_call)(as_json, sizes)


def check_bench_options(decode: bool, sizes: dict[str, int | str | bool | None]) -> None:
    """Some options have a meaning with --decode only, some without it only."""
    for name in ("query_len", "causal", "window") if decode else ("page_tokens",):
        if sizes[name]:
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{option} goes {'only without' if decode else 'only with'} --decode.")
    wrong = "float64" if decode else "int8"
    if sizes["number_format"] == wrong:
        raise click.UsageError(f"--dtype {wrong} goes only {'without' if decode else 'with'} --decode.")


def bench_call(as_json: bool, sizes: dict[str, int | str | bool | None]) -> None:
    from attnscope.bench import case_of, measure, print_measurement

    with explained():
        measurement = measure(case_of(kept(sizes, "page_tokens")))
    if as_json:
        print_json(asdict(measurement))
    else:
        print_measurement(measurement, terminal())


def bench_decode(as_json: bool, sizes: dict[str, int | str | bool | None]) -> None:
    from attnscope.bench import decode_cases, measure_decode, print_decode

    measured = []
    with explained(), terminal(stderr=True).status("") as status:
        for case in decode_cases(kept(sizes, "query_len", "causal", "window")):
            status.update(f"decoding after {case.key_len:,} tokens")
            measured.append(measure_decode(case))
    if as_json:
        print_json([asdict(each) for each in measured])
    else:
        print_decode(measured, terminal())


def kept(sizes: dict[str, int | str | bool | None], *without: str) -> dict[str, int | str | bool | None]:
    return {name: size for name, size in sizes.items() if name not in without}


def terminal(*, stderr: bool = False) -> "Console":
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, emoji=False)


def print_json(facts: object) -> None:
    import json

    click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
