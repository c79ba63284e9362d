"""Render the tables of numbers in README.md and docs/ from benchmarks/measured/*.json.

A table is between `<!-- numbers: NAME -->` and `<!-- end -->`; its text is what this file makes of the JSON.

    python -m benchmarks.readme_tables           write every table anew
    python -m benchmarks.readme_tables --store   the same, after copying what `make bench` wrote: bench/*.json
"""

import json
import math
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import decode, generation, gradients, interop, memory, observe, prefill, small_call, window
from benchmarks.claim import Results, duration, one
from benchmarks.error import WORKS as ERROR_WORKS
from benchmarks.peers.call import OURS
from benchmarks.work import Work

ROOT = Path(__file__).parents[1]
STORED = ROOT / "benchmarks" / "measured"
MARKED = re.compile(r"(<!-- numbers: (?P<name>[^>]*?) -->\n).*?(<!-- end -->)", re.DOTALL)
TITLES = {
    "torch": "torch",
    "torch flex": "torch FlexAttention",
    "torch packed": "torch, packed",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "jax": "JAX",
    "transformers": "Transformers",
}


@dataclass(frozen=True)
class Measured:
    """Stored JSON by claim: each has `machine`, `results` and `floors`."""

    claims: dict[str, dict[str, Any]]

    @classmethod
    def stored(cls) -> "Measured":
        """Read every claim that is stored."""
        files = sorted(STORED.glob("*.json"))
        return cls({path.stem: json.loads(path.read_text(encoding="utf-8")) for path in files})

    def results(self, claim: str) -> Results:
        """A claim's results; none if it was not measured."""
        found: Results = self.claims.get(claim, {}).get("results", [])
        return found


def rendered(text: str, measured: Measured) -> str:
    """The text with every marked table rendered.

    Raises
    ------
    KeyError
        If a marker names no table.
    """
    return MARKED.sub(lambda found: found[1] + TABLES[found["name"]](measured) + "\n" + found[3], text)


