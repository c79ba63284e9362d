"""A Python for AArch64, of Debian's packages, that an emulator runs. Nothing is installed on this machine."""

import shutil
import subprocess
from pathlib import Path

LIBRARIES = (
    "libc6",
    "libexpat1",
    "libffi8",
    "libgcc-s1",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "libssl3",
    "libstdc++6",
    "libuuid1",
    "zlib1g",
)
PACKAGES = ("python3.11-minimal", *LIBRARIES)
TOOLS = ("qemu-aarch64", "apt-get", "dpkg-deb")


def emulated_python(folder: Path) -> list[str] | None:
    """The command that runs it; None without an emulator, or without Debian 12's packages for AArch64."""
    if any(shutil.which(tool) is None for tool in TOOLS):
        return None
    root = folder / "root"
    python = root / "usr" / "bin" / "python3.11"
    if not python.exists() and not download(folder, root):
        return None
    return ["qemu-aarch64", "-L", str(root), str(python)]


def download(folder: Path, root: Path) -> bool:
    """Unpack the packages, with lists of apt's own that are for AArch64; False if that is not possible."""
    for each in ("state/lists/partial", "cache/archives/partial", "packages", "root"):
        (folder / each).mkdir(parents=True, exist_ok=True)
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "Dir::State": folder / "state",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": folder / "cache",
    }
    apt = [
        "apt-get",
        "-qq",
        *(word for name, value in settings.items() for word in ("-o", f"{name}={value}")),
    ]
    for command in ([*apt, "update"], [*apt, "download", *PACKAGES]):
        if subprocess.run(command, cwd=folder / "packages", capture_output=True, check=False).returncode != 0:
            return False
    for package in (folder / "packages").glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, root], check=True)
    return True
