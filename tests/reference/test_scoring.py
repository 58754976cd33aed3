"""Compares models with a head that Pellucid and sentence-transformers' CrossEncoder load from the same folder."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid import Classifier, Reranker
from tests import tiny
from tests.reference.conftest import cross_encoder
from tests.reference.texts import SCRIPTS, odd_texts

PAIRS = [
    *tiny.PAIRS,
    *((SCRIPTS[n - 1], SCRIPTS[n]) for n in range(len(SCRIPTS))),
    *zip(odd_texts(60), odd_texts(60, seed=1), strict=True),
]


@pytest.mark.parametrize("max_tokens", [8, 23, 24, 38])
@pytest.mark.parametrize("labels", [1, 2, 3])
def test_scores_and_probabilities(family, tmp_path, labels, max_tokens):
    folder = tiny.write_scoring_model(tmp_path / "m", family, labels, max_tokens=max_tokens)
    theirs = cross_encoder(folder)
    assert theirs.max_seq_length == max_tokens
    expected = theirs.predict(PAIRS, batch_size=1)
    ours = Classifier(folder, on_truncation="cut")
    assert ours.max_tokens == max_tokens
    assert ours.labels == tuple(theirs.config.id2label[number] for number in range(labels))
    if labels == 1:
        scores = Reranker(folder, on_truncation="cut").score_pairs(PAIRS)
        np.testing.assert_allclose(scores, expected, rtol=0, atol=5e-6)
        np.testing.assert_allclose(ours.probabilities(PAIRS)[:, 0], expected, rtol=0, atol=5e-6)
    else:
        # Logits may be of any size, and the last bits of float32 grow with it.
        np.testing.assert_allclose(ours.logits(PAIRS), expected, rtol=0, atol=5e-6 * max(1, np.abs(expected).max()))
        expected = theirs.predict(PAIRS, batch_size=1, apply_softmax=True)
        np.testing.assert_allclose(ours.probabilities(PAIRS), expected, rtol=0, atol=5e-6)