def documents() -> list[Path]:
    """README.md and the pages of docs/ that have a marked table."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
    return [page for page in pages if MARKED.search(page.read_text(encoding="utf-8"))]


# Cells and tables


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("|" + "".join(f" {cell} |" if cell else " |" for cell in cells) for cells in lines)


def ratio(number: float | None) -> str:
    """Three digits: 2.86 x, 104 x; two below 1; empty if nothing was measured."""
    if number is None:
        return ""
    return (f"{number:.2f}" if number < 1 else f"{number:#.3g}".rstrip(".")) + " x"


def percent(share: float | None) -> str:
    """A share of the limit; empty if there is none."""
    return "" if share is None else f"{share * 100:.0f} %"


def compared(label: str, results: Results, work: Work, libraries: Sequence[str]) -> list[str]:
    """One work's row: our time and share of the limit, others' time over ours; empty if not measured."""
    ours = one(results, work=work.name, library=OURS)
    if "seconds" not in ours:
        return []
    others = [one(results, work=work.name, library=library).get("times_ours") for library in libraries]
    return [label, duration(ours["seconds"]), percent(ours.get("share")), *map(ratio, others)]


# One function per table


def machine_line(measured: Measured) -> str:
    """Which machine and which versions the numbers are of; a second machine is named with its claims."""
    claims_of: dict[str, list[str]] = {}
    versions: dict[str, str] = {}
    for name, claim in measured.claims.items():
        machine = claim["machine"]
        line = f"{machine['cpu']}, {machine['threads']} threads, level {machine['level']}"
        claims_of.setdefault(line, []).append(name)
        versions |= {package: number for package, number in machine["versions"].items() if number}
    first, *others = sorted(claims_of, key=lambda line: -len(claims_of[line]))
    lines = [first, *(f"{', '.join(claims_of[line])}: {line}" for line in others)]
    named = ", ".join(f"{TITLES.get(package, package)} {number}" for package, number in versions.items())
    return f"{'; '.join(lines)}; {named}."


def calls_table(measured: Measured) -> str:
    """attention() beside the other libraries: prefill, window, decode, small call."""
    libraries = ("torch", "torch flex", "onnxruntime", "openvino", "jax")
    rows = [
        ("prefill, 8 heads x 2,048 x 128, causal", "prefill", prefill.CAUSAL),
        ("the same, no mask", "prefill", prefill.UNMASKED),
        ("window of 512, 2 heads x 16,384 x 128", "window", window.WINDOW),
        (f"decode, {decode.MIDDLE.key_len:,} keys, {heads(decode.MIDDLE)}", "decode", decode.MIDDLE),
        ("8 heads, 1 query, 64 keys", "small_call", small_call.SMALL),
    ]
    header = ["work", "attnscope", "of the limit", *(TITLES[name] for name in libraries), "measured by"]
    found = [
        (compared(label, measured.results(claim), work, libraries), f"`python -m benchmarks.{claim}`")
        for label, claim, work in rows
    ]
    return table(header, [[*cells, command] for cells, command in found if cells])


def decode_table(measured: Measured) -> str:
    """One query per sequence, beside the other libraries."""
    results = measured.results("decode")
    header = ["work", "attnscope", "of the limit", *(TITLES[name] for name in decode.PEERS)]
    labels = {work: f"{work.batch} x {work.key_len:,} keys, {heads(work)}" for work in decode.WORKS}
    rows = [compared(label, results, work, decode.PEERS) for work, label in labels.items()]
    return table(header, [cells for cells in rows if cells])


def heads(work: Work) -> str:
    """How many query heads share how many kv heads."""
    return f"{work.query_heads} heads on {work.kv_heads}"


def formats_table(measured: Measured) -> str:
    """The time of a narrower cache over that of float32."""
    results = measured.results("decode")
    times = [
        one(results, work=decode.in_format(name).name, library=OURS).get("times_ours")
        for name in decode.FORMATS
    ]
    label = f"{decode.MIDDLE.key_len:,} keys, {heads(decode.MIDDLE)}: time over float32's"
    return table(["cache", *decode.FORMATS], [[label, *map(ratio, times)]])


def gradients_table(measured: Measured) -> str:
    """Forward and backward pass beside torch's autograd, and our backward pass alone."""
    results = measured.results("gradients")
    rows = []
    for work in gradients.ROUNDS:
        both, alone = (one(results, work=work.name, call=call) for call in (OURS, gradients.BACKWARD))
        torch = one(results, work=work.name, call="torch").get("times_ours")
        if both:
            cells = [work.name, duration(both["seconds"]), ratio(torch)]
            rows.append([*cells, duration(alone["seconds"]), percent(alone["share"])])
    header = ["work", "forward and backward", "torch", "backward alone", "of the limit"]
    return table(header, rows)


def observe_table(measured: Measured) -> str:
    """observe() over attention() on the same arrays."""
    results = measured.results("observe")
    questions = [observe.OBSERVE, *observe.FURTHER]
    rows = []
    for shape in observe.SHAPES:
        own = one(results, work=shape.name, call=observe.ATTENTION)
        times = [one(results, work=shape.name, call=call).get("times_attention") for call in questions]
        rows.append([shape.name, duration(own["seconds"]) if own else "", *map(ratio, times)])
    return table(["work", observe.ATTENTION, *questions], rows)


def models_table(measured: Measured) -> str:
    """Transformers' models with sdpa, with attnscope, and with every head observed."""
    results = measured.results("interop")
    implementations = ("sdpa", "attnscope", interop.OBSERVED)
    timed = [each for each in results if "times_sdpa" in each]
    peaks = [each for each in results if "peak_bytes" in each]
    rows = []
    for case in (*interop.CASES, interop.LONG):
        seconds = [one(timed, work=case.name, call=name).get("seconds") for name in implementations]
        held = [one(peaks, work=case.name, call=name) for name in implementations]
        if any(seconds):
            rows.append([case.name, *("" if each is None else duration(each) for each in seconds)])
        if any(held):
            rows.append([f"{case.name}: peak beyond the model", *map(peak, held)])
    return table(["model", "`sdpa`", "attnscope", "attnscope, all heads observed, 8 segments"], rows)


