"""An inspection from the request to its numbers, on the hand-written model."""

import sys
from pathlib import Path

import numpy as np
import pytest

from attnscope.inspection import Inspection, InspectionError, Request, inspect
from attnscope.inspection.hand_written import HandWritten
from attnscope.inspection.request import EXAMPLE
from attnscope.inspection.run import load

TEXT = "the cat sat on the mat. the dog lay on the mat. the cat"


@pytest.fixture(scope="module")
def example() -> Inspection:
    return inspect(Request())


def share(found: Inspection, layer: int, head: int, reader: str, segment: str) -> float:
    assert found.segments is not None
    masses = found.layers[layer].by_segment
    assert masses is not None
    return float(masses[head, found.segments.names.index(reader), found.segments.names.index(segment)])


def test_the_example_is_answered_from_the_right_document(example: Inspection) -> None:
    assert "".join(example.tokens.pieces).endswith("Grace Hopper finished the A-0 system in 1952.")
    assert share(example, 1, 0, "generated", "hopper.txt") > 0.75
    assert share(example, 1, 0, "generated", "lovelace.txt") < 0.2


def test_the_example_has_the_segments_of_its_chat_and_documents(example: Inspection) -> None:
    assert example.segments is not None
    assert set(example.segments.names) == {
        "template",
        "system",
        "user",
        "lovelace.txt",
        "hopper.txt",
        "assistant",
        "generated",
    }
    sizes = dict(zip(example.segments.names, example.segments.sizes, strict=True))
    assert sizes["hopper.txt"] == len((EXAMPLE / "hopper.txt").read_text(encoding="utf-8").strip())
    assert sum(sizes.values()) == len(example.tokens.ids)


def test_heads_are_ranked_by_what_they_do(example: Inspection) -> None:
    ranked = example.ranked("induction")
    assert ranked[-1].name == "induction"
    assert [each.value for each in ranked] == sorted(each.value for each in ranked)
    assert example.ranked("previous_token")[-1].name == "1 back"
    assert example.ranked("normalized_entropy")[-1].name == "background"


def test_heads_are_ranked_by_what_the_last_segment_reads(example: Inspection) -> None:
    best = example.ranked("reads:hopper.txt")[-1]
    assert best.name == "induction"
    assert best.value == share(example, 1, 0, "generated", "hopper.txt")


def test_what_tokens_receive_is_a_share_of_all_weight(example: Inspection) -> None:
    received = example.received()
    taken = np.concatenate([layer.received for layer in example.layers]).sum(dtype=np.float64)
    assert received.sum() == pytest.approx(taken / (8 * len(received)))
    assert received.sum() == pytest.approx(1)  # of the visible keys, renormalised beside the sinks


def test_the_facts_state_the_provenance(example: Inspection) -> None:
    assert example.facts["text"] == f"Example chat, {len(example.tokens.ids)} tokens"
    assert "copying_transformer" in example.facts["model"]
    assert example.facts["versions"].startswith("attnscope ")


def test_a_plain_text_has_no_segments_and_generated_tokens_make_two() -> None:
    assert inspect(Request(TEXT)).segments is None
    found = inspect(Request(TEXT, new_tokens=3)).segments
    assert found is not None
    assert (found.names, found.sizes) == (("text", "generated"), [len(TEXT), 3])


def test_segments_by_ranges_cover_the_text_without_generated_tokens() -> None:
    found = inspect(Request(TEXT, segments=("a:0-10", "b:10-"), new_tokens=2)).segments
    assert found is not None
    assert (found.names, found.sizes) == (("a", "b", "generated"), [10, len(TEXT) - 10, 2])


