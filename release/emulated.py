"""Pythons for AArch64, of Debian's packages, that an emulator runs. Nothing is installed on this machine."""

import shutil
import subprocess
from pathlib import Path

SUITES = {"3.11": "bookworm", "3.13": "trixie"}  # the Python of Debian 12, and of Debian 13
LIBRARIES = ("libc6", "libexpat1", "libffi8", "libgcc-s1", "libstdc++6", "libuuid1", "zlib1g")
LIBSSL = {"3.11": "libssl3", "3.13": "libssl3t64"}
PARTS = ("python{}-minimal", "libpython{}-minimal", "libpython{}-stdlib")
MIRROR = "http://deb.debian.org/debian"
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
TOOLS = ("qemu-aarch64", "apt-get", "dpkg-deb")


def emulated_python(folder: Path, version: str) -> list[str] | None:
    """The command that runs it; None without an emulator, or without Debian's packages for AArch64."""
    if any(shutil.which(tool) is None for tool in TOOLS):
        return None
    root = folder / "root"
    python = root / "usr" / "bin" / f"python{version}"
    if not python.exists() and not download(folder, root, version):
        return None
    return ["qemu-aarch64", "-L", str(root), str(python)]


def download(folder: Path, root: Path, version: str) -> bool:
    """Unpack the packages, with lists of apt's own that are for AArch64; False if that is not possible."""
    for each in ("state/lists/partial", "cache/archives/partial", "packages", "root"):
        (folder / each).mkdir(parents=True, exist_ok=True)
    source = folder / "sources.list"
    source.write_text(f"deb [signed-by={KEYS}] {MIRROR} {SUITES[version]} main\n", "utf-8")
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "Dir::Etc::SourceList": source,
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State": folder / "state",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": folder / "cache",
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    packages = [*(part.format(version) for part in PARTS), *LIBRARIES, LIBSSL[version]]
    for action in (["update"], ["download", *packages]):
        command = ["apt-get", "-qq", *options, *action]
        if subprocess.run(command, cwd=folder / "packages", capture_output=True, check=False).returncode != 0:
            return False
    for package in (folder / "packages").glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, root], check=True)
    if not (root / "lib").exists():
        (root / "lib").symlink_to("usr/lib")  # as Debian 13's base-files does
    return True
