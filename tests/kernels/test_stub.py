"""The types that Python sees of the compiled core are those that it has."""

from tests.kernels.core_stub import STUB, generated


def test_the_stub_is_generated_from_the_compiled_core() -> None:
    assert STUB.read_text(encoding="utf-8") == generated(), "run `make format`"
