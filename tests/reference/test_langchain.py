"""Compares the drop-in class with the class of langchain-huggingface that it replaces."""

from __future__ import annotations

import asyncio
import copy
import pickle

import numpy as np
import pytest
from langchain_huggingface import HuggingFaceEmbeddings as Theirs

from pellucid.langchain import HuggingFaceEmbeddings as Ours

TEXTS = ["The cat sat on the mat", "Two\nlines\r\nof text", "", "Ünïcödé 你好", "word " * 400]
PROMPTS = {"query": "query: ", "mine": "my prompt: "}


@pytest.fixture(scope="module")
def folder(minilm) -> str:
    return str(minilm.files.folder)


def both(folder, **fields):
    """Pellucid's class and the original, made with the same fields."""
    return Ours(model_name=folder, **fields), Theirs(model_name=folder, **fields)


def test_fields_and_their_defaults_are_the_same():
    def fields(cls):
        return {name: (field.alias, field.default, field.annotation) for name, field in cls.model_fields.items()}

    assert fields(Ours) == fields(Theirs)
    assert {key: Ours.model_config.get(key) for key in Theirs.model_config} == Theirs.model_config


@pytest.mark.parametrize("fields", [{}, {"encode_kwargs": {"normalize_embeddings": True}, "show_progress": True}])
def test_the_repr_is_the_same(folder, fields):
    ours, theirs = both(folder, **fields)
    assert repr(ours) == repr(theirs)
    assert str(ours) == str(theirs)
    assert ours.model_dump() == theirs.model_dump()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"model_kwargs": {"device": "cpu"}, "encode_kwargs": {"normalize_embeddings": False, "batch_size": 1}},
        {"encode_kwargs": {"normalize_embeddings": True, "truncate_dim": 100}},
        {"model_kwargs": {"truncate_dim": 64}, "query_encode_kwargs": {"normalize_embeddings": True}},
        {"model_kwargs": {"truncate_dim": 64}, "encode_kwargs": {"truncate_dim": 1000}},
        {"model_kwargs": {"prompts": PROMPTS}, "query_encode_kwargs": {"prompt_name": "query"}},
        {"model_kwargs": {"prompts": PROMPTS, "default_prompt_name": "mine"}},
        {"model_kwargs": {"prompts": PROMPTS, "default_prompt_name": "mine"}, "encode_kwargs": {"prompt": ""}},
        {"encode_kwargs": {"prompt": "search: ", "convert_to_tensor": True}},
        {"encode_kwargs": {"prompt_name": "document"}},
        {"model_kwargs": {"prompts": {"query": None, "mine": None}}, "encode_kwargs": {"prompt_name": "mine"}},
        {"encode_kwargs": {"convert_to_numpy": False, "convert_to_tensor": True, "chunk_size": 5, "precision": None}},
        {"model_kwargs": {"default_prompt_name": "query"}, "encode_kwargs": {"truncate_dim": np.int64(999)}},
    ],
)
def test_vectors_are_the_same(folder, fields):
    ours, theirs = both(folder, **fields)
    documents = ours.embed_documents(TEXTS)
    np.testing.assert_allclose(documents, theirs.embed_documents(TEXTS), rtol=0, atol=2e-6)
    for text in TEXTS:
        query = ours.embed_query(text)
        np.testing.assert_allclose(query, theirs.embed_query(text), rtol=0, atol=2e-6)
        assert {type(number) for number in query} == {float}
    assert asyncio.run(ours.aembed_documents(TEXTS)) == documents
    assert ours.embed_documents([]) == theirs.embed_documents([]) == []


@pytest.mark.parametrize("precision", ["uint8", "ubinary"])
def test_small_types_are_the_same(folder, precision):
    ours, theirs = both(folder, encode_kwargs={"precision": precision})
    result, expected = (np.array(embeddings.embed_documents(TEXTS)) for embeddings in (ours, theirs))
    # The largest number of a dimension lies exactly on the edge of the last step, so rounding decides on which side.
    assert np.abs(result - expected).max() <= (1 if precision == "uint8" else 0)
    assert (result != expected).mean() < 0.02
    assert type(ours.embed_documents(TEXTS)[0][0]) is type(theirs.embed_documents(TEXTS)[0][0])


@pytest.mark.parametrize(
    "fields",
    [
        {"foo": 1},
        {"encode_kwargs": {"foo": 1}},
        {"encode_kwargs": {"prompt_name": "nothing"}},
        {"encode_kwargs": {"show_progress_bar": True}},
        {"encode_kwargs": {"precision": "int4"}},
        {"encode_kwargs": {"precision": ""}},
        {"encode_kwargs": {"prompt_name": ""}},
        {"encode_kwargs": {"convert_to_numpy": False}},
        {"model_kwargs": {"use_auth_token": "hf_a", "token": "hf_b"}},
        {"encode_kwargs": {"output_value": "token_embeddings"}},
        {"model_kwargs": {"foo": 1}},
        {"model_kwargs": {"default_prompt_name": "nothing"}},
    ],
)
@pytest.mark.filterwarnings("ignore:.*use_auth_token:FutureWarning")
def test_the_same_fields_are_errors(folder, fields):
    for cls in (Ours, Theirs):
        with pytest.raises((ValueError, TypeError)):
            cls(model_name=folder, **fields).embed_query("a text")


@pytest.mark.parametrize(
    ("model_kwargs", "category"), [({"backend": "ipex"}, UserWarning), ({"use_auth_token": False}, FutureWarning)]
)
def test_deprecated_keys_give_the_same_warning_and_are_stored_in_the_same_way(folder, model_kwargs, category):
    stored = []
    for cls in (Ours, Theirs):
        with pytest.warns(category):
            stored.append(cls(model_name=folder, model_kwargs=dict(model_kwargs)).model_kwargs)
    assert stored[0] == stored[1]


@pytest.mark.parametrize("make_copy", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])  # noqa: S301  our own
def test_copies_are_equal(folder, make_copy):
    for cls in (Ours, Theirs):
        embeddings = cls(model_name=folder)
        assert make_copy(embeddings) == embeddings
        assert make_copy(embeddings).embed_query("a cat") == embeddings.embed_query("a cat")
