"""What a contract refuses, in which words."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnscope.audit import Contract, ContractError, attention, model


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"causal": "sometimes"}, r"causal='sometimes': expected True, False or 'always'\."),
        ({"key_mask": 1}, r"key_mask=1: expected True or False: does the function take it\?"),
        ({"alignment": "left"}, r"alignment='left': expected one of \['end', 'start'\]\."),
        ({"masked_rows": "nan"}, r"masked_rows='nan': expected one of \['zero', 'unspecified'\]\."),
        ({"gradients": "f"}, r"gradients='f': expected a callable, or None if there is none\."),
        ({"dtypes": ()}, r"dtypes=\(\): expected at least one format, such as \('float32',\)\."),
        ({"dtypes": ("int8",)}, r"'int8' is no format that is audited\. Use some of \['float32', "),
        ({"dtypes": (3,)}, r"3 is no format that is audited"),
    ],
)
def test_a_claim_that_cannot_be_checked(claims: dict[str, Any], words: str) -> None:
    with pytest.raises(ContractError, match=words):
        Contract(**claims)


def test_an_unknown_field_is_told_from_a_known_one() -> None:
    with pytest.raises(
        ContractError, match=r"'key_masks' is no field of a contract\. Did you mean 'key_mask'\?"
    ):
        Contract.of({"key_masks": True})
    with pytest.raises(ContractError, match=r"'xyz' is no field of a contract\. Use some of \['causal', "):
        Contract.of({"xyz": True})


def test_formats_are_named_by_name_or_by_dtype() -> None:
    several: Any = [np.float16, "float32", ml_dtypes.bfloat16]
    one: Any = "float64"
    assert Contract(dtypes=several).dtypes == (
        "float16",
        "float32",
        "bfloat16",
    )
    assert Contract(dtypes=one).dtypes == ("float64",)
    assert Contract(dtypes=("float16", "float32")).main_format == "float32"


def test_a_contract_prints_what_it_claims() -> None:
    assert str(Contract(causal=True, dtypes=("float16",))) == "Contract(causal=True, dtypes=('float16',))"


def test_options_are_in_the_order_of_the_table() -> None:
    assert Contract(sinks=True, causal="always", mask=True).options == ("causal", "mask", "sinks")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from([*Contract.__dataclass_fields__, "nosuch"])


@given(st.dictionaries(FIELDS, VALUES, max_size=4))
def test_any_content_of_a_file_is_a_contract_or_refused_in_one_line(claims: dict[str, Any]) -> None:
    try:
        words = str(Contract.of(claims))
    except ContractError as error:
        words = str(error)
    assert len(words) < 1000
    assert "\n" not in words


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"seed": -1}, "seed=-1: expected 0 or more."),
        ({"seed": 1.5}, "seed=1.5: expected an integer, got float."),
        ({"seconds": 0}, "seconds=0: expected a number of seconds above 0."),
        ({"seconds": float("nan")}, "seconds=nan: expected"),
        ({"seconds_per_call": "1"}, "seconds_per_call='1': expected"),
    ],
)
def test_limits_that_are_none_are_refused(limits: dict[str, Any], words: str) -> None:
    with pytest.raises(ContractError) as of_function:
        attention(print, Contract(), **limits)
    with pytest.raises(ContractError) as of_model:
        model(print, vocab_size=9, **limits)
    assert words in str(of_function.value)
    assert words in str(of_model.value)
