"""The verb `attnscope bench`: how fast attention() runs here, and how fast the cache decodes."""

from dataclasses import asdict

import click

from attnscope.cli.refusals import explained
from attnscope.cli.terminal import json_option, print_json, terminal
from attnscope.problem import FORMATS

POSITIVE = click.IntRange(min=1)


@click.command(short_help="Time attention() on any shape, or decoding, beside this machine's limits.")
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
@json_option
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
