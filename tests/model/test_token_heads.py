from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

from pellucid import Encoder, MultiVectorEmbedder, SparseEmbedder
from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.model.load import load_spec
from pellucid.model.spec import DenseSpec, NormalizeSpec, TokenMaskSpec
from pellucid.sources.resolve import resolve
from tests import tiny
from tests.bge_m3 import WIDTH, write_model
from tests.tiny_families import HIDDEN


def test_the_heads_are_read_beside_the_modules(tmp_path):
    spec = load_spec(resolve(write_model(tmp_path / "m")))
    assert spec.pooling.modes == ("cls",)
    lexical, late = (
        DenseSpec("", HIDDEN, width, activation, of_tokens=True, file=f"{head}.safetensors")
        for head, width, activation in (("sparse_linear", 1, "relu"), ("colbert_linear", WIDTH, "identity"))
    )
    assert spec.lexical == lexical
    assert spec.late_interaction.stages == (late, TokenMaskSpec(first=1), NormalizeSpec(of_tokens=True))


@pytest.mark.parametrize("head", ["sparse_linear", "colbert_linear"])
def test_a_model_may_have_one_head(tmp_path, head):
    spec = load_spec(resolve(write_model(tmp_path / "m", heads=(head,))))
    assert [spec.lexical is not None, spec.late_interaction is not None] == [
        head == "sparse_linear",
        head == "colbert_linear",
    ]


@pytest.mark.parametrize(("task", "head"), [(SparseEmbedder, "sparse_linear"), (MultiVectorEmbedder, "colbert_linear")])
def test_a_pickled_head_is_refused_with_a_way_out(tmp_path, task, head):
    folder = write_model(tmp_path / "m", heads=())
    (folder / f"{head}.pt").write_bytes(b"a pickle")
    with pytest.raises(UnsupportedModelError, match=rf"{head}\.pt is a pickle.*docs/guides/bge-m3\.md"):
        task(folder)
    (folder / f"{head}.pt").unlink()
    with pytest.raises(UnsupportedModelError, match="use Embedder"):
        task(folder)


@pytest.mark.parametrize(
    ("head", "tensors", "message"),
    [
        ("sparse_linear", {"weight": (2, HIDDEN)}, "2 numbers, but it must be one weight"),
        ("sparse_linear", {"bias": (1,)}, r"must have a tensor 'weight' of the shape \[n, 16\]"),
        ("colbert_linear", {"weight": (4, HIDDEN + 1)}, r"must have a tensor 'weight' of the shape \[n, 16\]"),
        ("colbert_linear", {"weight": (0, HIDDEN)}, r"must have a tensor 'weight' of the shape \[n, 16\]"),
        ("colbert_linear", {"weight": (HIDDEN,)}, r"must have a tensor 'weight' of the shape \[n, 16\]"),
    ],
)
def test_a_head_that_does_not_fit(tmp_path, head, tensors, message):
    folder = write_model(tmp_path / "m")
    save_file({name: np.ones(shape, np.float32) for name, shape in tensors.items()}, folder / f"{head}.safetensors")
    with pytest.raises(InvalidModelError, match=message):
        Encoder(folder)


def test_a_broken_file_is_named(tmp_path):
    folder = write_model(tmp_path / "m")
    (folder / "sparse_linear.safetensors").write_bytes(b"not a safetensors file")
    with pytest.raises(InvalidModelError, match=r"sparse_linear\.safetensors"):
        Encoder(folder)


def test_a_model_that_does_not_pool_has_no_heads(tmp_path):
    folder = tiny.write_splade_model(tmp_path / "m", "xlm-roberta")
    save_file({"weight": np.ones((1, HIDDEN), np.float32)}, folder / "sparse_linear.safetensors")
    assert load_spec(resolve(folder)).lexical is None
