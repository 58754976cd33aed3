from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

from pellucid import Embedder
from pellucid.measuring.worker import peak_memory
from tests import tiny

TEXTS = ["the cat", "a dog sat on the mat", "cat " * 40, "dog " * 30]
OPTIONS = {"dtype": "float32", "threads": 1, "revision": None, "cache_folder": None, "local_files_only": True}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "texts.json").write_text(json.dumps(TEXTS))
    return tmp_path


def work(folder, model, **job) -> dict:
    job = {"model": str(model), "options": OPTIONS, "keep_vectors": True} | job
    (folder / "job.json").write_text(json.dumps(job))
    command = [sys.executable, "-P", "-m", "pellucid.measuring.worker", str(folder)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, text=True, **pipes) as process:
        assert (process.wait(timeout=120), process.stdout.read(), process.stderr.read()) == (0, "", "")
    return json.loads((folder / "result.json").read_text())


def test_the_worker_measures_a_model_and_keeps_its_vectors(folder, tmp_path):
    model = tiny.write_model(tmp_path / "m", modules=["Pooling", "Dense"], dense=(8, "activation.Tanh"))
    (model / "README.md").write_text("never read")
    result = work(folder, model)
    embedder = Embedder(model, on_truncation="ignore")
    np.testing.assert_array_equal(np.load(folder / "vectors.npy"), embedder.embed_documents(TEXTS))
    weights = [load_file(path) for path in model.rglob("*.safetensors")]
    assert len(weights) == 2
    assert result["parameters"] == sum(array.size for file in weights for array in file.values())
    assert result["disk_bytes"] == sum(
        path.stat().st_size for path in model.rglob("*") if path.is_file() and path.name != "README.md"
    )
    assert (result["dimensions"], result["max_tokens"]) == (8, 24)
    assert (result["texts_cut"], result["tokens"]) == (2, embedder.count_tokens(TEXTS[:2]).sum() + 2 * 24)
    for key in ("loading_seconds", "query_seconds", "texts_seconds"):
        assert 0 < result[key] < 60
    assert 1e6 < result["memory_bytes"] < 1e9


def test_integer_tensors_of_old_checkpoints_do_not_count_as_parameters(folder, broken):
    from safetensors.numpy import save_file

    before = work(folder, broken)["parameters"]
    weights = load_file(broken / "model.safetensors")
    save_file(weights | {"embeddings.position_ids": np.arange(40)}, broken / "model.safetensors")
    assert work(folder, broken)["parameters"] == before


def test_vectors_are_kept_only_on_request(folder, tiny_bert):
    work(folder, tiny_bert, keep_vectors=False)
    assert not (folder / "vectors.npy").exists()


def test_a_pellucid_error_becomes_the_result(folder, broken):
    (broken / "config.json").write_text("{")
    assert "config.json" in work(folder, broken)["error"]


def test_peak_memory_is_the_processs_own_and_grows_with_its_data():
    ballast = np.ones(40_000_000)  # 320 MB, which must not count as a child's memory.
    code = """
from pellucid.measuring.worker import peak_memory
bare = peak_memory()
data = b"x" * 50_000_000
print(bare, peak_memory() - bare)
"""
    bare, grown = map(int, subprocess.check_output([sys.executable, "-c", code], text=True).split())
    assert peak_memory() > ballast.nbytes
    assert bare < 100e6
    assert 45e6 < grown < 60e6
