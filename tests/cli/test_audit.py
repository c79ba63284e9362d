"""`attnscope audit`: exit codes, files, contracts from files and flags."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from attnscope.cli import main

MODULE = """
import itertools
import os
import signal

import attnscope as at

def right(query, key, value, *, causal):
    return at.attention(query, key, value, mask=at.Causal() if causal else None)

def forgetful(query, key, value, *, causal):
    return at.attention(query, key, value)

def claiming(query, key, value, *, causal):
    return right(query, key, value, causal=causal)

claiming.contract = at.audit.Contract(causal=True)

class Layer:
    def __call__(self, query, key, value, *, causal):
        return right(query, key, value, causal=causal)

def on_tokens(query, key, value, *, causal):
    return right(*(x.swapaxes(1, 2) for x in (query, key, value)), causal=causal).swapaxes(1, 2)

def make_cache():
    raise RuntimeError("no cache today")

def leaving(query, key, value, *, causal):
    os._exit(0)

def exiting(query, key, value, *, causal):
    raise SystemExit(0)

def crashing(query, key, value, *, causal):
    os.kill(os.getpid(), signal.SIGSEGV)

def stubborn(query, key, value, *, causal):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass

def busy(query, key, value, *, causal):
    while True:
        pass

def in_one_c_call(query, key, value, *, causal):
    all(itertools.repeat(True))

def leaving_late(query, key, value, *, causal):
    if key.shape[2] == 67:
        os._exit(0)
    return right(query, key, value, causal=causal)

def raising(query, key, value, *, causal):
    raise ValueError("\\x1b[31mred")

class Unmade:
    def __init__(self):
        raise SystemExit(0)

