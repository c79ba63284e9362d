"""A Sphinx extension: the figures' scripts, pages of code, and types as the source writes them."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_for_filename
from sphinx.application import Sphinx

from attnscope.lesson import FIGURES, figure
from attnscope.site.stage import LESSON, linked_files

ARRAY = re.compile(
    r"~?(?:numpy\.)?ndarray\[tuple\[~?(?:typing\.)?Any, \.\.\.\], ~?(?:numpy\.)?dtype\[([^\]]*)\]\]"
)


def write_figures(app: Sphinx, error: Exception | None) -> None:
    """Write a script per figure, and copy its drawing."""
    if error is not None or app.builder.format != "html":
        return
    target = Path(app.outdir) / "_static" / "figures"
    target.mkdir(parents=True, exist_ok=True)
    for name in FIGURES:
        (target / f"{name}.js").write_text(figure(name).script, encoding="utf-8")
        shutil.copyfile(LESSON / "figures" / f"{name}.svg", target / f"{name}.svg")


def code_pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """One page per linked file of code; `#L12` is its twelfth line."""
    for name, path in linked_files().items():
        lexer = get_lexer_for_filename(path.name)
        formatter = HtmlFormatter(linespans="L", cssclass="highlight")
        # Pygments names the lines L-12; the links use L12, as code hosts do
        code = highlight(path.read_text(encoding="utf-8"), lexer, formatter).replace('id="L-', 'id="L')
        body = f'<h1>{name}</h1>\n<div class="code-page">{code}</div>'
        yield f"code/{name}", {"title": name, "body": body, "meta": None}, "page.html"


def short_types(
    app: Sphinx, kind: str, name: str, thing: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Show NDArray[...], as the source does, instead of what NumPy expands it to."""
    found = [each and ARRAY.sub(r"~numpy.typing.NDArray[\1]", each) for each in (signature, returns)]
    # "<factory>" is no Python: Sphinx cannot parse a signature that contains it
    return found[0] and found[0].replace("<factory>", "..."), found[1]


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls this."""
    app.connect("build-finished", write_figures)
    app.connect("html-collect-pages", code_pages)
    app.connect("autodoc-process-signature", short_types)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
