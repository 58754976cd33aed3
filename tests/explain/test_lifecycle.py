from __future__ import annotations

import hashlib

import pytest

from pellucid.errors import ModelError
from pellucid.explain.lifecycle import observe


def test_each_phase_is_measured(tiny_bert):
    life = observe(str(tiny_bert), "the cat", {})
    assert [phase.name for phase in life.phases] == ["import", "construct", "call"]
    assert all(phase.connections == () for phase in life.phases)
    assert all(phase.seconds > 0 for phase in life.phases)
    assert life.phases[0].modules > 5
    assert (life.source, life.folder) == ("folder", str(tiny_bert))
    files = {file.name: file for file in life.files}
    assert set(files) >= {"config.json", "model.safetensors", "1_Pooling/config.json", "tokenizer.json"}
    content = (tiny_bert / "config.json").read_bytes()
    assert (files["config.json"].size, files["config.json"].sha256) == (
        len(content),
        hashlib.sha256(content).hexdigest(),
    )


def test_options_go_to_the_embedder(tiny_bert, tmp_path):
    assert observe(str(tiny_bert), "the cat", {"dtype": "int8", "cache_folder": str(tmp_path)}).files


def test_the_error_of_a_model_that_cannot_be_loaded_is_reported(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"modules.json|config.json"):
        observe(str(tmp_path / "empty"), "my secret", {"local_files_only": True})
