"""What names no model is told from one before anything heavy is loaded."""

import sys
from pathlib import Path

import pytest

from attnscope.inspection import InspectionError
from attnscope.inspection.by_hand import HandWritten
from attnscope.inspection.model_source import subject_of


def test_no_name_is_the_hand_written_model() -> None:
    assert isinstance(subject_of(None), HandWritten)


def test_a_folder_without_a_config_is_refused_and_a_gguf_in_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InspectionError, match=r"holds no config.json; give the folder that save_pretrained\(\) wrote"
    ):
        subject_of(tmp_path)
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    with pytest.raises(InspectionError, match=r"holds no config.json; name the file: .*m.gguf\.$"):
        subject_of(tmp_path)


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"PK\x03\x04...")
    with pytest.raises(InspectionError, match=r"is no GGUF file: it begins with b'PK\\x03\\x04'"):
        subject_of(tmp_path / "m.gguf")


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, "attnscope.inspection.transformers_model", raising=False)
    with pytest.raises(
        InspectionError, match=r"needs torch and transformers .*pip install 'attnscope\[transformers\]'"
    ):
        subject_of(tmp_path)