number = 3
"""


@pytest.fixture
def module(tmp_path: Path) -> str:
    path = tmp_path / "audited_module.py"
    path.write_text(MODULE)
    return str(path)


def audit(*arguments: str) -> Result:
    """Run the command, with time enough on a busy machine."""
    limit = [] if "--seconds" in arguments or not arguments else ["--seconds", "1000"]
    return CliRunner().invoke(main, ["audit", *arguments, *limit])


def test_nothing_found_ends_with_0(module: str) -> None:
    done = audit(f"{module}:right", "--causal")
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"{module}:right: ok\n  Contract(causal=True)\n")


def test_a_finding_ends_with_1(module: str) -> None:
    done = audit(f"{module}:forgetful", "--causal")
    assert done.exit_code == 1
    assert "LEAK  dependence: query 0 reads key 1, which causal hides" in done.output


def test_json_is_all_that_is_printed(module: str) -> None:
    facts = json.loads(audit(f"{module}:forgetful", "--causal", "--json").stdout)
    assert [finding["severity"] for finding in facts["findings"]] == ["leak"]


def test_reports_and_counterexamples_are_written(module: str, tmp_path: Path) -> None:
    junit, sarif, folder = tmp_path / "a.xml", tmp_path / "a.sarif", tmp_path / "found"
    audit(
        f"{module}:forgetful", "--causal", "--junit", str(junit), "--sarif", str(sarif), "--save", str(folder)
    )
    assert ET.parse(junit).getroot().tag == "testsuites"
    assert json.loads(sarif.read_text())["version"] == "2.1.0"
    assert [path.name for path in folder.iterdir()] == ["1-dependence.npz"]


@pytest.mark.parametrize(
    ("name", "text"), [("c.toml", "causal = true\nscale = false"), ("c.json", '{"causal": true}')]
)
def test_a_contract_from_a_file(module: str, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    done = audit(f"{module}:right", "--contract", str(tmp_path / name))
    assert done.exit_code == 0
    assert "Contract(causal=True)" in done.output


def test_a_function_s_own_contract_and_flags_that_change_it(module: str) -> None:
    assert "Contract(causal=True)" in audit(f"{module}:claiming").output
    assert "Contract(causal=True, hidden_nan=False)" in audit(f"{module}:claiming", "--no-hidden-nan").output


def test_a_class_is_made_first(module: str) -> None:
    assert audit(f"{module}:Layer", "--causal").exit_code == 0


def test_tokens_first(module: str) -> None:
    assert audit(f"{module}:on_tokens", "--causal", "--tokens-first").exit_code in (0, 1)


def test_a_cache_by_name(module: str) -> None:
    done = audit(f"{module}:right", "--causal", "--cache", f"{module}:make_cache")
    assert done.exit_code == 1
    assert "cache: the cache raises RuntimeError: no cache today" in done.output


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("leaving", "it ends the process: exit code 0"),
        ("exiting", "it ends the process: SystemExit(0)"),
        ("crashing", "it ends the process: SIGSEGV"),
        ("leaving_late", "it ends the process: exit code 0, in the call batch=2"),
        ("busy", "it gave no answer within"),
        ("stubborn", "it gives no answer within 1 s and cannot be interrupted, in the call batch="),
        ("in_one_c_call", "it gives no answer within 1 s and cannot be interrupted, in the call batch="),
    ],
)
def test_a_subject_that_ends_or_blocks_the_process_is_a_finding(
    module: str, tmp_path: Path, name: str, words: str
) -> None:
    junit = tmp_path / "a.xml"
    seconds = "1" if "no answer" in words else "60"
    done = audit(f"{module}:{name}", "--causal", "--junit", str(junit), "--seconds", seconds)
    assert done.exit_code == 1, done.output
    assert words in " ".join(done.output.split())
    assert ET.parse(junit).getroot().find("testsuite/testcase[@name='call']/failure") is not None


def test_foreign_escape_sequences_do_not_reach_the_terminal(module: str) -> None:
    done = audit(f"{module}:raising", "--causal")
    assert "\x1b" not in done.output
    assert "raises ValueError: \\x1b[31mred" in done.output


def test_a_module_that_blocks_when_it_is_imported_ends_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attnscope.cli.child.SECONDS_TO_BEGIN", 2.0)
    path = tmp_path / "blocking_module.py"
    path.write_text("while True: pass")
    done = audit(f"{path}:f")
    assert done.exit_code == 2
    assert "cannot be loaded: it gives no answer within 2 s" in " ".join(done.output.split())


@pytest.mark.parametrize("code", ["import os; os._exit(0)", "raise SystemExit(0)", "def f(:", "1 / 0"])
def test_a_module_that_cannot_be_imported_ends_with_2(tmp_path: Path, code: str) -> None:
    path = tmp_path / "broken_module.py"
    path.write_text(code)
    done = audit(f"{path}:f")
    assert done.exit_code == 2
    assert "broken_module.py" in done.output
    assert "cannot be" in done.output


def test_paths_of_reports_are_checked_before_the_audit(module: str, tmp_path: Path) -> None:
    for option, path in (
        ("--junit", tmp_path / "nosuch" / "a.xml"),
        ("--sarif", tmp_path / "audited_module.py" / "a.sarif"),
        ("--save", tmp_path / "audited_module.py" / "folder"),
    ):
        done = audit(f"{module}:stubborn", option, str(path))
        assert done.exit_code == 2
        assert option in done.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nosuch:thing"], "nosuch cannot be imported: No module named 'nosuch'"),
        (["{module}"], "expected module:function, or file.py:function."),
        (["{module}:nosuch"], "has no 'nosuch'."),
        (["{module}:number"], "expected a function, got a int."),
        (["{module}:Unmade"], "cannot be made: it raises SystemExit: 0"),
        (["nosuch.py:thing"], "nosuch.py is no file that could be imported."),
        (["{module}:right", "--contract", "{module}"], "expected a .toml or a .json file."),
        (["{module}:right", "--alignment", "left"], "'left' is not one of 'end', 'start'"),
        (["{module}:right", "--seconds", "nan"], "--seconds nan: expected a number of seconds."),
        ([], "name either MODULE:FUNCTION or --model DIR."),
    ],
)
def test_a_wrong_call_ends_with_2(module: str, arguments: list[str], words: str) -> None:
    done = audit(*(each.format(module=module) for each in arguments))
    assert done.exit_code == 2
    assert words in " ".join(done.output.split())


def test_a_contract_file_that_cannot_be_read(module: str, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("causal = maybe")
    done = audit(f"{module}:right", "--contract", str(tmp_path / "c.toml"))
    assert done.exit_code == 2
    assert "c.toml cannot be read: " in done.output
    (tmp_path / "c.json").write_text("[1]")
    assert (
        "expected fields of a contract"
        in audit(f"{module}:right", "--contract", str(tmp_path / "c.json")).output
    )


def test_another_seed_is_told(module: str) -> None:
    assert "seed 5" in audit(f"{module}:right", "--causal", "--seed", "5").output
