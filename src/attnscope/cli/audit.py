"""The verb `attnscope audit`: check that a function or a model keeps its promises."""

import os
import sys
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from time import monotonic
from typing import Any

import click

from attnscope.audit import (
    OPTIONS,
    Counterexample,
    Finding,
    Report,
    Severity,
    TargetError,
    adapted,
    attention,
    claims_of_file,
    contract_for,
    load_model,
    load_target,
    transformers,
)
from attnscope.cli.child import LostError, Messages, in_child
from attnscope.cli.refusals import explained
from attnscope.cli.terminal import bar
from attnscope.problem import FORMATS

EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)
NEW_FOLDER = click.Path(file_okay=False, path_type=Path)
FIX_OF_LOST = "Return an output or raise an error, within the time of a call. The audit ended with this call."
Work = Callable[..., Report]


def declared(name: str, text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """An option --name/--no-name, which sets a field of a contract to True or False."""
    spelled = name.replace("_", "-")
    return click.option(f"--{spelled}/--no-{spelled}", name, default=None, help=text)


def declared_options(command: Callable[..., None]) -> Callable[..., None]:
    """All options of attention but causal, from the audit's table."""
    for option in reversed(OPTIONS):
        if option.name != "causal":
            command = declared(option.name, f"It takes {option.passed_as}.")(command)
    return command


@click.command(short_help="Check that attention code keeps its promises.")
@click.argument("target", metavar="MODULE:FUNCTION", required=False)
@click.option(
    "--model", type=FOLDER, metavar="DIR", help="Audit the model in DIR, which Transformers loads, instead."
)
@click.option("--contract", "contract_file", type=EXISTING_FILE, help="Its contract, as TOML or JSON.")
@declared("causal", "It takes causal=True or False.")
@click.option(
    "--alignment",
    type=click.Choice(["end", "start"]),
    help="Last query at the last key, or first at the first.",
)
@declared_options
@declared("logsumexp", "return_logsumexp=True.")
@click.option("--dtype", "dtypes", multiple=True, type=click.Choice(list(FORMATS)), help="May be repeated.")
@click.option("--gradients", metavar="MODULE:FUNCTION", help="Its gradients.")
@click.option("--cache", metavar="MODULE:FUNCTION", help="Function that makes its cache.")
@click.option(
    "--masked-rows", type=click.Choice(["zero", "unspecified"]), help="Outputs of fully masked rows."
)
@declared("hidden_nan", "A NaN in a hidden slot reaches no output.")
@declared("unequal_lengths", "query_len may differ from key_len.")
@declared("same_bits", "Last bits do not depend on the batch.")
@click.option("--torch", "on_tensors", is_flag=True, help="The function takes torch tensors.")
@click.option("--tokens-first", is_flag=True, help="The function takes [batch, tokens, heads, dim].")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--junit", type=NEW_FILE, metavar="FILE", help="Also write the report as JUnit XML.")
@click.option("--sarif", type=NEW_FILE, metavar="FILE", help="Also write the report as SARIF.")
@click.option("--save", type=NEW_FOLDER, metavar="FOLDER", help="Write each counterexample as .npz.")
@click.option("--seed", type=click.IntRange(min=0), metavar="N", default=0, show_default=True)
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    metavar="N",
    help="Time limit: 60 by default, 240 for a model.",
)
def audit(target: str | None, model: Path | None, **given: Any) -> None:
    """Check that an attention function keeps its promises: no leaks, the right numbers, no side effects.

    The function is called as fn(query, key, value, **options) on NumPy arrays [batch, heads, tokens, dim],
    with the options that its contract declares and no others. The contract is the function's own
    `contract`, if it has one, changed by FILE, then by the options below. The exit code is 0 without
    findings, 1 with findings, 2 for a wrong call.

    \b
    Examples:
      attnscope audit my_package.attention:attend --causal --key-mask
      attnscope audit my_file.py:attend --contract contract.toml --junit audit.xml
      attnscope audit torch.nn.functional:scaled_dot_product_attention
      attnscope audit --model path/to/model
    """  # noqa: D301 - click reads \b as: keep these lines
    if (target is None) == (model is None):
        raise click.UsageError("name either MODULE:FUNCTION or --model DIR.")
    run = {"seed": given.pop("seed"), "seconds": given.pop("seconds") or (60.0 if target else 240.0)}
    if not isfinite(run["seconds"]):
        raise click.UsageError(f"--seconds {run['seconds']}: expected a number of seconds.")
    written = {name: given.pop(name) for name in ("as_json", "junit", "sarif", "save")}
    check_paths({f"--{name}": path for name, path in written.items() if isinstance(path, Path)})
    work, arguments = function_work(str(target), given) if model is None else model_work(model, given)
    with explained(), bar("audit") as progress:
        report = audited(target or str(model), work, arguments | run, progress)
        write_report(report, **written)
    sys.exit(report.exit_status)


