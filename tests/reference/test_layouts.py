"""Compares small versions of popular models on the Hub, loaded by both libraries. See tests/layouts.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid import Embedder
from tests import tiny
from tests.layouts import LAYOUTS, write
from tests.reference.conftest import encode_alone, load_reference

TEXTS = ["", "the", "The cat sat on the mat.", "A dog, a cat!", "a dog: " + "the cat sat " * 40, "query: mat"]


@pytest.fixture(params=LAYOUTS)
def pair(request, tmp_path):
    """A model in Pellucid and in sentence-transformers."""
    ours = write(tmp_path / "ours", LAYOUTS[request.param], shrink=True)
    # transformers cannot read two of the layouts as they are. They say why, and what the reference gets instead.
    changes = LAYOUTS[request.param].get("reference", {})
    theirs = write(tmp_path / "theirs", LAYOUTS[changes.get("layout", request.param)], shrink=True)
    if "tokenizer_class" in changes:
        tiny.edit_json(theirs / "tokenizer_config.json", tokenizer_class=changes["tokenizer_class"])
    # config.json may have another dtype, that of the real weights. These weights are float32, and so is the arithmetic.
    return Embedder(ours), load_reference(theirs, model_kwargs={"dtype": torch.float32})


def test_the_same_ids_and_vectors(pair):
    ours, theirs = pair
    batch, _ = ours.tokenizer.tokenize(TEXTS)
    expected_ids = theirs.tokenizer(TEXTS, truncation=True, max_length=ours.max_tokens)["input_ids"]
    assert [ids.tolist() for ids in batch] == expected_ids
    assert (ours.max_tokens, ours.dimensions) == (theirs.max_seq_length, theirs.get_embedding_dimension())
    np.testing.assert_allclose(ours.embed_documents(TEXTS, prompt=""), encode_alone(theirs, TEXTS), rtol=0, atol=5e-6)


def test_the_same_prompts(pair):
    ours, theirs = pair
    np.testing.assert_allclose(ours.embed_query(TEXTS[2]), theirs.encode_query(TEXTS[2]), rtol=0, atol=5e-6)
    expected = theirs.encode_document(TEXTS, batch_size=1)
    np.testing.assert_allclose(ours.embed_documents(TEXTS), expected, rtol=0, atol=5e-6)