def test_documents_come_before_the_question(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("One was red.\n", encoding="utf-8")
    (tmp_path / "two.txt").write_text("The two is green.\n", encoding="utf-8")
    found = inspect(
        Request("The two is", documents=(tmp_path / "one.txt", tmp_path / "two.txt"), new_tokens=6)
    )
    assert "".join(found.tokens.pieces) == "One was red.\n\nThe two is green.\n\nThe two is green"
    assert share(found, 1, 0, "generated", "two.txt") > 0.9


def test_a_chat_of_one_s_own_is_read_with_its_documents(tmp_path: Path) -> None:
    (tmp_path / "chat.json").write_text('[{"role": "user", "content": "Cats sleep. Who?"}]', encoding="utf-8")
    (tmp_path / "doc.txt").write_text("Cats sleep.", encoding="utf-8")
    found = inspect(Request(chat=tmp_path / "chat.json", documents=(tmp_path / "doc.txt",)))
    assert found.text_name == str(tmp_path / "chat.json")
    assert found.segments is not None
    assert found.segments.names == ("template", "doc.txt", "user")


def test_a_chat_that_ends_with_the_user_is_answered_by_the_assistant(tmp_path: Path) -> None:
    (tmp_path / "chat.json").write_text('[{"role": "user", "content": "Cats sleep. Who?"}]', encoding="utf-8")
    found = inspect(Request(chat=tmp_path / "chat.json", new_tokens=2))
    assert "".join(found.tokens.pieces[:-2]) == "[user]\nCats sleep. Who?\n\n[assistant]\n"
    assert found.segments is not None
    assert found.segments.names == ("template", "user", "generated")


def test_only_the_layers_asked_for_are_observed() -> None:
    found = inspect(Request(TEXT, layers="1"))
    assert [layer.number for layer in found.layers] == [1]
    assert found.heads == 2


def test_a_text_of_one_byte_is_observed() -> None:
    found = inspect(Request("a"))
    assert found.layers[0].top_keys.shape[-1] == 1
    assert found.layers[0].block_map.shape == (6, 1, 1)


def test_progress_is_reported_layer_by_layer() -> None:
    steps: list[tuple[float, str]] = []
    inspect(Request(TEXT, new_tokens=1), lambda done, after: steps.append((done, after)))
    assert steps == [
        (0.0, "loading the model"),
        (0.0, "generating"),
        (0.0, "layer 0"),
        (0.5, "layer 1"),
        (1.0, "layer 1"),
    ]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (
            Request("x" * 9, segments=("a:0-3",)),
            r"leave out 6 of 9 tokens, the first is token 3. Name the rest: --rest NAME",
        ),
        (
            Request("x" * 9, segments=("generated:0-",), new_tokens=1),
            r"a segment is named 'generated', .*Choose another name",
        ),
        (Request("x", layers="7"), r"layers='7', expected layers from 0 to 1"),
        (Request("x", model=Path("nowhere")), r"model='nowhere': no such folder or file"),
        (
            Request("x", reads="a"),
            r"reads='a', expected the name of a segment. "
            r"There are none: give --chat, --document or --segments",
        ),
        (
            Request(reads="grace"),
            r"reads='grace', expected the name of a segment. There are template, system, user,",
        ),
        (Request(""), r"is empty. Give a text"),
    ],
)
def test_what_cannot_be_inspected_is_refused_with_the_way_out(request_: Request, message: str) -> None:
    with pytest.raises(InspectionError, match=message):
        inspect(request_)


def test_a_text_longer_than_the_context_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attnscope.inspection.hand_written.HandWritten.context", 10)
    with pytest.raises(
        InspectionError, match=r"has 12 tokens, expected at most 10 in all, the context of the hand"
    ):
        inspect(Request("x" * 12))
    with pytest.raises(InspectionError, match=r"has 8 tokens and 3 to be generated, expected at most 10"):
        inspect(Request("x" * 8, new_tokens=3))
    assert len(inspect(Request("x" * 8, new_tokens=2)).tokens.ids) == 10


def test_a_text_without_a_token_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    none = HandWritten().tokenize("", templated=False)
    monkeypatch.setattr(HandWritten, "tokenize", lambda *_, **__: none)
    with pytest.raises(InspectionError, match=r"has no token for the hand-written model"):
        inspect(Request("x"))


def test_without_a_source_the_model_is_the_hand_written_one() -> None:
    assert isinstance(load(None), HandWritten)


def test_a_folder_without_a_config_is_refused_and_a_gguf_in_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InspectionError, match=r"contains no config.json. Give the folder that save_pretrained\(\) wrote"
    ):
        load(tmp_path)
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    with pytest.raises(InspectionError, match=r"contains no config.json. Give the file: .*m.gguf\.$"):
        load(tmp_path)


def test_a_file_that_is_not_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"PK\x03\x04...")
    with pytest.raises(InspectionError, match=r"is not a GGUF file: it begins with b'PK\\x03\\x04'"):
        load(tmp_path / "m.gguf")


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, "attnscope.inspection.transformers_model", raising=False)
    with pytest.raises(
        InspectionError, match=r"needs torch and transformers .*pip install 'attnscope\[transformers\]'"
    ):
        load(tmp_path)
