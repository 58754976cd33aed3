"""Models of the Hub that many people use, shrunken, and loaded by both; see tests/layouts.py."""

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
    """Ours and theirs."""
    ours = write(tmp_path / "ours", LAYOUTS[request.param], shrink=True)
    # Two layouts say what transformers cannot read as it is, and why, and what it is given instead.
    help_needed = LAYOUTS[request.param].get("reference", {})
    theirs = write(tmp_path / "theirs", LAYOUTS[help_needed.get("layout", request.param)], shrink=True)
    if "tokenizer_class" in help_needed:
        tiny.edit_json(theirs / "tokenizer_config.json", tokenizer_class=help_needed["tokenizer_class"])
    # The numbers are float32, whatever config.json says of the real ones, and are to be computed with as such.
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
