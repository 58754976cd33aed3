from __future__ import annotations

import functools
import json

import numpy as np
import pytest

from pellucid import MultiVectorEmbedder
from pellucid.errors import InputError, UnsupportedModelError
from pellucid.explain.alignment import align
from tests.multi_vector_models import FIXED, TEXTS, write_model

QUERY, DOCUMENT = "the cat", "A dog, the cat sat!"


@pytest.fixture(scope="module")
def task(tmp_path_factory) -> MultiVectorEmbedder:
    folder = tmp_path_factory.mktemp("models") / "m"
    write_model(folder, expansion=FIXED, prompts={"query": "query: "}, document_length=20)
    return MultiVectorEmbedder(folder, on_truncation="cut")


@pytest.mark.parametrize("text", TEXTS)
def test_the_parts_add_up_to_the_score(task, text):
    found = task.explain(QUERY, text)
    assert found.score == task.maxsim(QUERY, [text])[0]
    assert np.float32(functools.reduce(lambda a, b: a + b, map(float, found.parts))) == np.float32(found.score)
    assert found.similarities.shape == (len(found.query.tokens), len(found.document.tokens))
    np.testing.assert_array_equal(found.parts, found.similarities.max(axis=1))
    rows = np.arange(len(found.matches))
    np.testing.assert_array_equal(found.parts, found.similarities[rows, found.matches])


def test_the_tokens(task):
    found = task.explain(QUERY, DOCUMENT)
    assert [token.piece for token in found.query.tokens][:6] == ["[CLS]", "query", ":", "the", "cat", "[SEP]"]
    assert [token.piece for token in found.query.tokens][6:] == ["[MASK]"] * 6
    assert [token.piece for token in found.document.tokens] == ["[CLS]", "a", "dog", "the", "cat", "sat", "[SEP]"]
    assert [token.piece for token in found.document.skipped] == [",", "!"]
    whole = found.query.prompt + found.query.text
    assert [whole[token.start : token.end] for token in found.query.tokens][3:5] == ["the", "cat"]
    assert len(task.explain(QUERY, "the " * 30).document.cut) == 12


def test_the_words_for_a_terminal(task):
    found = task.explain(QUERY, DOCUMENT)
    first, *lines = str(found).splitlines()
    assert first == f"The score is {found.score:.4f}, the sum of the similarities of 12 tokens."
    assert len(lines) == 12
    assert lines[3].split()[-3:] == ["the", "→", found.document.tokens[found.matches[3]].piece]
    assert repr(found) == f"Alignment(score={found.score:.4f}, 12 × 7 tokens)"


def test_json(task):
    found = task.explain(QUERY, DOCUMENT)
    values = json.loads(found.to_json())
    assert values["score"] == found.score
    assert values["matches"] == found.matches.tolist()
    assert np.array(values["similarities"], np.float32).tobytes() == found.similarities.tobytes()
    assert "similarities" not in json.loads(found.to_json(arrays=False))


def test_merged_vectors_are_of_no_token(tmp_path):
    with pytest.raises(UnsupportedModelError, match="merges vectors"):
        MultiVectorEmbedder(write_model(tmp_path / "m", pooling={"pool_factor": 2})).explain(QUERY, DOCUMENT)
    folder = write_model(tmp_path / "n", pooling={"pool_factor": 1, "normalize_embeddings": True}, normalize=False)
    task = MultiVectorEmbedder(folder)
    assert task.explain(QUERY, DOCUMENT).score == task.maxsim(QUERY, [DOCUMENT])[0]


def test_a_vector_for_each_token(task):
    found = task.explain(QUERY, DOCUMENT)
    vectors = np.ones((12, task.dimensions), np.float32)
    with pytest.raises(InputError, match="one vector for each token"):
        align(task.encoder, found.query, found.document, vectors, vectors)
