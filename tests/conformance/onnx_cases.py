"""ONNX's own node cases: tests of the operator that nobody here wrote.

onnx keeps the cases as code, and collects those of one operator a process; each operator is therefore
collected by running this file: `python onnx_cases.py Attention` writes its cases, pickled, to stdout.
"""

import functools
import pickle
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class NodeCase:
    """One node, what goes in and what onnx says comes out, by the names of the operator's schema."""

    name: str
    attributes: dict[str, Any]
    inputs: dict[str, NDArray[Any]]
    outputs: dict[str, NDArray[Any]]
    rtol: float
    atol: float


@functools.cache
def collect(operator: str) -> dict[str, NodeCase]:
    command = [sys.executable, "-W", "ignore", str(Path(__file__)), operator]
    pickled = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return {record["name"]: NodeCase(**record) for record in pickle.loads(pickled)}


def main(operator: str) -> None:
    from onnx.backend.test.case.node import collect_testcases
    from onnx.helper import get_attribute_value

    records = []
    for case in collect_testcases(operator):
        if case.name.endswith("_expanded"):  # the same case, as a graph of other operators
            continue
        node = case.model.graph.node[0]
        inputs, outputs = case.data_sets[0]
        records.append({
            "name": case.name.removeprefix("test_"),
            "attributes": {each.name: get_attribute_value(each) for each in node.attribute},
            "inputs": dict(zip([name for name in node.input if name], inputs, strict=True)),
            "outputs": dict(zip([name for name in node.output if name], outputs, strict=True)),
            "rtol": case.rtol,
            "atol": case.atol,
        })
    sys.stdout.buffer.write(pickle.dumps(records))


if __name__ == "__main__":
    main(sys.argv[1])
