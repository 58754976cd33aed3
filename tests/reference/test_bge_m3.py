"""Compares the three kinds of vectors of BGE-M3 with the formulas in PyTorch."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pellucid import Embedder, Encoder, MultiVectorEmbedder, SparseEmbedder
from tests import bge_m3
from tests.bge_m3 import TEXTS
from tests.hub_server import Hub, environment
from tests.reference.bge_m3 import live
from tests.reference.texts import odd_texts

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "bge-m3.md"


def assert_same(folder: Path, texts: list[str], engine: str) -> None:
    """The three kinds of vectors are those of PyTorch."""
    encoder = Encoder(folder, engine=engine)
    tasks = [kind(encoder, on_truncation="cut") for kind in (Embedder, SparseEmbedder, MultiVectorEmbedder)]
    dense, sparse, multi = encoder.together(texts, tasks)
    for expected, vector, weights, vectors in zip(live(folder, texts), dense, sparse, multi, strict=True):
        np.testing.assert_allclose(vector, expected[0], rtol=0, atol=5e-6)
        assert weights.indices.tolist() == sorted(expected[1])
        np.testing.assert_allclose(weights.values, [expected[1][n] for n in sorted(expected[1])], rtol=0, atol=5e-6)
        np.testing.assert_allclose(vectors, expected[2], rtol=0, atol=5e-6)


@pytest.mark.parametrize("engine", ["native", "reference", "torch"])
def test_the_three_kinds_of_vectors(tmp_path, engine):
    assert_same(bge_m3.write_model(tmp_path / "m"), [*TEXTS, *odd_texts(40)], engine)


def test_the_recipe_for_pickled_heads(tmp_path):
    """It runs as it stands in the docs. The Hub is a server of the test, and has the files of BAAI/bge-m3."""
    folder = bge_m3.write_model(tmp_path / "hub")
    for name in ("model", "sparse_linear", "colbert_linear"):
        tensors = load_file(folder / f"{name}.safetensors")
        torch.save(tensors, folder / ("pytorch_model.bin" if name == "model" else f"{name}.pt"))
        (folder / f"{name}.safetensors").unlink()
    recipe = re.search(r"```python\n(import torch\n.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    with Hub({"BAAI/bge-m3": {"main": folder}}) as hub:
        command = [sys.executable, "-c", recipe[1]]
        subprocess.run(
            command, cwd=tmp_path, env=environment(tmp_path / "home", HF_ENDPOINT=hub.url), check=True, timeout=300
        )
    assert_same(tmp_path / "bge-m3", TEXTS, "native")
