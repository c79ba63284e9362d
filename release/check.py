"""`python -m release.check FOLDER`: inspect and run the wheels, build the sdist, install from a git URL.

A wheel that runs must have the digest that src/attnscope/doctor stores, at every level of this CPU. The tests
compare the build from source with the same digest.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from release.build import INSTALL, ROOT, SCRATCH
from release.emulated import emulated_python
from release.inspect_wheel import expect, inspect_wheel
from release.pythons import python_of
from release.targets import TARGETS, Target

NO_COMPILERS = {"PATH": ""}


def main(folder: str) -> None:
    """Print a row per wheel; end with an error at the first that fails."""
    for target in TARGETS:
        wheels = sorted(Path(folder).glob(f"attnscope-*{target.tag}.whl"))
        if len(wheels) != 2:
            raise SystemExit(
                f"release: {len(wheels)} wheels for {target.tag}, expected one for 3.11 and one abi3."
            )
        for wheel in wheels:
            print(f"{wheel.name}: {inspect_wheel(wheel, target)}; {run(wheel, target)}", flush=True)
    print(f"sdist: {build_sdist(Path(folder))}", flush=True)
    print(f"git: {install_from_git()}")


def run(wheel: Path, target: Target) -> str:
    """Run `attnscope doctor` of an installed wheel, here or emulated; why not, if that is not possible."""
    is_311 = "-cp311-" in wheel.name
    if not target.is_linux:
        return "built and inspected, not run: no macOS here"
    if target.processor == platform.machine():
        return checked(wheel, doctor_here(wheel, "cp311-cp311" if is_311 else "cp312-abi3"), NO_COMPILERS)
    version = "3.11" if is_311 else "3.13"
    scratch = SCRATCH / f"{target.processor}-{version}"
    python = emulated_python(scratch, version) if target.processor == "aarch64" else None
    if python is None:
        return "built and inspected, not run: no Python for it here"
    environment = emulated_path(wheel, target, scratch, version)
    return (
        f"Python {version}, {checked(wheel, [*python, '-m', 'attnscope', 'doctor', '--json'], environment)}"
    )


def doctor_here(wheel: Path, tag: str) -> list[str]:
    """Install a wheel into a fresh environment, with PATH empty: nothing can be compiled."""
    environment = SCRATCH / f"installed-{tag}"
    shutil.rmtree(environment, ignore_errors=True)
    subprocess.run([python_of(tag), "-m", "venv", environment], check=True)
    installed = environment / "bin" / "python"
    subprocess.run([installed, *INSTALL, wheel], env=NO_COMPILERS, check=True)
    return [str(installed), "-m", "attnscope", "doctor", "--json"]


def emulated_path(wheel: Path, target: Target, scratch: Path, version: str) -> dict[str, str]:
    """A folder with a wheel and what it needs, for a Python without pip."""
    site = scratch / "site"
    shutil.rmtree(site, ignore_errors=True)
    platforms = (f"manylinux_2_{minor}_{target.processor}" for minor in (17, 27, 28))
    names = [word for each in platforms for word in ("--platform", each)]
    options = ["--only-binary", ":all:", "--python-version", version, "--implementation", "cp"]
    subprocess.run([sys.executable, *INSTALL, *options, "--target", str(site), *names, wheel], check=True)
    return os.environ | {"PYTHONPATH": str(site)}


def checked(installed: Path, command: list[str], environment: dict[str, str]) -> str:
    """The levels that ran, all with the expected digest."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    expect(done.returncode == 0, installed, f"attnscope doctor failed: {done.stdout}{done.stderr}")
    facts = json.loads(done.stdout)
    expected = facts["expected_digest"]
    expect(bool(facts["digests"]), installed, "no level ran")
    expect(set(facts["digests"].values()) == {expected}, installed, f"digests {facts['digests']}")
    return f"digest {expected} at {', '.join(facts['digests'])}"


def build_sdist(folder: Path) -> str:
    """Make the source distribution, and build it in an environment that pip makes for it alone."""
    for old in folder.glob("attnscope-*.tar.gz"):
        old.unlink()
    subprocess.run(
        [sys.executable, "-m", "build", "--sdist", "--outdir", folder, ROOT],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    (sdist,) = folder.glob("attnscope-*.tar.gz")
    target = SCRATCH / "from-sdist"
    shutil.rmtree(target, ignore_errors=True)
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    command = [sys.executable, "-m", "pip", "wheel", "-qq", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--wheel-dir", target, sdist], env=environment, check=True)
    (wheel,) = target.glob("*.whl")
    return f"{sdist.stat().st_size / 1e6:.2f} MB, builds {wheel.name} in an empty environment"


def install_from_git() -> str:
    """Install the last commit by a git URL into an empty environment, and run it."""
    environment = SCRATCH / "from-git"
    shutil.rmtree(environment, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    installed = environment / "bin" / "python"
    variables = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    subprocess.run([installed, *INSTALL, f"git+{ROOT.as_uri()}"], env=variables, check=True)
    return checked(environment, [str(installed), "-m", "attnscope", "doctor", "--json"], variables)


if __name__ == "__main__":
    main(*sys.argv[1:])
