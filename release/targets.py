"""The platforms that wheels are built for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """One platform.

    Parameters
    ----------
    zig : str
        Zig's name, with the oldest C library or operating system that the wheel runs on.
    tag : str
        The wheel's platform tag.
    suffix : str
        What follows "cpython-311" in the name of an extension module of CPython 3.11.
    processor : str
        As `platform.machine()` names it there.
    """

    zig: str
    tag: str
    suffix: str
    processor: str

    @property
    def host_platform(self) -> str:
        """The platform as sysconfig.get_platform() names it; manylinux is a promise that a check confirms."""
        if self.is_linux:
            return f"linux-{self.processor}"
        system, major, minor, processor = self.tag.split("_", 3)
        return f"{system}-{major}.{minor}-{processor}"

    @property
    def is_linux(self) -> bool:
        return "linux" in self.tag


# NumPy 2.0 needs glibc 2.17 and macOS 11 (arm64) or 10.14 (x86-64); glibc 2.17 is of 2012
TARGETS = (
    Target("x86_64-linux-gnu.2.17", "manylinux_2_17_x86_64", "-x86_64-linux-gnu.so", "x86_64"),
    Target("aarch64-linux-gnu.2.17", "manylinux_2_17_aarch64", "-aarch64-linux-gnu.so", "aarch64"),
    Target("aarch64-macos.11.0", "macosx_11_0_arm64", "-darwin.so", "arm64"),
    Target("x86_64-macos.11.0", "macosx_11_0_x86_64", "-darwin.so", "x86_64"),
)
