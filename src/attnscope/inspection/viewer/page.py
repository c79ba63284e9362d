"""The page to explore an inspection: data, style and program in one HTML file that fetches nothing."""

import base64
import hashlib
import json
from importlib import resources
from string import Template
from typing import Any

from attnscope.inspection.attribution.result import Attribution
from attnscope.inspection.inspection import Inspection
from attnscope.inspection.text import InspectionError
from attnscope.inspection.viewer.data import viewer_data

PROGRAM = (
    "data",
    "colour",
    "drawing",
    "heads",
    "text",
    "effects",
    "map",
    "entropy",
    "segments",
    "main",
)  # in this order


def page(found: Inspection | Attribution) -> str:
    """Build the page of an inspection, or of an attribution.

    Parameters
    ----------
    found : Inspection or Attribution
        An attribution is shown on top of its inspection: its request must have `inspected=True`.

    Returns
    -------
    str
        One HTML file. Its data is JSON without a single "<", which the program only inserts as text. Its
        content security policy allows this program and this style, by their digests, and nothing else.

    Raises
    ------
    InspectionError
        If an attribution has no inspection.
    """
    effects = found if isinstance(found, Attribution) else None
    inspection = found.inspection if isinstance(found, Attribution) else found
    if inspection is None:
        raise InspectionError(
            "the attribution has no inspection, which the page shows beside it. "
            "Ask for it: AttributionRequest(..., inspected=True)."
        )
    facts, arrays = viewer_data(inspection, effects)
    style = asset("viewer.css")
    program = '(() => {\n"use strict";\n' + "\n".join(asset(f"{name}.js") for name in PROGRAM) + "\n})();\n"
    return Template(asset("viewer.html")).substitute(
        policy=f"default-src 'none'; script-src {digest(program)}; style-src {digest(style)}; img-src data:",
        style=style,
        facts=harmless_json(facts),
        arrays=arrays,
        program=program,
    )


def asset(name: str) -> str:
    """One file of viewer/assets."""
    return resources.files("attnscope.inspection.viewer").joinpath("assets", name).read_text(encoding="utf-8")


def digest(content: str) -> str:
    """The digest by which a content security policy allows a script or a style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def harmless_json(facts: Any) -> str:
    r"""JSON that can neither end a script element nor begin a comment.

    >>> harmless_json("</script>")
    '"\\u003c/script\\u003e"'
    """
    text = json.dumps(facts, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