def function_work(target: str, given: dict[str, Any]) -> tuple[Work, dict[str, Any]]:
    """The audit of a function, with its arguments."""
    adapters = {"on_tensors": given.pop("on_tensors"), "heads_last": given.pop("tokens_first")}
    file = given.pop("contract_file")
    flags = {name: value for name, value in given.items() if value not in (None, ())}
    return audit_function, {"target": target, "adapters": adapters, "file": file, "flags": flags}


def model_work(folder: Path, given: dict[str, Any]) -> tuple[Work, dict[str, Any]]:
    """The audit of a model that Transformers loads, with its arguments; its configuration has its claims."""
    of_functions = [name for name, value in given.items() if value not in (None, (), False)]
    if of_functions:
        raise click.UsageError(
            f"--{of_functions[0].replace('_', '-')} applies to functions only. Leave it out with --model DIR."
        )
    return audit_model, {"folder": folder}


def audit_function(
    messages: Messages,
    *,
    target: str,
    adapters: dict[str, bool],
    file: Path | None,
    flags: dict[str, Any],
    **run: Any,
) -> Report:
    """Audit a function in this process, which is a child."""
    fn = load_target(target)
    contract = contract_for(fn, claims_of_file(file) if file else {}, flags)
    messages.begun()
    return attention(
        adapted(fn, **adapters),
        contract,
        name=target,
        progress=messages.progress,
        watch=messages.doing,
        **run,
    )


def audit_model(messages: Messages, *, folder: Path, **run: Any) -> Report:
    """Audit a model in this process, which is a child."""
    model = load_model(folder)
    messages.begun()
    return transformers(model, progress=messages.progress, watch=messages.doing, **run)


def audited(
    target: str, work: Work, arguments: dict[str, Any], progress: Callable[[float, str], None]
) -> Report:
    """The report of an audit in a child process; a call that ends the child, or blocks it, is a finding."""
    start = monotonic()
    try:
        report: Report = in_child(work, arguments, seconds=arguments["seconds"], progress=progress)
    except LostError as lost:
        if lost.doing is None:
            raise TargetError(f"{target} cannot be loaded: it {lost.reason}.") from None
        shown = Counterexample(lost.doing, seed=arguments["seed"])
        finding = Finding(
            "call", Severity.WRONG, f"it {lost.reason}, in the call {lost.doing}", shown, fix=FIX_OF_LOST
        )
        return Report(
            target,
            "not known, as the audit ended early",
            (finding,),
            {"call": lost.calls},
            ("everything after this call",),
            lost.calls,
            monotonic() - start,
            arguments["seed"],
        )
    return report


def check_paths(paths: dict[str, Path]) -> None:
    """Refuse paths that a report cannot be written to, before the audit."""
    for option, path in paths.items():
        existing = path if path.exists() else path.parent
        while option == "--save" and not existing.exists():
            existing = existing.parent
        if not existing.exists():
            raise click.UsageError(f"{option} {path}: {path.parent} does not exist. Make the folder first.")
        if not os.access(existing, os.W_OK) or (existing != path and not existing.is_dir()):
            raise click.UsageError(f"{option} {path}: {existing} cannot be written to.")


def write_report(
    report: Report, *, as_json: bool, junit: Path | None, sarif: Path | None, save: Path | None
) -> None:
    """Print a report, and write the files that were asked for."""
    try:
        if junit is not None:
            junit.write_text(report.to_junit(), encoding="utf-8")
        if sarif is not None:
            sarif.write_text(report.to_sarif(), encoding="utf-8")
        if save is not None:
            report.save(save)
    except OSError as error:
        raise TargetError(f"the report cannot be written: {error}.") from error
    click.echo(report.to_json() if as_json else str(report))
