"""Lay out the sources of the site: a front page, guides, the lesson, and a reference page per room.

The sources differ from the lesson's own files: the theme links the pages to each other, links to code lead to
the site's own pages of code, and drawings become figures that move (extension.py).
"""

import ast
import json
import re
import shutil
from html import escape
from pathlib import Path

HERE = Path(__file__).parent
GUIDES, STATIC = HERE / "guides", HERE / "_static"  # the front page is guides/index.md
PACKAGE = HERE.parent
LESSON = PACKAGE / "lesson"
ROOT = PACKAGE.parents[1]  # of the project; of nothing, if the package is installed

TO_CODE = re.compile(r"\]\((\.\./[^)#]+)#(L\d+)(?:-L\d+)?\)")
FIGURE = re.compile(r"^!\[([^\]]*)\]\((?:\.\./\.\./lesson/)?figures/(\w+)\.svg\)$", re.MULTILINE)
NAVIGATION = re.compile(r"^\[.*\]\([\w.-]+\.md\)$\n", re.MULTILINE)

OF_TWO_FILES = {"KVCache"}  # classes whose base is no public name: its methods are theirs

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
    for path in sorted([*LESSON.iterdir(), *GUIDES.iterdir()]):
        if path.suffix == ".md":
            (folder / path.name).write_text(page(path.read_text(encoding="utf-8")), encoding="utf-8")
        elif path.suffix == ".ipynb":
            shutil.copy(path, folder)
    with (folder / "index.md").open("a", encoding="utf-8") as index:
        index.write(contents())
    for name, text in reference_pages(public_names()).items():
        (folder / "reference" / f"{name}.rst").write_text(text, encoding="utf-8")


def page(text: str) -> str:
    """A page as the site shows it."""
    text = NAVIGATION.sub("", text)
    number = re.search(r"^# (\d+)\. ", text, re.MULTILINE)
    if number:
        for notebook in ("theory", "exercises"):
            anchor = anchor_of(notebook, int(number[1]))
            text = text.replace(f"]({notebook}.ipynb)", f"]({notebook}.ipynb#{anchor})")
    text = FIGURE.sub(lambda found: moving(found[1], found[2]), text)
    return TO_CODE.sub(
        lambda link: f"](code:{code_page(link[1])}#{link[2]})" if on_disk(link[1]) else "](#in-the-library)",
        text,
    )


def moving(words: str, name: str) -> str:
    """A figure that a script draws; until then, and without one, its drawing."""
    image = f'<img src="_static/figures/{name}.svg" alt="{escape(words)}" loading="lazy">'
    script = f'<script defer src="_static/figures/{name}.js"></script>'
    return f'<div class="moving" data-draw="{name}">{image}</div>\n{script}\n'


def on_disk(target: str) -> bool:
    """Whether a linked file of code is here: the compiled part's sources are in the project alone."""
    return (LESSON / target).resolve().is_file()


def anchor_of(notebook: str, number: int) -> str:
    """The anchor of a numbered heading, as MyST names it: "3-masks-before-softmax"."""
    cells = json.loads((LESSON / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
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
    return {code_page(link): (LESSON / link).resolve() for link in sorted(found) if on_disk(link)}


def contents() -> str:
    """The tables of contents, which the theme shows in its sidebar."""
    pages = [path.stem for path in sorted(LESSON.glob("[0-9][0-9]-*.md"))]
    tables = {
        "Guides": ["compute", "see", "attribute", "check", "size"],
        "The lesson": ["overview", *pages, "exercises", "projects", "theory", "instructors"],
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
        shown = ["members", *(["inherited-members"] if name.split(".")[-1] in OF_TWO_FILES else [])]
        options = [f"   :{each}:" for each in shown] if kind == "class" else []
        parts += [f".. auto{kind}:: attnscope.{name}", *options, ""]
    return "\n".join(parts)
