"""Lay out the sources of the site: the lesson, and a reference page per room of the library.

python docs/site/stage.py FOLDER

The sources differ from the lesson's own files in three ways: the overview is the index, the theme links the
pages to each other, and links to code lead to the site's own pages of code (source_pages.py).
"""

import ast
import json
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "attnscope"
LESSON = PACKAGE / "lesson"

TO_CODE = re.compile(r"\]\((\.\./[^)#]+)#(L\d+)(?:-L\d+)?\)")
NAVIGATION = re.compile(r"^\[.*\]\([\w.-]+\.md\)$\n", re.MULTILINE)

# The library's reference: a page, its title, and its names; "cache." stands for all names of a room
REFERENCE = {
    "attention": (
        "Attention",
        ["attention", "partial_attention", "merge_partials", "PartialAttention", "MultiHeadAttention"],
    ),
    "gradients": ("Gradients", ["attention_gradients", "Gradients"]),
    "masks": (
        "Masks",
        ["Mask", "Causal", "Window", "KeyLengths", "KeyRanges", "Documents", "Prefix", "Dense"],
    ),
    "observation": ("Observing", ["observe", "Observation", "observation."]),
    "positions": ("Positions", ["alibi_slopes", "apply_rotary"]),
    "cache": ("The KV cache", ["KVCache", "cache."]),
    "sizing": ("Sizes and rooflines", ["size", "CachePlan", "roofline", "Roofline", "Hardware"]),
    "audit": ("The audit", ["audit."]),
    "reference": ("The readable reference", ["reference."]),
    "lesson": ("Checking exercises", ["lesson."]),
    "models": ("Models without a download", ["models."]),
    "problem": ("Problems, errors and the kernel", ["AttentionProblem", "AttentionShape", "kernels."]),
}


def stage(folder: Path) -> None:
    """Write all sources into an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "reference").mkdir(parents=True)
    for path in sorted(LESSON.iterdir()):
        if path.suffix == ".md":
            name = "index.md" if path.name == "overview.md" else path.name
            (folder / name).write_text(page(path.read_text(encoding="utf-8")), encoding="utf-8")
        elif path.suffix == ".ipynb":
            text = path.read_text(encoding="utf-8").replace("](overview.md", "](index.md")
            (folder / path.name).write_text(text, encoding="utf-8")
    with (folder / "index.md").open("a", encoding="utf-8") as index:
        index.write(contents())
    for name, text in reference_pages(public_names()).items():
        (folder / "reference" / f"{name}.rst").write_text(text, encoding="utf-8")


def page(text: str) -> str:
    """A page as the site shows it."""
    text = NAVIGATION.sub("", text).replace("](overview.md", "](index.md")
    number = re.search(r"^# (\d+)\. ", text, re.MULTILINE)
    if number:
        text = text.replace("](theory.ipynb)", f"](theory.ipynb#{section_anchor(int(number[1]))})")
    return TO_CODE.sub(lambda link: f"](code:{code_page(link[1])}#{link[2]})", text)


def section_anchor(number: int) -> str:
    """The anchor of a section of the theory notebook, as MyST names it: "3-masks-before-softmax"."""
    notebook = json.loads((LESSON / "theory.ipynb").read_text(encoding="utf-8"))
    text = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    (heading,) = re.findall(rf"^## ({number}\. .*)$", text, re.MULTILINE)
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def code_page(target: str) -> str:
    """The page of a linked file: its path in the package, or in the project if it is outside the package."""
    path = (LESSON / target).resolve()
    inside = path.is_relative_to(PACKAGE)
    return path.relative_to(PACKAGE if inside else ROOT).as_posix()


def linked_files() -> dict[str, Path]:
    """Every file of code that a page links to, by the name of its page on the site."""
    found = {
        link for path in LESSON.glob("*.md") for link, _ in TO_CODE.findall(path.read_text(encoding="utf-8"))
    }
    return {code_page(link): (LESSON / link).resolve() for link in sorted(found)}


def contents() -> str:
    """The tables of contents, which the theme shows in its sidebar."""
    notebooks = [name for name in ("theory", "exercises") if (LESSON / f"{name}.ipynb").exists()]
    tables = {
        "Pages": [path.stem for path in sorted(LESSON.glob("[0-9][0-9]-*.md"))],
        "Notebooks": notebooks,
        "The library": [f"reference/{name}" for name in reference_pages(public_names())],
    }
    return "".join(
        f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(names) + "\n```\n"
        for caption, names in tables.items()
    )


def public_names() -> list[str]:
    """The public names of the index and of its rooms: "attention", "cache.attend", ..."""
    index = exported(PACKAGE / "__init__.py")
    rooms = [name for name, module in index if module == "attnscope"]
    names = [name for name, module in index if module != "attnscope"]
    for room in rooms:
        # a class that two indexes export is documented once
        known = {name.split(".")[-1] for name in names if name.split(".")[-1][0].isupper()}
        inside = [name for name, _ in exported(PACKAGE / room / "__init__.py") if name not in known]
        names += [f"{room}.{name}" for name in inside]
    return names


def exported(index: Path) -> list[tuple[str, str]]:
    """The public names of an index, its __all__ or all it imports, and the modules that they come from."""
    body = ast.parse(index.read_text(encoding="utf-8")).body
    imports = [node for node in body if isinstance(node, ast.ImportFrom)]
    names = [(alias.name, str(node.module)) for node in imports for alias in node.names]
    listed = [ast.literal_eval(node.value) for node in body if isinstance(node, ast.Assign)]
    return [(name, module) for name, module in names if not listed or name in listed[0]]


def reference_pages(names: list[str]) -> dict[str, str]:
    """The reference by page. A public name that no page lists goes to the last one."""
    chosen = {
        page: [
            name
            for want in wanted
            for name in names
            if name == want or (want[-1] == "." and name.startswith(want))
        ]
        for page, (_, wanted) in REFERENCE.items()
    }
    taken = {name for some in chosen.values() for name in some}
    chosen["problem"] += [name for name in names if name not in taken]
    return {page: reference_page(REFERENCE[page][0], some) for page, some in chosen.items() if some}


def reference_page(title: str, names: list[str]) -> str:
    """A page that documents each name by its docstring."""
    parts = [title, "=" * len(title), "", ".. currentmodule:: attnscope", ""]
    for name in names:
        kind = "class" if name.split(".")[-1][0].isupper() else "function"
        parts += [f".. auto{kind}:: attnscope.{name}", *(["   :members:"] if kind == "class" else []), ""]
    return "\n".join(parts)


if __name__ == "__main__":
    stage(Path(sys.argv[1]))
