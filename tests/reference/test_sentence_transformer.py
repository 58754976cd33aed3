"""Compares the drop-in class with sentence-transformers' SentenceTransformer, option by option."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer as Theirs
from sentence_transformers import util as their_util

from pellucid.sentence_transformers import SentenceTransformer as Ours
from pellucid.sentence_transformers import util as our_util
from tests import tiny
from tests.reference.conftest import assert_same

TEXTS = ["the cat", "", "a dog sat on the mat", "the cat " * 60, "Ünïcödé 日本語", "the cat", "?"]
OWN_OPTIONS = {"dtype", "engine", "threads", "cache", "max_tokens", "on_truncation"}
PROMPTS = {"query": "the ", "passage": "a dog ", "web": "mat "}
MODELS = {
    "plain": {},
    "normalized": {"modules": ["Pooling", "Dense", "LayerNorm", "Normalize"]},
    "prompts": {"prompts": PROMPTS},
    "default prompt": {"prompts": PROMPTS, "default_prompt_name": "web"},
    "settings": {"settings": {"similarity_fn_name": "dot", "truncate_dim": 5}},
}


@pytest.fixture(scope="module", params=MODELS)
def folder(request, tmp_path_factory):
    options = dict(MODELS[request.param])
    settings = options.pop("settings", {})
    folder = tiny.write_model(tmp_path_factory.mktemp("models") / "m", **options)
    tiny.edit_json(folder / "config_sentence_transformers.json", **settings)
    return folder


def both(folder, **options):
    theirs = Theirs(str(folder), device="cpu", local_files_only=True, **options)
    return Ours(folder, on_truncation="cut", **options), theirs


@pytest.fixture(scope="module")
def pair(folder):
    return both(folder)


def as_tensors(result):
    """Of tokens, theirs are always tensors, and ours are arrays unless you ask for tensors."""
    if isinstance(result, list):
        return [as_tensors(each) for each in result]
    return {name: torch.from_numpy(each) for name, each in result.items()} if isinstance(result, dict) else result


METHODS = ["encode", "encode_query", "encode_document"]


@pytest.mark.parametrize("name", ["__init__", *METHODS])
def test_the_arguments_and_their_defaults_are_the_same(name):
    ours, theirs = (inspect.signature(getattr(each, name)).parameters for each in (Ours, Theirs))
    expected = {key: (each.default, each.kind) for key, each in theirs.items() if each.kind is not each.VAR_KEYWORD}
    extra = OWN_OPTIONS if name == "__init__" else {"task", "processing_kwargs"}
    assert {key: (each.default, each.kind) for key, each in ours.items() if key not in extra} == expected
    if name != "__init__":
        assert [key for key in ours if key not in extra] == list(expected)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "inputs",
    [TEXTS, tuple(TEXTS), np.array(TEXTS), np.array(TEXTS, dtype=object), TEXTS[0], "", [TEXTS[0]], [], ()],
    ids=range(9),
)
def test_every_method_takes_the_same_inputs(pair, method, inputs):
    ours, theirs = (getattr(model, method) for model in pair)
    assert_same(ours(inputs), theirs(inputs, batch_size=1))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "options",
    [
        {"convert_to_numpy": False},
        {"convert_to_tensor": True},
        {"convert_to_tensor": True, "convert_to_numpy": False},
        {"normalize_embeddings": True},
        {"truncate_dim": 3},
        {"truncate_dim": 999},
        {"truncate_dim": 3, "normalize_embeddings": True, "convert_to_tensor": True},
        {"precision": "float32"},
        {"precision": "int8"},
        {"precision": "uint8", "normalize_embeddings": True},
        {"precision": "binary"},
        {"precision": "ubinary", "convert_to_tensor": True},
        {"precision": None},
        {"prompt": "a mat "},
        {"prompt": ""},
        {"prompt_name": "query"},
        {"device": "cpu", "chunk_size": 3, "show_progress_bar": False},
        {"pool": None, "device": None},
    ],
    ids=str,
)
def test_every_method_takes_the_same_options(pair, method, options):
    ours, theirs = (getattr(model, method) for model in pair)
    assert_same(ours(TEXTS, **options), theirs(TEXTS, batch_size=1, **options))
    assert_same(ours([], **options), theirs([], **options))
    if "int8" not in str(options.get("precision")):
        assert_same(ours(TEXTS[2], **options), theirs(TEXTS[2], **options))


def test_options_by_their_place_and_by_older_names(pair):
    ours, theirs = pair
    arguments = (TEXTS, None, "the ", 1, False, "sentence_embedding", "float32", True, False, None, True, 4)
    for method in METHODS:
        assert_same(getattr(ours, method)(*arguments), getattr(theirs, method)(*arguments))
        assert_same(getattr(ours, method)(sentences=TEXTS), getattr(theirs, method)(sentences=TEXTS, batch_size=1))


@pytest.mark.parametrize("output_value", ["token_embeddings", None])
@pytest.mark.parametrize(
    "options", [{}, {"prompt": "the "}, {"truncate_dim": 3}, {"normalize_embeddings": True}], ids=str
)
@pytest.mark.parametrize("inputs", [TEXTS, TEXTS[2], []], ids=["texts", "text", "none"])
def test_vectors_of_tokens(pair, output_value, options, inputs):
    ours, theirs = (model.encode(inputs, output_value=output_value, batch_size=1, **options) for model in pair)
    if isinstance(ours, np.ndarray):
        ours = torch.from_numpy(ours)
    elif output_value == "token_embeddings":
        ours = [torch.from_numpy(each) for each in ours]
    else:
        ours = as_tensors(ours)
    assert_same(ours, theirs)
    tensors = pair[0].encode(inputs, output_value=output_value, convert_to_tensor=True, **options)
    assert_same(tensors, theirs)


@pytest.mark.parametrize(
    "options",
    [
        {"prompts": {"query": "mat ", "x": None}, "default_prompt_name": "x"},
        {"prompts": {"document": "mat ", "passage": "cat "}},
        {"truncate_dim": 4},
        {"similarity_fn_name": "euclidean"},
        {"similarity_fn_name": our_util.SimilarityFunction.MANHATTAN},
        {"tokenizer_kwargs": {"model_max_length": 12}},
        {"model_kwargs": {"torch_dtype": torch.float32, "attn_implementation": "eager"}},
        {"trust_remote_code": True, "backend": "torch", "revision": None},
    ],
    ids=str,
)
def test_options_of_the_constructor(folder, options):
    theirs_options = dict(options)
    if "similarity_fn_name" in options:
        theirs_options["similarity_fn_name"] = getattr(
            options["similarity_fn_name"], "value", options["similarity_fn_name"]
        )
    ours = Ours(folder, on_truncation="cut", **options)
    theirs = Theirs(str(folder), device="cpu", local_files_only=True, **theirs_options)
    for method in METHODS:
        assert_same(getattr(ours, method)(TEXTS), getattr(theirs, method)(TEXTS, batch_size=1))
    assert ours.prompts == theirs.prompts
    for name in ("default_prompt_name", "max_seq_length", "similarity_fn_name", "truncate_dim"):
        assert getattr(ours, name) == getattr(theirs, name)
    for name in ("get_embedding_dimension", "get_sentence_embedding_dimension", "get_max_seq_length", "get_backend"):
        assert getattr(ours, name)() == getattr(theirs, name)()
    for name in ("hidden_size", "model_type", "vocab_size"):
        assert getattr(ours.config, name) == getattr(theirs.config, name)


def test_what_is_set_later(folder):
    pair = both(folder)
    for model in pair:
        model.max_seq_length = 12
        model.truncate_dim = 6
        model.default_prompt_name = "query"
        model.prompts["query"] = "mat "
        model.similarity_fn_name = "dot"
    ours, theirs = pair
    for method in METHODS:
        assert_same(getattr(ours, method)(TEXTS), getattr(theirs, method)(TEXTS, batch_size=1))
    for context in ("truncate_embeddings", "truncate_sentence_embeddings"):
        with getattr(ours, context)(2), getattr(theirs, context)(2):
            assert_same(ours.encode(TEXTS), theirs.encode(TEXTS, batch_size=1))
            assert ours.get_embedding_dimension() == theirs.get_embedding_dimension() == 2
    assert_same(ours.encode(TEXTS), theirs.encode(TEXTS, batch_size=1))


def test_the_limit_of_tokens_may_be_raised(minilm, reference_minilm, monkeypatch):
    ours, theirs = Ours(minilm.files.folder, on_truncation="cut"), reference_minilm
    monkeypatch.setattr(theirs[0], "max_seq_length", theirs.max_seq_length)  # Sets it back at the end.
    long = "A cat and a dog sat on the mat, and the rent is due. " * 60
    before = ours.encode(long)
    for model in (ours, theirs):
        model.max_seq_length = 512
    assert_same(ours.encode(long), theirs.encode(long))
    assert np.abs(ours.encode(long) - before).max() > 1e-3


@pytest.mark.parametrize("name", ["cosine", "dot", "euclidean", "manhattan"])
def test_similarities_of_a_model(folder, name):
    ours, theirs = both(folder, similarity_fn_name=name)
    a, b = theirs.encode(TEXTS, batch_size=1), theirs.encode(TEXTS[::-1], batch_size=1)
    for method in ("similarity", "similarity_pairwise"):
        found, expected = getattr(ours, method)(a, b), getattr(theirs, method)(a, b)
        assert isinstance(found, np.ndarray)
        np.testing.assert_allclose(found, expected, atol=5e-3 if name == "euclidean" else 5e-5)
        tensors = getattr(ours, method)(torch.from_numpy(a), torch.from_numpy(b))
        assert (tensors.dtype, tensors.shape) == (expected.dtype, expected.shape)


@pytest.mark.parametrize("method", ["preprocess", "tokenize"])
def test_tokens(pair, method):
    ours, theirs = (getattr(model, method)(TEXTS) for model in pair)
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name])
        assert array.dtype == np.int64
    assert getattr(pair[0], method)([]) == getattr(pair[1], method)([]) == {}


def test_a_pool(pair):
    ours, theirs = pair
    pool = ours.start_multi_process_pool()
    expected = theirs.encode(TEXTS, batch_size=1)
    assert_same(ours.encode(TEXTS, pool=pool, chunk_size=2), expected)
    assert_same(ours.encode(TEXTS, device=["cpu", "cpu"]), expected)
    with pytest.warns(DeprecationWarning, match="encode_multi_process"):
        assert_same(ours.encode_multi_process(TEXTS, pool), expected)
    ours.stop_multi_process_pool(pool)


def test_mining_with_a_model(pair):
    texts = [*TEXTS, "the cat sat", "a dog", "the dog sat on a mat"]
    found, expected = (
        module.paraphrase_mining(model, texts, batch_size=1, top_k=3)
        for module, model in ((our_util, pair[0]), (their_util, pair[1]))
    )
    np.testing.assert_allclose([row[0] for row in found], [row[0] for row in expected], atol=5e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 0},
        {"prompt_name": "nothing"},
        {"precision": "int4"},
        {"foo": 1},
        {"inputs": "one text", "precision": "int8"},
    ],
    ids=str,
)
def test_the_same_calls_are_errors(pair, options):
    for model in pair:
        with pytest.raises((ValueError, TypeError), match=r"\w"):
            model.encode(**{"inputs": TEXTS, **options})


@pytest.mark.parametrize(
    "options",
    [{"foo": 1}, {"default_prompt_name": "x"}, {"similarity_fn_name": "maxsim"}, {"token": "a", "use_auth_token": "b"}],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_same_options_are_errors(folder, options):
    for create in (lambda: Theirs(str(folder), device="cpu", **options), lambda: Ours(folder, **options)):
        with pytest.raises((TypeError, ValueError)):
            create()
