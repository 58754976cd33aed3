"""Compares vectors of tokens, and MaxSim, with those of sentence-transformers' ``MultiVectorEncoder``."""

from __future__ import annotations

import numpy as np
import pytest
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.util import maxsim

from pellucid import MultiVectorEmbedder, MultiVectors
from pellucid.errors import UnsupportedModelError
from tests import multi_vector_models, tiny
from tests.multi_vector_models import FIXED, TEXTS, add_tokens, write_model, write_pylate, write_stanford
from tests.reference.texts import odd_texts

FAMILIES = ["bert", "modernbert", "roberta", "distilbert", "mpnet", "xlm-roberta", "electra", "albert"]
ATTENDED = FIXED | {"attend": True}
AT_LEAST = FIXED | {"strategy": "min"}


def live(folder, **options):
    return MultiVectorEncoder(str(folder), device="cpu", **options)


def assert_same(folder, texts=TEXTS, **options):
    """Queries, documents and scores are those of the live class, on both engines."""
    theirs = live(folder)
    queries = theirs.encode_query(list(texts), batch_size=3, convert_to_numpy=True, **options)
    documents = theirs.encode_document(list(texts), batch_size=3, convert_to_numpy=True, **options)
    scores = maxsim(queries, documents).numpy()
    for engine in ("native", "reference"):
        ours = MultiVectorEmbedder(folder, engine=engine, on_truncation="cut")
        assert ours.dimensions == theirs.get_embedding_dimension()
        for vectors, expected in (
            (ours.embed_queries(texts, **options), queries),
            (found := ours.embed_documents(texts, **options), documents),
        ):
            assert [len(each) for each in vectors] == [len(each) for each in expected]
            for each, other in zip(vectors, expected, strict=True):
                np.testing.assert_allclose(each, other.reshape(each.shape), rtol=0, atol=5e-6)
        for query, row in zip(queries, scores, strict=True):
            np.testing.assert_allclose(ours.maxsim(query, found), row, rtol=0, atol=5e-6 * max(1, len(query)))
    return found


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("expansion", [None, FIXED, ATTENDED, AT_LEAST], ids=["none", "fixed", "attended", "min"])
def test_families(tmp_path, family, expansion):
    assert_same(write_model(tmp_path / "m", family, expansion=expansion, document_length=20))


@pytest.mark.parametrize("family", ["bert", "modernbert", "roberta"])
def test_odd_texts(tmp_path, family):
    assert_same(write_model(tmp_path / "m", family, expansion=FIXED), odd_texts(60))


@pytest.mark.parametrize(
    "options",
    [
        {"dense": (10, 8, 5)},
        {"normalize": False},
        {"dense": ()},
        {"mask": {"skiplist_tasks": ["query", "document"]}, "expansion": FIXED},
        {"mask": {"skiplist_tasks": "query"}},
        {"mask": {"keep_only_token_ids": [2, 3, 40, 41, 45]}, "expansion": FIXED},
        {"mask": {"left out": True}, "expansion": FIXED},
        {"mask": {"left out": True}, "expansion": ATTENDED},
        {"skipped": ("[UNK]", "the", "[MASK]"), "expansion": FIXED},
        {"expansion": FIXED | {"token": "[UNK]"}},
        {"expansion": AT_LEAST, "query_length": 15, "document_length": 8},
        {"query_length": 9},
        {"prompts": {"query": "query: ", "document": "passage: "}, "expansion": FIXED},
    ],
    ids=str,
)
def test_settings(tmp_path, options):
    assert_same(write_model(tmp_path / "m", **options))


@pytest.mark.parametrize("factor", [1, 2, 3.5])
@pytest.mark.parametrize(
    "more", [{}, {"num_protected_tokens": 3, "tasks": ["query", "document"]}], ids=["usual", "more"]
)
@pytest.mark.parametrize("normalize", [None, True])
def test_token_pooling(tmp_path, factor, more, normalize):
    pooling = {"pool_factor": factor, **more} | ({} if normalize is None else {"normalize_embeddings": normalize})
    assert_same(write_model(tmp_path / "m", "roberta", pooling=pooling))


