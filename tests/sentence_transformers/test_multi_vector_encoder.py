"""``tests/reference`` compares this class with the live one. These tests need no PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid import MultiVectorEmbedder
from pellucid.errors import InputError, OptionError, TextTypeError
from pellucid.sentence_transformers import MultiVectorEncoder, util
from tests.multi_vector_models import FIXED, TEXTS, WIDTH, write_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    prompts = {"query": "query: ", "document": "the ", "other": "cat "}
    return write_model(
        tmp_path_factory.mktemp("m") / "m", expansion=FIXED, document_length=15, normalize=False, prompts=prompts
    )


@pytest.fixture(scope="module")
def model(folder):
    return MultiVectorEncoder(folder, on_truncation="cut")


@pytest.fixture(scope="module")
def task(folder):
    return MultiVectorEmbedder(folder, on_truncation="cut")


def test_vectors_are_those_of_the_task(model, task):
    for method, vectors in (
        ("encode_query", task.embed_queries(TEXTS)),
        ("encode_document", task.embed_documents(TEXTS)),
        ("encode", task.embed_as("text", TEXTS, "")),
    ):
        found = getattr(model, method)(TEXTS)
        assert isinstance(found, list)
        assert [each.tobytes() for each in found] == [each.tobytes() for each in vectors]
        assert all(each.base is None for each in found)
        single = getattr(model, method)(TEXTS[3])
        assert single.tobytes() == found[3].tobytes()
    assert model.encode_document([]) == []


def test_a_cache_gives_the_same_vectors(folder, model, tmp_path, texts_run):
    cached = MultiVectorEncoder(folder, on_truncation="cut", cache=tmp_path / "vectors.db")
    for method in ("encode_query", "encode_document", "encode"):
        expected = [each.tobytes() for each in getattr(model, method)(TEXTS, normalize_embeddings=True)]
        for _ in range(2):
            found = getattr(cached, method)(TEXTS, normalize_embeddings=True)
            assert [each.tobytes() for each in found] == expected
    assert texts_run == [len(TEXTS), len(TEXTS), 0] * 3


def test_options(model, task):
    assert np.linalg.norm(model.encode("the cat", normalize_embeddings=True), axis=1) == pytest.approx(np.ones(4))
    found = model.encode_query("the cat", prompt_name="other")
    assert found.tobytes() == task.embed_query("the cat", prompt="cat ").tobytes()
    assert model.encode("the cat", task="query", prompt="query: ").tobytes() == task.embed_query("the cat").tobytes()
    assert model.encode_query(sentences="the").shape == (12, WIDTH)


def test_scores(model, task):
    queries, documents = model.encode_query(TEXTS[:3]), model.encode_document(TEXTS)
    scores = model.similarity(queries, documents)
    assert scores.tobytes() == np.stack([task.maxsim(text, TEXTS) for text in TEXTS[:3]]).tobytes()
    pairs = model.similarity_pairwise(queries, documents[:3])
    assert pairs.tolist() == [scores[place, place] for place in range(3)]
    assert model.similarity(queries, documents, length_normalize=True) == pytest.approx(scores / 12, rel=1e-6)
    other = MultiVectorEncoder(model.embedder.files.folder, similarity_fn_name="meanmaxsim")
    assert other.similarity(queries, documents) == pytest.approx(scores / 12, rel=1e-6)
    other.similarity_fn_name = None
    assert other.similarity_fn_name == "maxsim"


def test_vectors_with_padding():
    a = np.array([[[1, 0], [0, 1]], [[2, 0], [0, 0]]], dtype=np.float32)
    b = np.array([[[1, 1], [-1, -1]], [[-3, -3], [0, 0]], [[0, 0], [0, 0]]], dtype=np.float32)
    assert util.maxsim(a, b).tolist() == [[2, -6, -1e9], [2, -6, -1e9]]
    assert util.maxsim(a, b, b_mask=np.array([[0, 1], [1, 1], [1, 0]])).tolist() == [[-2, 0, 0], [-2, 0, 0]]
    assert util.maxsim(a[1], b[0]).tolist() == [[2 + 0]]
    assert util.mean_maxsim(a, b)[:, :2].tolist() == [[1, -3], [2, -6]]
    assert util.maxsim_pairwise(a, b[:2]).tolist() == [2, -6]
    assert util.mean_maxsim_pairwise(list(a), list(b[:2])).tolist() == [1, 0]
    assert util.maxsim([], b).shape == (0, 3)


@pytest.mark.parametrize(
    ("a", "b", "options", "message"),
    [
        ([[1.0]], [np.ones((2, 1))], {}, r"must be vectors, \[t, d\]"),
        (np.ones((2, 3)), np.ones((2, 4)), {}, "numbers"),
        ([np.ones((2, 3))], [np.ones((1, 3)), np.ones((1, 4))], {}, "different lengths"),
        ([np.ones((2, 3))], [np.ones((1, 3))], {"a_mask": [np.ones(1)]}, "a number for each vector"),
        ([np.ones((2, 3))], [np.ones((1, 3))], {"b_mask": []}, "0 rows"),
        ([np.ones((2, 3))], [np.full((1, 3), np.nan)], {}, "not finite"),
        ([np.ones((2, 3))], [np.ones((1, 3))], {"device": "cuda"}, "cuda"),
    ],
)
def test_vectors_that_do_not_fit(a, b, options, message):
    with pytest.raises((InputError, OptionError), match=message):
        util.maxsim(a, b, **options)


def test_pairs_must_be_as_many():
    with pytest.raises(InputError, match="must have as many"):
        util.maxsim_pairwise([np.ones((1, 2))], [])


def test_what_is_refused(model, folder):
    for options in ({"output_value": None}, {"token_pooling": 1}, {"task": "other"}, {"device": "cuda"}, {"pool": 1}):
        with pytest.raises(OptionError):
            model.encode(["a"], **options)
    with pytest.raises(OptionError, match="'cosine' is not one of 'maxsim', 'meanmaxsim'"):
        model.similarity_fn_name = "cosine"
    with pytest.raises(OptionError, match="max_seq_length"):
        model.max_seq_length = 3
    with pytest.raises(OptionError, match="processor_kwargs"):
        MultiVectorEncoder(folder, processor_kwargs={"model_max_length": 7})
    with pytest.raises(TypeError, match="no option 'convert_to_tensor'"):
        model.encode("a", convert_to_tensor=True)
    with pytest.raises(TypeError, match="no modules of PyTorch"):
        model[0]
    with pytest.raises(TypeError, match="is no module of PyTorch"):
        model({})
    with pytest.raises(TextTypeError):
        model.encode([1])


def test_what_programs_read(model):
    assert model.prompts == {"query": "query: ", "document": "the ", "other": "cat "}
    assert (model.max_seq_length, model.get_embedding_dimension(), model.device) == (24, WIDTH, "cpu")
    assert repr(model).startswith("MultiVectorEncoder('")
    assert model.get_model_kwargs() == ["task"]
    model.max_seq_length = 24
