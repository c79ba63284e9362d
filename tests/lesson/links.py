"""The pages' links to code: `[`symbol`](../file.py#L12-L30)` must be the lines where the symbol stands.

python -m tests.lesson.links    writes the right lines into the pages, after code has moved
"""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from tests.lesson.page import LESSON, pages

CODE_LINK = re.compile(r"\[`([\w.]+)`\]\((\.\./[^)#]+)#(L\d+(?:-L\d+)?)\)")


@dataclass(frozen=True)
class CodeLink:
    """One link, as it is written."""

    symbol: str
    target: str
    lines: str

    @property
    def path(self) -> Path:
        return (LESSON / self.target).resolve()

    def right_lines(self) -> str:
        """Where the symbol stands; a file of another language is linked as a whole, under its own name."""
        if self.path.suffix != ".py":
            assert self.symbol == self.path.name, f"{self.symbol} does not name the file {self.path.name}"
            return f"L1-L{len(self.path.read_text(encoding='utf-8').splitlines())}"
        tree = ast.parse(self.path.read_text(encoding="utf-8"))
        found = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
            and node.name == self.symbol
            and not any(ast.unparse(each) == "overload" for each in node.decorator_list)
        ]
        assert len(found) == 1, f"{self.target} defines {self.symbol} {len(found)} times"
        return f"L{found[0].lineno}-L{found[0].end_lineno}"


def code_links(text: str) -> list[CodeLink]:
    return [CodeLink(*found) for found in CODE_LINK.findall(text)]


def corrected(text: str) -> str:
    """The page with every link to code at the right lines."""
    return CODE_LINK.sub(
        lambda link: f"[`{link[1]}`]({link[2]}#{CodeLink(*link.groups()).right_lines()})", text
    )


if __name__ == "__main__":
    for page in pages():
        page.write_text(corrected(page.read_text(encoding="utf-8")), encoding="utf-8")
