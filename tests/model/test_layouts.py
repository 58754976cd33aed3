"""Popular models, with their files laid out as on the Hub; see tests/layouts.py."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from pellucid import Embedder
from pellucid.model import tensors
from pellucid.model.load import load_spec, load_weights
from pellucid.sources import local
from pellucid.text.tokenizer import Tokenizer
from tests import scoring_layouts
from tests.layouts import LAYOUTS, write

TEXTS = ["The cat sat on the mat.", "a dog: " + "the cat sat " * 9]


@pytest.fixture(params=LAYOUTS)
def layout(request):
    """Each layout in turn."""
    return LAYOUTS[request.param]


def test_the_spec_and_the_weights_of_the_full_size_files(layout, tmp_path, monkeypatch):
    # Names, types and shapes are checked as usual. But 20 GB of zeros are not read from disk, which takes a minute.
    monkeypatch.setattr(tensors, "_map", lambda stored, dtype: (np.zeros(stored.shape, dtype), None))
    expected = layout["expected"]
    files = local.find(str(write(tmp_path, layout, shrink=False)))
    spec = load_spec(files)
    assert {
        "family": spec.encoder.family,
        "pooling": list(spec.pooling.modes),
        "head": [type(module).__name__.removesuffix("Spec") for module in spec.modules],
        "prompts": dict(spec.prompts),
        "max_tokens": spec.tokenizer.max_tokens,
        "dimensions": spec.dimensions,
    } == expected
    assert Tokenizer(files, spec.tokenizer, spec.encoder).tokenize(TEXTS)[1].min() > 2
    layers = load_weights(files, spec).layers
    assert sum(1 for _ in layers) == len(spec.encoder.blocks)  # Reading each layer has checked its shapes.


def test_both_engines_give_the_same_vectors(layout, tmp_path):
    folder = write(tmp_path, layout, shrink=True)
    reference, native = (Embedder(folder, engine=engine).embed_documents(TEXTS) for engine in ("reference", "native"))
    np.testing.assert_allclose(native, reference, rtol=0, atol=2e-5)
    assert np.ptp(reference, axis=0).max() > 0.01
    if "Normalize" in layout["expected"]["head"]:
        np.testing.assert_allclose(np.linalg.norm(native, axis=1), 1, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", [name for name, layout in LAYOUTS.items() if "bytes" in layout["tensors"]])
def test_the_weights_are_as_long_as_the_real_ones(name, tmp_path):
    """For some models the real length is known. A missing tensor, an extra one or a wrong type would change it."""
    folder = write(tmp_path, LAYOUTS[name], shrink=False)
    assert (folder / "model.safetensors").stat().st_size == LAYOUTS[name]["tensors"]["bytes"]


def test_each_layout_has_its_line_in_the_docs():
    page = (Path(__file__).parents[2] / "docs" / "layouts.md").read_text(encoding="utf-8")
    embedders, _, others = page.partition("## Rerankers and classifiers")
    first_column = re.compile(r"^\| ([\w.-]+/[\w.-]+) \|", re.MULTILINE)
    assert {name for name in LAYOUTS if "@" not in name} == set(first_column.findall(embedders))
    assert {name for name in scoring_layouts.LAYOUTS if " " not in name} <= set(first_column.findall(others))