def peak(result: dict[str, Any]) -> str:
    """Memory beyond the model, and how long the run took that was measured."""
    if not result:
        return ""
    return f"{result['peak_bytes'] / 2**30:.2f} GiB, in {duration(result['seconds'])}"


def generation_table(measured: Measured) -> str:
    """Seconds of a token, and of the prompt, behind each cache."""
    results = [each for each in measured.results("generation") if "format" in each]
    rows = []
    for work, number_format in dict.fromkeys((each["work"], each["format"]) for each in results):
        own = [one(results, work=work, format=number_format, call=call) for call in generation.CALLS]
        for name, what in (("seconds", ""), ("prefill_seconds", ": the prompt")):
            if any(name in each for each in own):
                cells = [duration(each[name]) if name in each else "" for each in own]
                rows.append([f"{work}, {number_format}{what}", *cells])
    return table(["", *generation.CALLS], rows)


def sharing_table(measured: Measured) -> str:
    """What a shared prefix, an int8 cache and a pair of operations cost."""
    rows = []
    for each in measured.results("generation"):
        if "bytes" in each:
            cost = duration(each["seconds"]) if "seconds" in each else f"{math.exp(each['loss']):.4f}"
            rows.append([f"{each['work']}: {each['call']}", cost, f"{each['bytes'] / 2**20:,.1f} MiB"])
        if "times_sum" in each:
            cost = f"{each['times_sum']:.2f} x the sum of each alone"
            rows.append([f"{each['call']} in turn", duration(each["seconds"]), cost])
    return table(["work", "measured", ""], rows)


def other_table(measured: Measured) -> str:
    """Memory, error, import and wheel."""
    libraries = (OURS, "torch", "onnxruntime")
    rows = []
    for work in (memory.CAUSAL, memory.WINDOW):
        held = [one(measured.results("memory"), work=work.name, library=library) for library in libraries]
        cells = ["" if not each else f"{each['peak_bytes'] / 2**20:.1f} MiB" for each in held]
        if any(held):
            rows.append([f"{work.name}: beyond inputs and output", *cells])
    for work in ERROR_WORKS:
        wrong = [one(measured.results("error"), work=work.name, library=library) for library in libraries]
        if any(wrong):
            cells = ["" if not each else f"{each['error']:.2e}" for each in wrong]
            rows.append([f"largest {work.name}", *cells])
    for found in measured.results("import_time"):
        beyond = f"import, beyond NumPy's {duration(found['numpy_seconds'])}"
        rows.append([beyond, duration(found["attnscope_seconds"]), "", ""])
        if found["wheel_bytes"] is not None:
            rows.append(["wheel", f"{found['wheel_bytes'] / 1e6:.2f} MB", "", ""])
    return table(["", "attnscope", "torch", "ONNX Runtime"], rows)


def floors_table(measured: Measured) -> str:
    """Every floor, and what was measured."""
    rows = [
        [
            floor["name"],
            "" if floor["measured"] is None else f"{floor['measured']:.3g}",
            f"{floor['kind']} {floor['bound']:g}",
            "yes" if floor["holds"] else "not measured" if floor["measured"] is None else "no",
        ]
        for claim in measured.claims.values()
        for floor in claim["floors"]
    ]
    return table(["floor", "measured", "expected", "holds"], rows)


TABLES: dict[str, Callable[[Measured], str]] = {
    "machine": machine_line,
    "calls": calls_table,
    "decode": decode_table,
    "cache formats": formats_table,
    "gradients": gradients_table,
    "observe": observe_table,
    "generation": generation_table,
    "models": models_table,
    "sharing": sharing_table,
    "other": other_table,
    "floors": floors_table,
}


def main(arguments: Sequence[str]) -> None:
    """Store what was measured, if asked to, and write every table anew."""
    if "--store" in arguments:
        STORED.mkdir(exist_ok=True)
        for path in sorted(Path("bench").glob("*.json")):
            shutil.copy(path, STORED / path.name)
    measured = Measured.stored()
    for page in documents():
        page.write_text(rendered(page.read_text(encoding="utf-8"), measured), encoding="utf-8")
        print(f"{page.relative_to(ROOT)} written")


if __name__ == "__main__":
    main(sys.argv[1:])
