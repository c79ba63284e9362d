"""The limits of a machine: arithmetic, memory bandwidth and memory; by name or measured."""

from dataclasses import dataclass
from typing import Any

from attnscope.arguments import brief, kind_of
from attnscope.errors import ConfigError

LARGEST_RATE = 1e30  # per second; no machine is as fast


@dataclass(frozen=True)
class Hardware:
    """The limits that a roofline needs.

    Parameters
    ----------
    name : str
        A name for tables.
    flops_per_second : float
        Dense 16-bit arithmetic, without sparsity; a multiply-add is 2 operations.
    bytes_per_second : float
        Memory bandwidth.
    memory_bytes : int or None
        Size of the memory; None if it depends on the modules installed.
    source : str
        Where the figures are published.

    Raises
    ------
    ConfigError
        If a rate is not a positive number, or the memory not a positive integer.

    References
    ----------
    Williams, Waterman & Patterson 2009, "Roofline", doi:10.1145/1498765.1498785.

    Examples
    --------
    >>> Hardware("mine", flops_per_second=1e12, bytes_per_second=1e11).ridge
    10.0
    """

    name: str
    flops_per_second: float
    bytes_per_second: float
    memory_bytes: int | None = None
    source: str = "given by the caller"

    def __post_init__(self) -> None:
        for field in ("flops_per_second", "bytes_per_second"):
            _check_rate(field, getattr(self, field))
        if self.memory_bytes is not None and (type(self.memory_bytes) is not int or self.memory_bytes < 1):
            raise ConfigError(
                f"memory_bytes={brief(self.memory_bytes)}: expected a number of bytes, 1 or more. "
                "Use None if it is not known."
            )

    @property
    def ridge(self) -> float:
        """The intensity, in FLOP per byte, at which arithmetic and memory traffic take equally long."""
        return self.flops_per_second / self.bytes_per_second

    @staticmethod
    def known() -> tuple[str, ...]:
        """List the names that `roofline(hardware=)` accepts.

        Returns
        -------
        tuple of str
            The names.
        """
        return tuple(KNOWN)

    @staticmethod
    def measure(threads: int | None = None) -> "Hardware":
        """Measure this machine with the kernel's loops: float32 multiply-adds and streaming reads.

        Takes about a second.

        Parameters
        ----------
        threads : int or None
            Threads to measure with; all unless given.

        Returns
        -------
        Hardware
            The limits of this machine.

        Raises
        ------
        UnsupportedProblemError
            If the CPU supports none of the kernel's levels.
        """
        from attnscope.kernels import level, measure_fma_limit, measure_read_bandwidth

        return Hardware(
            "this machine",
            measure_fma_limit(threads),
            measure_read_bandwidth(threads),
            _physical_memory(),
            f"measured: float32 multiply-adds on registers, and a streaming read, level {level()}",
        )


def read_hardware(given: Any) -> Hardware:
    """Look up hardware by name; case, blanks and dashes do not matter.

    Parameters
    ----------
    given : str or Hardware
        A name, or hardware that is returned as it is.

    Returns
    -------
    Hardware
        Its limits.

    Raises
    ------
    ConfigError
        If the name is not known; the message lists all names.

    Examples
    --------
    >>> read_hardware("H100").name, read_hardware("RTX 4090").memory_bytes
    ('H100 SXM', 24000000000)
    """
    if isinstance(given, Hardware):
        return given
    if not isinstance(given, str):
        raise ConfigError(
            f"hardware={brief(given)}: expected a name or a Hardware, got {kind_of(given)}. "
            f"Names: {', '.join(KNOWN)}."
        )
    word = "".join(letter for letter in given.lower() if letter.isalnum() or letter == "+")
    if word in KNOWN:
        return KNOWN[word]
    raise ConfigError(
        f"hardware={brief(given)} is not known. Use one of {', '.join(KNOWN)}, Hardware.measure() for this "
        "machine, or Hardware(name, flops_per_second, bytes_per_second)."
    )


