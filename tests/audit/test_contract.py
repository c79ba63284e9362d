"""What a contract refuses, in which words."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from attnscope.audit import Contract, ContractError


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
