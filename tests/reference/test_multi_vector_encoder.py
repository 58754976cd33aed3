"""Compares ``MultiVectorEncoder`` and ``util.maxsim`` with those of sentence-transformers."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import sentence_transformers
import torch
from sentence_transformers import util as their_util

from pellucid.errors import InputError, OptionError
from pellucid.sentence_transformers import MultiVectorEncoder, util
from tests.multi_vector_models import FIXED, TEXTS, write_model, write_pylate

OURS_ALONE = {"dtype", "engine", "threads", "on_truncation", "cache"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    prompts = {"query": "query: ", "document": "the ", "other": "cat "}
    return write_model(
        tmp_path_factory.mktemp("m") / "m", expansion=FIXED, document_length=15, normalize=False, prompts=prompts
    )


@pytest.fixture(scope="module")
def ours(folder):
    return MultiVectorEncoder(folder, on_truncation="cut")


@pytest.fixture(scope="module")
def theirs(folder):
    return sentence_transformers.MultiVectorEncoder(str(folder), device="cpu")


def assert_close(ours, theirs):
    assert type(ours) is type(theirs)
    if isinstance(ours, list):
        assert len(ours) == len(theirs)
        for each, other in zip(ours, theirs, strict=True):
            assert_close(each, other)
        return
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=1e-6, atol=5e-6)


@pytest.mark.parametrize("method", ["encode", "encode_query", "encode_document"])
@pytest.mark.parametrize("convert_to_numpy", [True, False])
@pytest.mark.parametrize(
    "options",
    [{}, {"normalize_embeddings": True}, {"prompt_name": "other"}, {"prompt": "dog "}, {"batch_size": 2}],
    ids=str,
)
def test_methods(ours, theirs, method, convert_to_numpy, options):
    options = {**options, "convert_to_numpy": convert_to_numpy}
    assert_close(getattr(ours, method)(TEXTS, **options), getattr(theirs, method)(TEXTS, **options))
    assert_close(getattr(ours, method)("the cat", **options), getattr(theirs, method)("the cat", **options))


@pytest.mark.parametrize("task", ["query", "document", None])
def test_tasks(ours, theirs, task):
    options = {"task": task, "convert_to_numpy": True}
    assert_close(ours.encode(TEXTS, **options), theirs.encode(TEXTS, **options))


def test_what_programs_read(ours, theirs):
    for name in ("prompts", "default_prompt_name", "similarity_fn_name", "max_seq_length"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.get_embedding_dimension() == theirs.get_embedding_dimension()
    assert ours.get_model_kwargs() == theirs.get_model_kwargs()


def test_prompts_of_pylate(tmp_path):
    folder = write_pylate(tmp_path / "m")
    ours, theirs = MultiVectorEncoder(folder), sentence_transformers.MultiVectorEncoder(str(folder), device="cpu")
    assert ours.prompts == theirs.prompts == {"query": "[Q] ", "document": "[D] "}
    own = {"prompts": {"query": "q: "}}
    ours = MultiVectorEncoder(folder, **own)
    theirs = sentence_transformers.MultiVectorEncoder(str(folder), device="cpu", **own)
    assert ours.prompts == theirs.prompts


@pytest.mark.parametrize("name", ["maxsim", "meanmaxsim"])
@pytest.mark.parametrize("kind", ["arrays", "tensors"])
def test_similarity(folder, name, kind):
    ours = MultiVectorEncoder(folder, similarity_fn_name=name, on_truncation="cut")
    theirs = sentence_transformers.MultiVectorEncoder(str(folder), device="cpu", similarity_fn_name=name)
    queries = theirs.encode_query(TEXTS[:5], convert_to_numpy=kind == "arrays")
    documents = theirs.encode_document(TEXTS[:5], convert_to_numpy=kind == "arrays")
    for method in ("similarity", "similarity_pairwise"):
        found = getattr(ours, method)(queries, documents)
        expected = getattr(theirs, method)(queries, documents)
        assert isinstance(found, np.ndarray if kind == "arrays" else torch.Tensor)  # Theirs is always a tensor.
        np.testing.assert_allclose(np.asarray(found), expected.numpy(), rtol=1e-6, atol=5e-6)
        single = getattr(ours, method)(queries[0], documents[1])
        np.testing.assert_allclose(single, getattr(theirs, method)(queries[0], documents[1]), rtol=1e-6, atol=5e-6)


@pytest.mark.parametrize("name", ["maxsim", "maxsim_pairwise", "mean_maxsim", "mean_maxsim_pairwise"])
def test_functions(name):
    rng = np.random.RandomState(0)
    a, b = (rng.standard_normal((4, n, 8)).astype(np.float32) for n in (5, 9))
    a[1, 3:], b[2, 4:], b[3] = 0, 0, 0
    lists = [list(a), [b[0], b[1][:3], b[2][:0], b[3][:1]]]
    masks = {"a_mask": rng.rand(4, 5) < 0.7, "b_mask": rng.rand(4, 9) < 0.5}
    function, expected = getattr(util, name), getattr(their_util, name)
    calls = [(a, b, {}), (*lists, {}), (a, b, {key: torch.from_numpy(mask) for key, mask in masks.items()})]
    calls += [
        (a[0], b[0], {}),
        (a, b, {"length_normalize": "mean" not in name}),
        (a[:0], b[:0], {}),
        (a, b, {"device": "cpu"}),
    ]
    for first, second, options in calls:
        found = function(first, second, **options)
        np.testing.assert_allclose(found, expected(first, second, **options).numpy(), rtol=1e-6, atol=5e-6)
    assert isinstance(function(torch.from_numpy(a), torch.from_numpy(b)), torch.Tensor)


@pytest.mark.parametrize("method", ["__init__", "encode"])
def test_every_option_is_there(method):
    theirs = inspect.signature(getattr(sentence_transformers.MultiVectorEncoder, method)).parameters
    ours = inspect.signature(getattr(MultiVectorEncoder, method)).parameters
    assert set(theirs) - {"kwargs"} <= set(ours)
    assert set(ours) - set(theirs) <= OURS_ALONE | {"processing_kwargs"}
    for name, option in theirs.items():
        if name not in ("kwargs", "convert_to_numpy"):
            assert ours[name].default == option.default, name


def test_what_is_refused(ours):
    for options in ({"output_value": None}, {"token_pooling": object()}, {"task": "other"}, {"device": "cuda"}):
        with pytest.raises((OptionError, ValueError)):
            ours.encode(["a"], **options)
    with pytest.raises(OptionError):
        ours.similarity_fn_name = "cosine"
    with pytest.raises(InputError):
        util.maxsim([np.ones((2, 3), np.float32)], [np.ones((2, 4), np.float32)])
