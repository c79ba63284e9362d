"""Which libraries are installed, and whether their versions are supported, by metadata: none is imported."""

import re
from importlib import metadata
from itertools import zip_longest

from attnscope.doctor.findings import Finding, Status

REQUIREMENT = re.compile(r"^(?P<name>[\w.-]+)\s*\(?(?P<range>[^;)]*)\)?")
CLAUSE = re.compile(r"(==|>=|<=|<|>|!=)\s*([\w.]+)")


def examine_library(name: str, *, needed: bool) -> Finding:
    """The version of a library, beside the range that attnscope's own metadata names."""
    allowed = allowed_range(name)
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        if needed:
            return Finding(name, "problem", "not installed", f"Run `pip install '{name}{allowed}'`.")
        return Finding(name, "ok", "not installed; only attnscope.interop and models need it")
    if is_allowed(version, allowed):
        return Finding(name, "ok", f"{version}, supported ({allowed or 'any version'})")
    status: Status = "problem" if needed else "warning"
    return Finding(name, status, f"{version}, tested with {allowed}", f"Run `pip install '{name}{allowed}'`.")


def allowed_range(name: str) -> str:
    """Such as ">=2.0": what the installed attnscope requires of a library; "" if it names no range."""
    try:
        requirements = metadata.requires("attnscope") or []
    except metadata.PackageNotFoundError:
        requirements = []
    for requirement in requirements:
        match = REQUIREMENT.match(requirement)
        if match and match["name"].lower().replace("-", "_") == name.lower().replace("-", "_"):
            return match["range"].replace(" ", "")
    return ""


def is_allowed(version: str, allowed: str) -> bool:
    """Whether a version is in a range of clauses; a local part, as in 2.13.0+cpu, does not count."""
    return all(holds(version.split("+")[0], sign, bound) for sign, bound in CLAUSE.findall(allowed))


def holds(version: str, sign: str, bound: str) -> bool:
    pairs = zip_longest(release(version), release(bound), fillvalue=0)
    order = next(((a > b) - (a < b) for a, b in pairs if a != b), 0)
    return {
        "==": order == 0,
        "!=": order != 0,
        ">=": order >= 0,
        "<=": order <= 0,
        "<": order < 0,
        ">": order > 0,
    }[sign]


def release(version: str) -> list[int]:
    """The leading numbers of a version: [2, 13, 0] of 2.13.0rc1."""
    return [int(number) for number in re.match(r"[\d.]*", version)[0].split(".") if number]  # type: ignore[index]


def examine_copies() -> Finding:
    """The installed attnscope; a second one on the path is a problem, since files of both may be mixed."""
    found = {str(each.locate_file("")): each.version for each in metadata.distributions(name="attnscope")}
    listed = ", ".join(f"{version} in {folder}" for folder, version in found.items())
    if not found:
        return Finding(
            "attnscope", "warning", "not installed: imported from a folder", "Run `pip install .`."
        )
    if len(found) > 1:
        advice = "Run `pip uninstall attnscope` until none is left, then install it once."
        return Finding("attnscope", "problem", f"{len(found)} installations: {listed}", advice)
    return Finding("attnscope", "ok", listed)
