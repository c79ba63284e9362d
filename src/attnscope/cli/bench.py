"""The verb `attnscope bench`: the time of attention() on any shape, or of decoding with the cache."""

from dataclasses import asdict

import click

from attnscope.cli.refusals import explained
from attnscope.cli.terminal import json_option, print_json, terminal
from attnscope.problem import FORMATS

POSITIVE = click.IntRange(min=1)


@click.command(short_help="Time attention() on any shape, or decoding, beside this machine's limits.")
@click.option(
    "--decode", is_flag=True, help="Time one query per sequence over a KVCache, by default at three lengths."
)
@click.option(
    "--batch", type=POSITIVE, metavar="N", default=1, show_default=True, help="Sequences in one call."
)
@click.option(
    "--query-heads", type=POSITIVE, metavar="N", show_default="8; with --decode 32", help="Query heads."
)
@click.option(
    "--kv-heads",
    type=POSITIVE,
    metavar="N",
    show_default="--query-heads; with --decode a quarter",
    help="Key and value heads; a divisor of the query heads.",
)
@click.option(
    "--query-len",
    type=POSITIVE,
    metavar="N",
    show_default="2048",
    help="Queries per sequence. Not with --decode, which has one.",
)
@click.option(
    "--key-len",
    type=POSITIVE,
    metavar="N",
    show_default="--query-len; with --decode 4096, 32768, 131072",
    help="Keys per sequence.",
)
@click.option(
    "--key-dim", type=POSITIVE, metavar="N", default=128, show_default=True, help="Numbers per query and key."
)
@click.option("--value-dim", type=POSITIVE, metavar="N", show_default="--key-dim", help="Numbers per value.")
@click.option(
    "--dtype",
    "number_format",
    type=click.Choice((*FORMATS, "int8")),
    default="float32",
    show_default=True,
    help="Number format. float64 runs the reference; int8 needs --decode.",
)
@click.option("--causal", is_flag=True, help="Causal mask, bottom-right aligned. Not with --decode.")
@click.option(
    "--window",
    type=POSITIVE,
    metavar="N",
    help="Causal mask over the last N keys, the query's own included. Not with --decode.",
)
@click.option(
    "--page-tokens", type=POSITIVE, metavar="N", show_default="64", help="Tokens per page. Needs --decode."
)
@click.option(
    "--threads", type=click.IntRange(1, 1024), metavar="N", show_default="all CPUs", help="Threads per call."
)
@click.option(
    "--repeat",
    type=POSITIVE,
    metavar="N",
    default=9,
    show_default=True,
    help="Calls; the table shows their median.",
)
@json_option
def bench(decode: bool, as_json: bool, **sizes: int | str | bool | None) -> None:
    """Time attention() on random arrays, or decoding with the cache, beside this machine's limits.

    Floating-point operations count visible (query, key) pairs only. The limits are a loop of multiply-adds on
    registers and a streaming read, both measured in the same run.

    \b
    Examples:
      attnscope bench --causal                               prefill of 2,048 tokens
      attnscope bench --query-len 16384 --window 512 --json  a sliding window, as JSON
      attnscope bench --decode                               one new token after 4k, 32k and 131k
      attnscope bench --decode --batch 8 --key-len 32768 --dtype int8
    """  # noqa: D301 - click reads \b as: keep these lines
    check_bench_options(decode, sizes)
    (bench_decode if decode else bench_call)(as_json, sizes)


def check_bench_options(decode: bool, sizes: dict[str, int | str | bool | None]) -> None:
    """Raise UsageError for options that apply only with --decode, or only without it."""
    for name in ("query_len", "causal", "window") if decode else ("page_tokens",):
        if sizes[name]:
            _refuse(f"--{name.replace('_', '-')}", decode)
    wrong = "float64" if decode else "int8"
    if sizes["number_format"] == wrong:
        _refuse(f"--dtype {wrong}", decode)


def _refuse(option: str, decode: bool) -> None:
    way_out = "Leave one of them out." if decode else "Add --decode."
    raise click.UsageError(f"{option} applies only {'without' if decode else 'with'} --decode. {way_out}")


def bench_call(as_json: bool, sizes: dict[str, int | str | bool | None]) -> None:
    """Time one call and print it."""
    from attnscope.bench import case_of, measure, print_measurement

    with explained():
        measurement = measure(case_of(kept(sizes, "page_tokens")))
    if as_json:
        print_json(asdict(measurement))
    else:
        print_measurement(measurement, terminal())


def bench_decode(as_json: bool, sizes: dict[str, int | str | bool | None]) -> None:
    """Time decoding at each length and print it."""
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
    """The options except these."""
    return {name: size for name, size in sizes.items() if name not in without}
