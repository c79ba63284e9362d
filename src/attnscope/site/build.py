"""Build the site into a folder: python -m attnscope.site.build FOLDER [--execute]."""

import os
import sys
import tempfile
from pathlib import Path

from sphinx.cmd.build import build_main

from attnscope.site.stage import HERE, stage


def build(folder: Path, *, execute: bool) -> bool:
    """Write the pages; False if Sphinx warned of anything. With `execute`, the theory notebook's cells are run."""
    os.environ["ATTNSCOPE_EXECUTE"] = "force" if execute else "off"
    with tempfile.TemporaryDirectory(prefix="attnscope-site-") as scratch:
        source = Path(scratch) / "source"
        stage(source)
        quiet = ["--quiet", "--fail-on-warning", "--keep-going", "--builder", "html"]
        where = ["--conf-dir", str(HERE), "--doctree-dir", str(Path(scratch) / "doctrees")]
        return build_main([*quiet, *where, str(source), str(folder)]) == 0


if __name__ == "__main__":
    sys.exit(not build(Path(sys.argv[1]), execute="--execute" in sys.argv[2:]))
