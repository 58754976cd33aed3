"""Compares small versions of popular rerankers and classifiers in both libraries. See tests/scoring_layouts.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid.sentence_transformers import CrossEncoder
from tests import tiny
from tests.reference.conftest import cross_encoder
from tests.scoring_layouts import LAYOUTS, write

PAIRS = [*tiny.PAIRS[:6], *tiny.PAIRS[-8:], ("The Cat, sat!", "  a   DOG\n"), ("é à", "the  cat")]


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_same_scores_labels_and_limit(name, tmp_path):
    folder = write(tmp_path / "m", LAYOUTS[name])
    theirs = cross_encoder(folder, model_kwargs={"dtype": torch.float32})
    ours = CrossEncoder(folder, on_truncation="cut")
    assert (ours.max_seq_length, ours.num_labels) == (theirs.max_seq_length, theirs.num_labels)
    assert (ours.config.id2label, repr(ours.activation_fn)) == (theirs.config.id2label, repr(theirs.activation_fn))
    expected = theirs.predict(PAIRS, batch_size=1)
    np.testing.assert_allclose(ours.predict(PAIRS), expected, rtol=0, atol=5e-6)
