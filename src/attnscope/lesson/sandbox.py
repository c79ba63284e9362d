"""The bounds in which a notebook runs: a folder of its own, few variables, and bubblewrap if it works.

bubblewrap starts the process in namespaces of its own: without a network, without a view of other processes,
and with a view of Python, the system's libraries and one folder in memory only. If it cannot be used, the
notebook sees what its user sees, and only the limits of host.py hold.
"""

import os
import shutil
import site
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from time import time_ns

import numpy as np

PACKAGE = Path(__file__).parents[1]
SYSTEM = (
    "/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime",
    "/sys/devices/system/cpu",
)  # fmt: skip
VARIABLES = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "OMP_NUM_THREADS")
HANDED_IN = "/handed-in"  # the copied folder inside the sandbox, read-only
INSIDE = "/notebook"  # where it is copied to, in memory
INSIDE_BYTES = 128 << 20
MOST_FILES = 1000  # beside a notebook; if there are more, it is copied alone
MOST_COPIED_BYTES = 32 << 20
MOST_PROCESSES = 128  # and threads, beyond those that its user has already
LIMITED = ("time", "memory", "file size", "open files", "copied folder", "scrubbed environment")
CONFINED = ("processes", "no network", "no other files", "no other processes", "nothing left over")
FIRST_USER = 2_000_000_000  # no system gives these numbers to its users
CHECK = "from attnscope.lesson.host import become; become({user}); import colorsys, os; os.stat({folder!r})"


@dataclass(frozen=True)
class Sandbox:
    """How a notebook's process is confined.

    Parameters
    ----------
    program : str, optional
        The path of bubblewrap; None if it cannot be used.
    trouble : str, optional
        Why not.
    """

    program: str | None = None
    trouble: str | None = None

    @property
    def bounds(self) -> tuple[str, ...]:
        """The bounds in force, in words."""
        root = os.geteuid() == 0
        if self.program is None:
            return LIMITED if root else (*LIMITED, "processes")  # root's processes have no limit
        return (*LIMITED, *CONFINED, *(("another user",) if root else ()))

    def command(self, folder: Path) -> list[str]:
        """What starts a process that sees this folder; nothing if it is not confined."""
        return [] if self.program is None else [self.program, *options(folder)]

    def user(self) -> int | None:
        """The user of the next process; None for the grader's own. Each process has another one."""
        if self.program is None or os.geteuid() != 0:
            return None
        return FIRST_USER + time_ns() // 1000 % 100_000_000

    def processes(self) -> int:
        """How many processes and threads the process's user may have."""
        if self.program is not None and os.geteuid() == 0:
            return MOST_PROCESSES
        return MOST_PROCESSES + threads_of(os.getuid())


def find_sandbox() -> Sandbox:
    """Try bubblewrap once, as a notebook's process will use it."""
    program = shutil.which("bwrap")
    if program is None:
        return Sandbox(trouble="bwrap is not installed (on Debian: apt-get install bubblewrap)")
    tried = Sandbox(program)
    folder = Path(mkdtemp(prefix="attnscope-"))
    code = CHECK.format(user=tried.user(), folder=HANDED_IN)
    try:
        done = subprocess.run(
            [*tried.command(folder), sys.executable, "-P", "-c", code],
            env=environment(INSIDE),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Sandbox(trouble=f"bwrap does not run: {error}")
    finally:
        remove(folder)
    if done.returncode == 0:
        return tried
    lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
    return Sandbox(trouble=f"bwrap does not work here: {lines[-1][:160]}")


def options(folder: Path) -> Iterator[str]:
    """The arguments of bubblewrap."""
    yield from ("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try")
    yield from ("--die-with-parent", "--proc", "/proc", "--dev", "/dev")
    seen = [*SYSTEM, *python_folders()]
    for outer in sorted({str(outer) for path in seen for outer in Path(path).parents} - {"/"}):
        yield from ("--perms", "0755", "--dir", outer)  # bubblewrap makes them for root alone
    for path in seen:
        yield from ("--ro-bind-try", path, path)
    yield from ("--tmpfs", str(PACKAGE / "lesson" / "exercises"))  # the right answers
    for answers in (PACKAGE / "lesson").rglob("solutions*.py*"):
        yield from ("--ro-bind", "/dev/null", str(answers))
    yield from ("--ro-bind", str(folder), HANDED_IN)
    yield from ("--size", str(INSIDE_BYTES), "--perms", "1777", "--tmpfs", INSIDE)
    yield from ("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", INSIDE, "--")


def python_folders() -> list[str]:
    """The folders of Python and of the packages that a notebook's process imports, outer ones first."""
    found = {sys.base_prefix, sys.prefix, *map(str, package_folders()), *site.getsitepackages()}
    if site.ENABLE_USER_SITE:
        found.add(site.getusersitepackages())
    return sorted(path for path in found if Path(path).is_dir() and not path.startswith("/usr/"))


def package_folders() -> tuple[Path, ...]:
    """The folders from which this library and NumPy are imported."""
    return PACKAGE.parent, Path(np.__file__).parents[1]


def environment(home: str) -> dict[str, str]:
    """The variables that Python needs. `home` is for files that a notebook or its packages write."""
    kept = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    own = {str(path) for path in package_folders()} - set(site.getsitepackages())
    if site.ENABLE_USER_SITE:
        kept["PYTHONUSERBASE"] = site.getuserbase()
        own.discard(site.getusersitepackages())
    if own:
        kept["PYTHONPATH"] = os.pathsep.join(sorted(own))
    return {**kept, "HOME": home, "TMPDIR": home, "MPLBACKEND": "Agg", "PYTHONDONTWRITEBYTECODE": "1"}


def threads_of(user: int) -> int:
    """How many threads a user has; 0 if the system does not report it."""
    found = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError, ValueError, KeyError):  # it has ended meanwhile
            fields = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
            if int(fields["Uid"].split()[0]) == user:
                found += int(fields["Threads"])
    return found


def copied_folder(notebook: Path) -> tuple[Path, bool]:
    """A temporary folder with a notebook and the files beside it, and whether they are all there.

    Other notebooks and folders that contain some, links and hidden files are left out. If the rest is too
    large, the notebook is copied alone.
    """
    outer = Path(mkdtemp(prefix="attnscope-"))  # no other user can look into it
    folder = outer / "notebook"
    folder.mkdir(mode=0o755)
    beside = files_beside(notebook)
    for path in (notebook, *(beside or ())):
        target = folder / path.relative_to(notebook.parent)
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        target.chmod(0o644)
    return folder, beside is not None


def files_beside(notebook: Path) -> list[Path] | None:
    """The other files of a notebook's folder; None if there are too many, or they are too large."""
    found: list[Path] = []
    room = MOST_COPIED_BYTES
    for where, folders, names in os.walk(notebook.parent):
        inner = Path(where)
        if inner != notebook.parent and any(name.endswith(".ipynb") for name in names):
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        for path in (inner / name for name in names if not name.startswith(".")):
            if path.suffix == ".ipynb" or path.is_symlink() or not path.is_file():
                continue
            room -= path.stat().st_size
            found.append(path)
            if room < 0 or len(found) > MOST_FILES:
                return None
    return found


def remove(folder: Path) -> None:
    """Remove a temporary folder, however deep its contents, and whatever their permissions."""
    with suppress(OSError, RecursionError):
        shutil.rmtree(folder)
    if folder.exists():
        for command in (["chmod", "-R", "u+rwx"], ["rm", "-rf"]):
            subprocess.run([*command, "--", folder], stderr=subprocess.DEVNULL, check=False)
