"""Public docstrings follow numpydoc: a summary, every parameter by its name, and what is returned."""

import inspect
from collections.abc import Iterator

import pytest
from numpydoc.validate import validate

from tests.conventions.test_public_names import PINNED, public_methods, resolve

# The rules of numpydoc.validate that hold without exception
RULES = {
    "GL08": "no docstring",
    "PR01": "a parameter is not documented",
    "PR02": "a documented parameter does not exist",
    "PR03": "parameters in another order than the signature's",
    "RT01": "no Returns section",
    "SS01": "no summary",
}


def documented_names() -> Iterator[str]:
    """Every public function, class and public method, as numpydoc names it."""
    for name in PINNED:
        named = resolve(name)
        if inspect.ismodule(named):
            continue
        yield f"attnscope.{name}"
        if inspect.isclass(named):
            yield from (f"attnscope.{name}.{method}" for method, _ in public_methods(named))


def violations(name: str) -> list[str]:
    return [f"{code}: {text}" for code, text in validate(name)["errors"] if code in RULES]


@pytest.mark.parametrize("name", list(documented_names()))
def test_a_public_docstring_is_valid_numpydoc(name: str) -> None:
    assert violations(name) == []


def undocumented(first: int, second: int) -> int:
    """Add two numbers.

    Parameters
    ----------
    first : int
        One of them.
    """
    return first + second


def test_a_missing_parameter_and_a_missing_return_are_found() -> None:
    codes = [text.split(":")[0] for text in violations(f"{__name__}.undocumented")]
    assert codes == ["PR01", "RT01"]