def _check_rate(name: str, given: Any) -> None:
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < LARGEST_RATE:
        raise ConfigError(f"{name}={brief(given)}: expected a positive number, such as 1e12.")


def _physical_memory() -> int | None:
    import os

    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):  # a system without these values
        return None


# memory as the data sheet prints it, taken as 10^9 bytes: the smallest meaning of GB
KNOWN: dict[str, Hardware] = {
    "b200": Hardware(
        "B200 SXM",
        2250e12,
        8.0e12,
        180 * 10**9,
        "NVIDIA, DGX B200 data sheet: 1,440 GB and 64 TB/s of 8 GPUs; HGX platform page: FP16/BF16 36 "
        "PFLOPS with sparsity of 8 GPUs, dense half of it; nvidia.com/en-us/data-center/hgx",
    ),
    "h200": Hardware(
        "H200 SXM",
        989.5e12,
        4.8e12,
        141 * 10**9,
        "NVIDIA, H200 data sheet: BF16 1,979 TFLOPS with sparsity, dense half of it; 4.8 TB/s; "
        "nvidia.com/en-us/data-center/h200",
    ),
    "h100": Hardware(
        "H100 SXM",
        989.5e12,
        3.35e12,
        80 * 10**9,
        "NVIDIA, H100 data sheet: BF16 1,979 TFLOPS with sparsity, dense half of it; 3.35 TB/s; "
        "nvidia.com/en-us/data-center/h100",
    ),
    "a100": Hardware(
        "A100 SXM 80GB",
        312e12,
        2.039e12,
        80 * 10**9,
        "NVIDIA, A100 80GB data sheet: BF16 312 TFLOPS; 2,039 GB/s; nvidia.com/en-us/data-center/a100",
    ),
    "l40s": Hardware(
        "L40S",
        362.05e12,
        0.864e12,
        48 * 10**9,
        "NVIDIA, L40S data sheet: BF16 362.05 TFLOPS; 864 GB/s; nvidia.com/en-us/data-center/l40s",
    ),
    "rtx4090": Hardware(
        "RTX 4090",
        165.2e12,
        1.008e12,
        24 * 10**9,
        "NVIDIA, Ada GPU architecture whitepaper, appendix A: FP16 with FP32 accumulate 165.2 TFLOPS; "
        "1,008 GB/s",
    ),
    "mi300x": Hardware(
        "MI300X",
        1307.4e12,
        5.3e12,
        192 * 10**9,
        "AMD, Instinct MI300X data sheet: BF16 1,307.4 TFLOPS; 5.3 TB/s; "
        "amd.com/en/products/accelerators/instinct",
    ),
    "m2ultra": Hardware(
        "M2 Ultra, 76-core GPU",
        27.36e12,
        0.8e12,
        192 * 10**9,
        "Apple, newsroom 2023-06-05: 76 cores, 800 GB/s, up to 192 GB; rate from newsroom 2022-06-06: 3.6 "
        "TFLOPS of M2's 10 cores, times 7.6, float32 as no 16-bit rate is published",
    ),
    "epyc9654": Hardware(
        "EPYC 9654",
        14.7456e12,
        0.4608e12,
        None,
        "AMD, EPYC 9654 product page: 96 cores at 2.4 GHz, 12 channels of DDR5-4800, 460.8 GB/s; Zen 4: 64 "
        "bfloat16 operations per cycle and core (two 256-bit VDPBF16PS)",
    ),
    "xeon8480+": Hardware(
        "Xeon Platinum 8480+",
        114.688e12,
        0.3072e12,
        None,
        "Intel, ARK: 56 cores at 2.0 GHz, 8 channels of DDR5-4800; Optimization Reference Manual, AMX: "
        "1,024 bfloat16 operations per cycle and core, TDPBF16PS",
    ),
}
