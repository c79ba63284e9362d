"""A Sphinx extension: the files of code that pages link to, as pages with an anchor on each line."""

from collections.abc import Iterator
from typing import Any

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_for_filename
from sphinx.application import Sphinx

from attnscope.lesson.site.stage import linked_files


def pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """One page per file; `#L12` is its twelfth line."""
    for name, path in linked_files().items():
        lexer = get_lexer_for_filename(path.name)
        formatter = HtmlFormatter(linespans="L", cssclass="highlight")
        # Pygments names the lines L-12; the links use L12, as code hosts do
        code = highlight(path.read_text(encoding="utf-8"), lexer, formatter).replace('id="L-', 'id="L')
        body = f'<h1>{name}</h1>\n<div class="code-page">{code}</div>'
        yield f"code/{name}", {"title": name, "body": body, "meta": None}, "page.html"


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls this."""
    app.connect("html-collect-pages", pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
