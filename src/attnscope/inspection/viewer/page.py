"""The page itself: markup, style and program of viewer/assets, and the data, in one file."""

import base64
import hashlib
import json
from importlib import resources
from string import Template
from typing import Any

from attnscope.inspection.inspection import Inspection
from attnscope.inspection.viewer.data import viewer_data

PROGRAM = (  # in the order in which they need each other
    "data.js", "colour.js", "state.js", "drawing.js", "heads.js", "text.js", "token.js", "map.js", "entropy.js",
    "segments.js", "main.js",
)  # fmt: skip


def page(found: Inspection) -> str:
    """One HTML file that needs nothing else, and that no text can break out of.

    The data stands in it as JSON without a single "<", and reaches the page as text only. A content security policy lets this
    program and this style run, by their digests, and nothing else; nothing can be fetched.
    """
    facts, arrays = viewer_data(found)
    style = asset("viewer.css")
    program = '(() => {\n"use strict";\n' + "\n".join(asset(name) for name in PROGRAM) + "\n})();\n"
    return Template(asset("viewer.html")).substitute(
        policy=f"default-src 'none'; script-src {digest(program)}; style-src {digest(style)}; img-src data:",
        style=style,
        facts=harmless_json(facts),
        arrays=arrays,
        program=program,
    )


def asset(name: str) -> str:
    return resources.files("attnscope.inspection.viewer").joinpath("assets", name).read_text(encoding="utf-8")


def digest(content: str) -> str:
    """As a content security policy names what may run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def harmless_json(facts: Any) -> str:
    r"""JSON in which nothing ends a script element or begins a comment.

    >>> harmless_json("</script>")
    '"\\u003c/script\\u003e"'
    """
    text = json.dumps(facts, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
