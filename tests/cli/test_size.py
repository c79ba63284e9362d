"""attnscope size: the table, the JSON, the picture, the errors, and how soon it answers."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import attnscope as at
from attnscope.cli import main

CONFIGS = Path(__file__).parents[1] / "sizing" / "configs"
LLAMA = str(CONFIGS / "llama-3-8b.json")
# what the verb loads beyond `import attnscope`, click and the standard library
TELL_PACKAGES = """
import sys, attnscope, click.testing
before = set(sys.modules)
from attnscope.cli import main
main(["size", sys.argv[1], "--hardware", "h100"], standalone_mode=False)
loaded = {name.split(".")[0] for name in set(sys.modules) - before}
own = {"attnscope", "__mp_main__"}  # multiprocessing's name for this program
print(*sorted(loaded - sys.stdlib_module_names - own), file=sys.stderr)
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["size", *arguments])


def facts(*arguments: str) -> Any:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


def test_the_table_shows_layers_weights_and_all_engines() -> None:
    done = run(LLAMA, "--context", "128k", "--batch", "8")
    assert done.exit_code == 0
    lines = [" ".join(row.split()) for row in done.output.splitlines()]
    assert "llama: 8 sequences of 131,072 tokens, bfloat16, engine hf" in lines
    assert "32 full 131,072 4,096 - 128.00 GiB" in lines
    assert "weights: 14.96 GiB, estimated: 8,029,995,008 parameters in bfloat16," in " ".join(lines)
    for engine in ("hf", "hf-static", "vllm", "llama.cpp", "attnscope"):
        assert f"{engine} 128.00 GiB (137.44 GB) 131,072" in lines


def test_with_a_memory_it_reports_what_fits() -> None:
    """80 GiB less 14.96 of weights are 65.04: 4 sequences of 16 GiB."""
    found = facts(LLAMA, "--context", "128k", "--memory", "80GiB")
    plan = at.size(LLAMA, context=131_072, memory=80 * 2**30)
    assert (found["max_sequences"], found["max_context"]) == (4, plan.max_context)
    assert found["engines"]["vllm"]["max_sequences"] == 4
    assert (
        "in 80.00 GiB: 4 sequences of 131,072 tokens"
        in run(LLAMA, "--context", "128k", "--memory", "80g").output
    )


def test_a_memory_of_1_tib_is_accepted() -> None:
    assert facts(LLAMA, "--memory", "1TiB")["memory"] == 2**40
    assert facts(LLAMA, "--memory", "2TB")["max_sequences"] > 100


def test_the_memory_of_the_hardware_is_taken_unless_one_is_given() -> None:
    assert facts(LLAMA, "--hardware", "h100")["memory"] == 80 * 10**9
    assert facts(LLAMA, "--hardware", "h100", "--memory", "40GB")["memory"] == 40 * 10**9


def test_with_hardware_it_reports_the_limits() -> None:
    asked = (LLAMA, "--hardware", "h100", "--prompt", "7k", "--new-tokens", "1k", "--batch", "4")
    found = facts(*asked)["roofline"]
    expected = at.roofline(LLAMA, prompt=7168, new_tokens=1024, batch=4, hardware="h100")
    assert found["decode"]["bound"] == "memory"
    assert found["decode"]["flops"] == expected.decode.flops
    assert found["tokens_per_second"] == expected.tokens_per_second
    assert found["hardware"]["source"] == expected.hardware.source
    assert f"at most {expected.tokens_per_second:,.0f} tokens/s" in run(*asked).output


def test_the_explanation_is_printed_if_asked_for() -> None:
    done = run(LLAMA, "--hardware", "h100", "--explain")
    assert "each further token of a sequence: 131,072 bytes" in done.output
    assert "NVIDIA, H100 data sheet" in done.output
    assert "NVIDIA, H100 data sheet" not in run(LLAMA, "--hardware", "h100").output


def test_the_json_is_what_size_returns() -> None:
    found = facts(LLAMA, "--context", "1000", "--kv-dtype", "int8", "--engine", "llama.cpp")
    plan = at.size(LLAMA, context=1000, kv_dtype="int8", engine="llama.cpp")
    assert found["cache_bytes"] == plan.cache_bytes
    assert found["bytes_per_token"] == plan.bytes_per_token
    assert found["roofline"] is None
    assert found["engines"]["llama.cpp"]["cache_bytes"] == plan.cache_bytes


