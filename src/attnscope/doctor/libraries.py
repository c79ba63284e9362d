"""Which libraries are installed, and whether their versions are supported, by metadata: none is imported."""

from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from attnscope.doctor.findings import Finding, Status


def examine_library(name: str, *, needed: bool) -> Finding:
    """The version of a library, beside the range that attnscope's own metadata names."""
    allowed = allowed_range(name)
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        if needed:
            return Finding(name, "problem", "not installed", f"Run `pip install '{name}{allowed}'`.")
        return Finding(name, "ok", "not installed; only attnscope.interop and `--model` need it")
    if allowed.contains(version, prereleases=True):
        return Finding(name, "ok", f"{version}, supported ({allowed or 'any version'})")
    status: Status = "problem" if needed else "warning"
    return Finding(name, status, f"{version}, tested with {allowed}", f"Run `pip install '{name}{allowed}'`.")


def allowed_range(name: str) -> SpecifierSet:
    """Such as >=2.0: what the installed attnscope requires of a library; empty if it names no range."""
    try:
        stated = metadata.requires("attnscope") or []
    except metadata.PackageNotFoundError:
        stated = []
    for requirement in map(Requirement, stated):
        if canonicalize_name(requirement.name) == canonicalize_name(name):
            return requirement.specifier
    return SpecifierSet()


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
