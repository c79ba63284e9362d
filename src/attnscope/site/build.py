"""Build the site into a folder: python -m attnscope.site.build FOLDER [--execute]."""

import os
import sys
import tempfile
from pathlib import Path

from sphinx.cmd.build import build_main

from attnscope.site.stage import HERE, stage


def build(folder: Path, *, execute: bool) -> bool:
    """Write the pages; False if Sphinx warned of anything. With `execute`, the theory notebook is run."""
    with tempfile.TemporaryDirectory(prefix="attnscope-site-") as scratch:
        source = Path(scratch) / "source"
        os.environ["IPYTHONDIR"] = str(new_profile(Path(scratch)))
        stage(source)
        quiet = ["--quiet", "--fail-on-warning", "--keep-going", "--builder", "html"]
        where = ["--conf-dir", str(HERE), "--doctree-dir", str(Path(scratch) / "doctrees")]
        cells = [] if execute else ["--define", "nb_execution_mode=off"]  # a reader runs them
        return bool(build_main([*quiet, *where, *cells, str(source), str(folder)]) == 0)


def new_profile(folder: Path) -> Path:
    """Kernels start as on a new machine, without the builder's profile, and report errors only."""
    profile = folder / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_kernel_config.py").write_text('c.IPKernelApp.log_level = "ERROR"\n', encoding="utf-8")
    return profile.parent


if __name__ == "__main__":
    sys.exit(not build(Path(sys.argv[1]), execute="--execute" in sys.argv[2:]))