def test_an_engine_without_a_plan_has_a_reason_and_hides_no_other() -> None:
    found = facts(LLAMA, "--kv-dtype", "fp8")["engines"]
    assert "engine='llama.cpp' has" in found["llama.cpp"]["why_not"]
    assert found["vllm"]["cache_bytes"] == 8192 * 65_536


def test_a_field_can_be_assumed() -> None:
    found = facts(LLAMA, "--assume", "num_key_value_heads=1")
    assert found["bytes_per_token"] == 131_072 // 8


@pytest.mark.parametrize(
    ("asked", "tokens"),
    [
        ((), (8192, 7936, 256)),
        (("--context", "1k"), (1024, 768, 256)),
        (("--context", "1k", "--new-tokens", "24"), (1024, 1000, 24)),
        (("--context", "1k", "--prompt", "1000"), (1024, 1000, 24)),
        (("--prompt", "1000", "--new-tokens", "24"), (1024, 1000, 24)),
        (("--prompt", "1000"), (1256, 1000, 256)),
        (("--context", "1"), (1, 1, 1)),
    ],
)
def test_of_context_prompt_and_new_tokens_each_follows_from_the_others(
    asked: tuple[str, ...], tokens: tuple[int, int, int]
) -> None:
    found = facts(LLAMA, "--hardware", "h100", *asked)
    line = found["roofline"]
    assert (found["context"], line["prompt"], line["new_tokens"]) == tokens


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--context", "many"], "context='many': expected tokens, such as 8192, 128k"),
        (["--context", "-1"], "context='-1': expected tokens"),
        (["--memory", "80 gigs"], "memory='80 gigs': expected bytes, such as 80GiB"),
        (["--batch", "0"], "batch=0: expected 1 or more"),
        (["--kv-dtype", "fp7"], "kv_dtype='fp7': expected one of"),
        (["--engine", "ollama"], "engine='ollama': expected one of hf, hf-static"),
        (["--hardware", "abacus"], "hardware='abacus' is not known. Use one of b200, h200, h100"),
        (["--assume", "sliding_window"], "assume='sliding_window': expected FIELD=JSON"),
        (
            ["--context", "1k", "--prompt", "1k", "--new-tokens", "1"],
            "context=1,024: expected room for the prompt and the new tokens, at least one each, got "
            "prompt=1,024 and new-tokens=1. Give two of the three.",
        ),
        (["--context", "1k", "--prompt", "2k"], "got prompt=2,048 and new-tokens=-1,024"),
        (["--new-tokens", "10000"], "got prompt=-1,808 and new-tokens=10,000"),
        (["--new-tokens", "0"], "got prompt=8,192 and new-tokens=0"),
        (["--hardware", "h100", "--weight-dtype", "fp7"], "weight_dtype='fp7': expected one of"),
        (["--plot", "."], "is a directory"),
    ],
)
def test_what_cannot_be_ends_with_a_message_and_code_2(arguments: list[str], message: str) -> None:
    done = run(LLAMA, *arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())
    assert done.stdout == ""


def test_a_file_that_is_not_there_ends_with_a_message_and_code_2(tmp_path: Path) -> None:
    done = run(str(tmp_path / "config.json"))
    assert done.exit_code == 2
    assert "config.json does not exist. Give the path of a config.json" in done.stderr


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="not installed here: it comes with attnscope[plot]")
    picture = tmp_path / "cache.png"
    assert run(LLAMA, "--plot", str(picture)).exit_code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_picture_of_no_known_format_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="not installed here: it comes with attnscope[plot]")
    done = run(LLAMA, "--plot", str(tmp_path / "cache.xyz"))
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr


def test_engines_that_nearly_agree_share_a_line() -> None:
    pytest.importorskip("matplotlib", reason="not installed here: it comes with attnscope[plot]")
    from attnscope.sizing.plot import curves

    gemma = CONFIGS / "gemma-3-27b.json"
    plans = [at.size(gemma, context=9, engine=engine) for engine in ("hf", "vllm", "llama.cpp")]
    assert [engines for _, engines in curves(plans, [8192, 16384])] == [["hf", "vllm"], ["llama.cpp"]]


def test_without_matplotlib_a_picture_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "attnscope.sizing.plot", raising=False)
    done = run(LLAMA, "--plot", "cache.png")
    assert done.exit_code == 2
    assert "--plot needs matplotlib" in done.stderr
    assert "pip install 'attnscope[plot]'" in done.stderr


def test_it_loads_no_package_that_attnscope_does_not() -> None:
    command = [sys.executable, "-c", TELL_PACKAGES, LLAMA]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""
