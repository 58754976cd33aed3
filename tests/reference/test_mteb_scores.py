"""examples/mteb_scores.py, compared with mteb's own use of sentence-transformers."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from pellucid import Embedder
from tests import tiny
from tests.reference.conftest import load_reference

PATH = Path(__file__).parents[2] / "examples" / "mteb_scores.py"
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("mteb_scores", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_score_is_that_of_sentence_transformers(example, minilm):
    folder = minilm.files.folder
    expected = example.main_scores(load_reference(folder), [example.SameSubject()])
    assert example.main_scores(example.PellucidEncoder(str(folder)), [example.SameSubject()]) == pytest.approx(expected)
    assert 0.4 < expected["SameSubject"] < 0.9


def test_each_dtype_has_a_score_of_its_own(example, monkeypatch, minilm):
    monkeypatch.setattr(example, "MODEL", str(minilm.files.folder))
    scores = {dtype: found["SameSubject"] for dtype, found in example.main([]).items()}
    assert list(scores) == ["float32", "int16", "int8"]
    assert scores["int8"] != scores["float32"]
    assert scores == pytest.approx(dict.fromkeys(scores, scores["float32"]), abs=0.02)


def test_queries_get_the_prompt_for_queries(example, tmp_path):
    folder = tiny.write_model(tmp_path / "m", prompts={"query": "the cat "})
    encoder, embedder = example.PellucidEncoder(str(folder)), Embedder(folder)
    batches = [{"text": ["a dog", "the mat"]}, {"text": ["a cat"]}]
    texts = ["a dog", "the mat", "a cat"]
    queries = encoder.encode(batches, prompt_type=example.PromptType.query, task_metadata=None)
    np.testing.assert_array_equal(queries, np.stack([embedder.embed_query(text) for text in texts]))
    documents = encoder.encode(batches, prompt_type=example.PromptType.document)
    np.testing.assert_array_equal(documents, embedder.embed_documents(texts))
    np.testing.assert_array_equal(encoder.encode(batches), documents)


def test_similarities_are_cosines(example, minilm):
    encoder = example.PellucidEncoder(str(minilm.files.folder))
    first, second = np.float32([[3, 4], [0, 2]]), np.float32([[4, 3], [0, -1]])
    np.testing.assert_allclose(encoder.similarity(first, second), [[0.96, -0.8], [0.6, -1]], rtol=1e-6)
    np.testing.assert_allclose(encoder.similarity_pairwise(first, second), [0.96, -1], rtol=1e-6)
