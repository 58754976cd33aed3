"""Compares the real models with live sentence-transformers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.reference.conftest import encode_alone
from tests.reference.texts import SCRIPTS, docstrings, odd_texts, texts_around_limit


@pytest.fixture(scope="module", params=["minilm", "mpnet"])
def pair(request):
    """A model in Pellucid and in sentence-transformers."""
    ours = request.getfixturevalue(request.param)
    return ours, request.getfixturevalue(f"reference_{request.param}")


def test_the_vectors_match_the_reference(pair):
    ours, theirs = pair
    count = 400 if ours.dimensions < 500 else 60
    texts = [*docstrings()[:count], *odd_texts(count), *SCRIPTS, *texts_around_limit(ours.max_tokens), "", " "]
    np.testing.assert_allclose(ours.embed_documents(texts), encode_alone(theirs, texts), rtol=0, atol=2e-6)


def test_dimensions_and_max_tokens_match_the_reference(pair):
    ours, theirs = pair
    assert ours.dimensions == theirs.get_sentence_embedding_dimension()
    assert ours.max_tokens == theirs.max_seq_length


@pytest.mark.parametrize(
    ("our_options", "their_options"),
    [
        ({"normalize": True}, {"normalize_embeddings": True}),
        ({"truncate_dim": 50}, {"truncate_dim": 50}),
        ({"truncate_dim": 50, "normalize": True}, {"truncate_dim": 50, "normalize_embeddings": True}),
        ({"prompt": "query: "}, {"prompt": "query: "}),
    ],
)
def test_options_work_as_in_the_reference(minilm, reference_minilm, our_options, their_options):
    texts = [*SCRIPTS, *docstrings()[:30]]
    expected = encode_alone(reference_minilm, texts, **their_options)
    np.testing.assert_allclose(minilm.embed_documents(texts, **our_options), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "binary", "ubinary"])
def test_small_output_types_match_the_reference(minilm, reference_minilm, dtype):
    texts = docstrings()[:150]
    expected = encode_alone(reference_minilm, texts, precision=dtype)
    result = minilm.embed_documents(texts, output_dtype=dtype)
    assert (result.dtype, result.shape) == (expected.dtype, expected.shape)
    # Rounding may move a value that is very close to the edge of a step to the other side. For bits, the edge is zero.
    different = result != expected
    assert different.mean() < 0.001
    if "int8" in dtype:
        assert np.abs(result.astype(int) - expected.astype(int)).max() <= 1


def test_queries_and_documents_match_the_reference(minilm, reference_minilm):
    texts = SCRIPTS[:3]
    np.testing.assert_allclose(minilm.embed_query(texts[0]), reference_minilm.encode_query(texts[0]), rtol=0, atol=2e-6)
    np.testing.assert_allclose(
        minilm.embed_documents(texts), reference_minilm.encode_document(texts, batch_size=1), rtol=0, atol=2e-6
    )
