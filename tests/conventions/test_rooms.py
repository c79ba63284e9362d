"""Which room may import which: the architecture, as ARCHITECTURE.md shows it."""

import sys

import pytest

from tests.conventions.source_tree import INDEX, PACKAGE, ROOT, imported_packages, imported_rooms, rooms

GROUND = {"arguments", "errors", "result"}  # single files that every room may use
MAY_IMPORT = {
    "problem": set(),
    "reference": {"problem"},
    "kernels": {"problem"},  # never reference: an oracle must not share code with its suspect
    "attention": {"problem", "kernels", "reference"},
    "cache": {"problem", "kernels"},
    "gradients": {"attention", "problem", "kernels", "reference"},
    "observation": {"attention", "cache", "gradients", "problem", "kernels", "reference"},
    "probing": {"problem", "reference"},
    "audit": {"probing", "problem", "reference"},
    "interop": {"attention", "audit", "cache", "gradients", "kernels", "observation", "problem"},
    "sizing": {"problem", "kernels"},  # kernels only inside Hardware.measure()
    "positions": set(),
    "multi_head": {"attention", "problem", "reference"},
    "models": {"attention", "observation", "positions", "problem"},
    "machine": {"kernels"},
    "bench": {"attention", "cache", "kernels", "machine", "problem", "sizing"},
    "doctor": {"attention", "cache", "gradients", "kernels", "problem"},
    "tour": {"attention", "kernels", "machine", "models", "problem", "reference"},
    "inspection": {"interop", "kernels", "models", "observation", "problem"},
    "training": {"attention", "gradients", "models", "positions", "problem", "reference"},
    "lesson": {"audit", "models", "positions", "probing", "problem", "reference"},
    "site": {"lesson"},
    "cli": {
        INDEX,
        "audit",
        "bench",
        "doctor",
        "inspection",
        "lesson",
        "machine",
        "problem",
        "site",
        "sizing",
        "tour",
    },
}
OF_THE_TERMINAL = {"click", "rich"}
# Files that belong to another tool: each imports it, and is imported only by who asks for it
OF_ANOTHER_TOOL = {
    "audit/plugin.py": {"pytest"},
    "audit/targets.py": {"torch"},
    "audit/models/torch_module.py": {"torch"},
    "audit/models/transformers_model.py": {"transformers"},
    "doctor/libraries.py": {"packaging"},
    "inspection/attribution/lasso.py": {"sklearn"},
    "inspection/attribution/plot.py": {"matplotlib"},
    "inspection/attribution/sentences.py": {"pysbd"},
    "inspection/attribution/transformers_scorer.py": {"torch"},
    "inspection/transformers_model.py": {"torch", "transformers"},
    "interop/cache_edits.py": {"torch", "transformers"},
    "interop/call_mask.py": {"torch", "transformers"},
    "interop/hidden_keys.py": {"torch"},
    "interop/jax.py": {"jax"},
    "interop/mask_functions.py": {"transformers"},
    "interop/observing.py": {"transformers"},
    "interop/paged_cache.py": {"torch", "transformers"},
    "interop/paged_layer.py": {"torch", "transformers"},
    "interop/paged_vectors.py": {"torch"},
    "interop/prefix_gradient.py": {"torch"},
    "interop/runs.py": {"torch", "transformers"},
    "interop/seen.py": {"torch"},
    "interop/shared_prefix.py": {"torch", "transformers"},
    "interop/symbolic_mask.py": {"torch"},
    "interop/tensors.py": {"torch"},
    "interop/torch.py": {"torch"},
    "interop/torch_attention.py": {"torch"},
    "interop/jax_attention.py": {"jax"},
    "interop/transformers.py": {"transformers"},
    "interop/transformers_attention.py": {"torch", "transformers"},
    "interop/transformers_masks.py": {"torch", "transformers"},
    "interop/transformers_register.py": {"torch", "transformers"},
    "interop/unwrapping.py": {"torch", "transformers"},
    "observation/plot.py": {"matplotlib"},
    "site/build.py": {"sphinx"},
    "site/extension.py": {"pygments", "sphinx"},
    "site/live.py": {"jupyter_server", "tornado"},
    "sizing/plot.py": {"matplotlib"},
}
# _typeshed is the type checker's, and nothing at run time
PACKAGES = {"attnscope", "numpy", "ml_dtypes", "_typeshed"}


def forbidden_rooms(room: str, source: str) -> list[str]:
    return sorted(imported_rooms(source) - MAY_IMPORT[room] - GROUND - {room})


def test_every_room_is_in_the_table() -> None:
    assert set(rooms()) == set(MAY_IMPORT) | GROUND


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_the_rooms_below_it(room: str) -> None:
    for path in rooms()[room]:
        found = forbidden_rooms(room, path.read_text(encoding="utf-8"))
        assert not found, f"{path.relative_to(PACKAGE)} imports {found}"


@pytest.mark.parametrize("file", sorted(GROUND))
def test_what_every_room_may_use_imports_no_room(file: str) -> None:
    assert not imported_rooms((PACKAGE / f"{file}.py").read_text(encoding="utf-8")) - GROUND


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_uses_no_package_but_numpy_and_the_terminals(room: str) -> None:
    allowed = PACKAGES | sys.stdlib_module_names
    if room in ("bench", "cli", "inspection", "tour"):
        allowed |= OF_THE_TERMINAL
    for path in rooms()[room]:
        tools = OF_ANOTHER_TOOL.get(path.relative_to(PACKAGE).as_posix(), set())
        found = sorted(imported_packages(path.read_text(encoding="utf-8")) - allowed - tools)
        assert not found, f"{path.relative_to(PACKAGE)} imports {found}"


@pytest.mark.parametrize(
    "statement",
    [
        "from attnscope.reference import attention",
        "from attnscope import reference",
        "import attnscope.reference.definition",
        "import attnscope as at",
        "def run():\n    from attnscope.reference.definition import weights",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from attnscope import reference as oracle",
    ],
)
def test_the_rule_catches_a_kernel_that_reads_its_oracle(statement: str) -> None:
    assert forbidden_rooms("kernels", "import numpy\nfrom attnscope.problem import Mask") == []
    assert len(forbidden_rooms("kernels", statement)) == 1


def test_only_the_measurement_of_a_machine_imports_kernels_into_sizing_and_only_when_it_is_asked_for() -> (
    None
):
    readers = [
        path for path in rooms()["sizing"] if "kernels" in imported_rooms(path.read_text(encoding="utf-8"))
    ]
    assert [path.name for path in readers] == ["hardware.py"]
    assert "\n        from attnscope.kernels import" in readers[0].read_text(encoding="utf-8")


def test_the_rule_catches_a_relative_import() -> None:
    with pytest.raises(AssertionError, match="a relative import hides the room"):
        forbidden_rooms("kernels", "from ..reference import attention")


def test_the_architecture_shows_this_table() -> None:
    shown = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for room, below in MAY_IMPORT.items():
        row = f"| {room} | {', '.join(sorted(below)) or 'nothing'} |"
        assert row in shown, f"ARCHITECTURE.md lacks the row {row!r}"
