"""`python -m release.build FOLDER`: eight wheels, two per platform, with Zig as the cross compiler.

scikit-build-core and nanobind build as always. Only the headers of the running Python are read. Those of
CPython serve 64-bit Linux and macOS alike: the sizes that they hold are the same on both.
"""

import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import ziglang

from release.pythons import PYTHONS, python_of
from release.targets import TARGETS, Target

ROOT = Path(__file__).parent.parent
SCRATCH = ROOT / "build" / "wheels"
ZIG = Path(ziglang.__file__).parent / "zig"
INSTALL = ["-m", "pip", "install", "-qq", "--disable-pip-version-check"]


def main(folder: str) -> None:
    """Build all wheels into a folder; a second time, compile what changed."""
    started = time.monotonic()
    environments = {tag: with_build_tools(python_of(tag), SCRATCH / f"tools-{tag}") for tag in PYTHONS}
    for target in TARGETS:
        for tag, environment in environments.items():
            build(target, tag, environment, Path(folder).resolve())
            print(f"{time.monotonic() - started:5.0f} s  {tag}-{target.tag}", flush=True)


def with_build_tools(python: Path, folder: Path) -> Path:
    """An environment's Python, with CMake, Ninja and the build requirements of pyproject.toml."""
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["build-system"]["requires"]
    if not folder.exists():
        subprocess.run([python, "-m", "venv", folder], check=True)
    environment = folder / "bin" / "python"
    subprocess.run([environment, *INSTALL, "cmake", "ninja", *needed], check=True)
    return environment


def build(target: Target, tag: str, python: Path, folder: Path) -> None:
    """Build one wheel, and name in its tag the oldest C library that Zig was asked for."""
    scratch = SCRATCH / f"{tag}-{target.tag}"
    built = scratch / "wheel"
    shutil.rmtree(built, ignore_errors=True)
    variables = {
        "ATTNSCOPE_ZIG": str(ZIG),
        "ATTNSCOPE_ZIG_TARGET": target.zig,
        "_PYTHON_HOST_PLATFORM": target.host_platform,
        "SETUPTOOLS_EXT_SUFFIX": f".cpython-311{target.suffix}",  # read for 3.11 only; abi3 has no platform
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
    }
    cmake = [f"build-dir={scratch}", f"cmake.toolchain-file={ROOT / 'release' / 'zig.cmake'}"]
    settings = [word for option in cmake for word in ("--config-settings", option)]
    options = ["-qq", "--disable-pip-version-check", "--no-build-isolation", "--no-deps"]
    subprocess.run(
        [python, "-m", "pip", "wheel", *options, "--wheel-dir", built, *settings, ROOT],
        env=os.environ | variables,
        check=True,
    )
    (wheel,) = built.glob("*.whl")
    retag: list[str | Path] = [
        sys.executable,
        "-m",
        "wheel",
        "tags",
        "--remove",
        "--platform-tag",
        target.tag,
        wheel,
    ]
    subprocess.run(retag, stdout=subprocess.DEVNULL, check=True)
    (wheel,) = built.glob(f"*-{tag}-{target.tag}.whl")
    folder.mkdir(parents=True, exist_ok=True)
    wheel.replace(folder / wheel.name)


if __name__ == "__main__":
    main(*sys.argv[1:])
