"""How docstrings become pages: formulas and tables keep their form, sentences flow, sections have headings."""

import importlib.util
from pathlib import Path
from types import ModuleType

FILE = Path(__file__).parents[3] / "docs" / "site" / "docstrings.py"


def loaded() -> ModuleType:
    found = importlib.util.spec_from_file_location("docstrings", FILE)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


readable = loaded().readable


def test_a_formula_keeps_its_lines() -> None:
    assert readable("Mix.\n\noutput[i] = sum_j w[j]\nscore[i] = a . b") == (
        "Mix.\n\n.. code-block:: text\n\n    output[i] = sum_j w[j]\n    score[i] = a . b"
    )


def test_a_section_has_its_name_as_a_heading_and_its_text_flows() -> None:
    text = readable("Mix.\n\nPrecision\n    float32, *rounded*\n    once.\nErrors\n    None.")
    assert text == "Mix.\n\n**Precision**\n\nfloat32, \\*rounded\\*\nonce.\n\n**Errors**\n\nNone."


def test_names_in_a_column_become_a_table() -> None:
    text = readable(
        "Mix.\n\nShapes\n    query    (tokens, dim)    of x\n             and more\n    Any strides."
    )
    assert "   * - ``query``\n     - (tokens, dim)\n     - of x and more" in text
    assert text.endswith("Any strides.")


def test_a_ruled_table_keeps_its_columns_and_a_long_cell_runs_over_the_edge() -> None:
    rules = "====  ====  ===="
    text = readable(
        f"Say.\n\n{rules}\nname  how   what\n{rules}\na           empty\nb     f(a, b, c) -> d\n{rules}"
    )
    assert "   * - name\n     - how\n     - what" in text
    assert "   * - ``a``\n     -\n     - empty" in text
    assert "   * - ``b``\n     - f(a, b, c) -> d\n     -" in text


def test_a_name_in_backticks_is_code_and_an_example_stays_as_it_is() -> None:
    assert readable("See `x`.\n\n>>> f(1)\n2") == "See ``x``.\n\n>>> f(1)\n2"