@pytest.mark.parametrize("kind", ["ColBERT", "SentenceTransformer", None])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"do_query_expansion": False, "skiplist_words": []},
        {"attend_to_expansion_tokens": True, "skiplist_words": ["the", "."]},
        {"prompts": {"query": "[Q] find: ", "document": "this: "}, "query_length": None},
    ],
    ids=str,
)
def test_pylate(tmp_path, kind, settings):
    assert_same(write_pylate(tmp_path / "m", kind=kind, **settings))


@pytest.mark.parametrize("tokens", [("[Q] ", "[D] "), ("[Q]", "[D]")], ids=["with space", "without"])
@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_markers_in_the_vocabulary(tmp_path, family, tokens):
    assert_same(add_tokens(write_pylate(tmp_path / "m", family), *tokens))


@pytest.mark.parametrize(
    "metadata",
    [{}, {"mask_punctuation": False, "attend_to_mask_tokens": True}, {"query_token_id": "[Q]", "doc_token_id": "[D]"}],
    ids=str,
)
def test_stanford(tmp_path, metadata):
    folder = write_stanford(tmp_path / "m", **metadata)
    assert_same(folder)
    assert_same(add_tokens(folder, "[unused0]", "[unused1]", "[Q]"))


def test_stanford_without_metadata(tmp_path):
    folder = write_stanford(tmp_path / "m")
    (folder / "artifact.metadata").unlink()
    with pytest.raises(Exception, match="linear.weight"):  # The width is 128 then.
        MultiVectorEmbedder(folder)


def test_texts_that_no_task_names(tmp_path):
    folder = write_model(tmp_path / "m", expansion=FIXED, document_length=8)
    expected = live(folder).encode(TEXTS, convert_to_numpy=True, normalize_embeddings=True)
    ours = MultiVectorEmbedder(folder, on_truncation="cut").embed_as("text", TEXTS, "", normalize=True)
    for each, other in zip(ours, expected, strict=True):
        np.testing.assert_allclose(each, other.reshape(each.shape), rtol=0, atol=5e-6)


def test_expansion_beyond_the_window(tmp_path):
    """Tokens that fill up a query, and whose window has none of its own tokens."""
    folder = write_model(tmp_path / "m", "modernbert", expansion=FIXED | {"length": 30})
    assert_same(folder)


def test_no_vectors_at_all(tmp_path):
    folder = write_model(tmp_path / "m", mask={"keep_only_token_ids": [10_000]})
    theirs, ours = live(folder), MultiVectorEmbedder(folder)
    query, documents = theirs.encode_query("the cat"), theirs.encode_document(["the", "dog"])
    assert [len(each) for each in documents] == [0, 0]
    np.testing.assert_array_equal(
        theirs.similarity(query, documents).numpy()[0], ours.maxsim("the cat", ["the", "dog"])
    )
    assert ours.maxsim("the cat", []).shape == (0,)
    assert isinstance(ours.embed_documents([]), MultiVectors)
    assert ours.embed_documents([]).vectors.shape == (0, multi_vector_models.WIDTH)
    assert tiny.HIDDEN != multi_vector_models.WIDTH


def test_the_torch_engine(tmp_path):
    """It cannot leave out keys, but it can do all else."""
    with pytest.raises(UnsupportedModelError, match="engine='torch' cannot do that. Use engine='native'"):
        MultiVectorEmbedder(write_model(tmp_path / "m", expansion=FIXED), engine="torch")
    folder = write_model(tmp_path / "n", expansion=ATTENDED)
    ours, torch = (MultiVectorEmbedder(folder, engine=engine, on_truncation="cut") for engine in ("native", "torch"))
    for method in ("embed_queries", "embed_documents"):
        found, expected = (getattr(task, method)(TEXTS) for task in (torch, ours))
        np.testing.assert_array_equal(found.offsets, expected.offsets)
        np.testing.assert_allclose(found.vectors, expected.vectors, rtol=0, atol=5e-6)
    np.testing.assert_allclose(torch.maxsim("the cat", TEXTS), ours.maxsim("the cat", TEXTS), rtol=1e-6, atol=1e-4)
