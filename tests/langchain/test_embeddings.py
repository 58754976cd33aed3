from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import sys

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from pellucid import Embedder
from pellucid.errors import MissingExtraError, OptionError, TextTypeError
from pellucid.langchain import HuggingFaceEmbeddings, embeddings
from tests import tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    prompts = {"query": "query: ", "other": "dog "}
    return str(tiny.write_model(tmp_path_factory.mktemp("m") / "m", prompts=prompts, modules=["Pooling"]))


class LangChainSuite:
    """The settings that LangChain's standard test suites need."""

    @pytest.fixture(autouse=True)
    def _model(self, tiny_bert):
        type(self).folder = str(tiny_bert)

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return HuggingFaceEmbeddings

    @property
    def embedding_model_params(self) -> dict:
        return {"model_name": self.folder}


class TestLangChainUnits(LangChainSuite, EmbeddingsUnitTests):
    """LangChain's standard unit tests."""


class TestLangChainIntegration(LangChainSuite, EmbeddingsIntegrationTests):
    """LangChain's standard integration tests, sync and async."""


def test_fields_defaults_and_repr_are_as_in_langchain_huggingface(folder):
    assert repr(HuggingFaceEmbeddings(model=folder)) == (
        f"HuggingFaceEmbeddings(model_name={folder!r}, cache_folder=None, model_kwargs={{}}, encode_kwargs={{}}, "
        f"query_encode_kwargs={{}}, multi_process=False, show_progress=False)"
    )
    default = HuggingFaceEmbeddings.model_fields["model_name"].default
    assert default == "sentence-transformers/all-mpnet-base-v2"


def test_vectors_are_lists_of_floats(folder):
    embeddings, embedder = HuggingFaceEmbeddings(model_name=folder), Embedder(folder)
    expected = embedder.embed_documents(["the cat", "a dog"], prompt="").tolist()
    assert embeddings.embed_documents(["the cat", "a dog"]) == expected
    assert embeddings.embed_query("the cat") == expected[0]
    assert asyncio.run(embeddings.aembed_documents(["the cat", "a dog"])) == expected
    assert asyncio.run(embeddings.aembed_query("the cat")) == expected[0]
    assert {type(number) for number in expected[0]} == {float}
    assert embeddings.embed_documents([]) == []


def test_line_breaks_become_spaces(folder):
    embeddings = HuggingFaceEmbeddings(model_name=folder)
    assert embeddings.embed_query("the\ncat") == embeddings.embed_query("the cat")
    assert embeddings.embed_documents(iter(["the\ncat"])) == embeddings.embed_documents(["the cat"])


@pytest.mark.parametrize(
    ("model_kwargs", "encode_kwargs", "options"),
    [
        ({}, {"normalize_embeddings": True}, {"normalize": True}),
        ({}, {"normalize_embeddings": False}, {}),
        ({}, {"batch_size": 7, "device": "cpu", "convert_to_tensor": True}, {}),
        ({}, {"batch_size": np.int64(7), "chunk_size": 5, "convert_to_tensor": True, "convert_to_numpy": False}, {}),
        ({}, {"precision": None, "processing_kwargs": {}, "truncate_dim": np.int64(999)}, {}),
        ({"truncate_dim": 5}, {}, {"truncate_dim": 5}),
        ({"truncate_dim": 5}, {"truncate_dim": 7}, {"truncate_dim": 7}),
        ({}, {"truncate_dim": 999}, {}),
        ({}, {"precision": "ubinary"}, {"output_dtype": "ubinary"}),
        ({}, {"prompt": "dog "}, {"prompt": "dog "}),
        ({}, {"prompt_name": "other"}, {"prompt": "dog "}),
        ({}, {"prompt_name": "other", "prompt": "cat "}, {"prompt": "cat "}),
        ({}, {"prompt_name": "document"}, {}),
        ({"prompts": {"mine": "mat "}}, {"prompt_name": "mine"}, {"prompt": "mat "}),
        ({"prompts": {"other": "mat "}}, {"prompt_name": "other"}, {"prompt": "mat "}),
        ({"prompts": {"other": None, "mine": None}}, {"prompt_name": "other"}, {"prompt": "dog "}),
        ({"prompts": {"other": None, "mine": None}}, {"prompt_name": "mine"}, {}),
        ({"default_prompt_name": "query"}, {}, {"prompt": "query: "}),
        ({"default_prompt_name": "query"}, {"prompt": ""}, {}),
        ({"device": "cpu", "trust_remote_code": False, "backend": "torch", "model_kwargs": {}, "token": None}, {}, {}),
        ({"trust_remote_code": True}, {}, {}),
        ({"device": None, "local_files_only": True, "engine": "native", "on_truncation": "error"}, {}, {}),
    ],
)
def test_supported_keys_work_as_in_langchain_huggingface(folder, model_kwargs, encode_kwargs, options):
    embeddings = HuggingFaceEmbeddings(model_name=folder, model_kwargs=model_kwargs, encode_kwargs=encode_kwargs)
    expected = Embedder(folder).embed_documents(["the cat", "a"], **{"prompt": "", **options}).tolist()
    assert embeddings.embed_documents(["the cat", "a"]) == expected
    assert embeddings.embed_query("the cat") == expected[0]


def test_queries_may_have_their_own_options(folder):
    embeddings = HuggingFaceEmbeddings(
        model_name=folder, encode_kwargs={"truncate_dim": 4}, query_encode_kwargs={"prompt_name": "query"}
    )
    np.testing.assert_array_equal(embeddings.embed_query("cat"), Embedder(folder).embed_query("query: cat", prompt=""))
    assert len(embeddings.embed_documents(["cat"])[0]) == 4


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_kwargs": {"devise": "cpu"}}, "model_kwargs: 'devise' is not supported. Did you mean 'device'"),
        ({"model_kwargs": {"device": "cuda", "engine": "native"}}, "device='cuda' is not supported"),
        (
            {"model_kwargs": {"trust_remote_code": "yes"}},
            "trust_remote_code='yes' is not supported, only False or True",
        ),
        ({"model_kwargs": {"backend": "onnx"}}, "backend='onnx' is not supported"),
        ({"model_kwargs": {"model_kwargs": {"device_map": "auto"}}}, "model_kwargs: 'device_map' is not supported"),
        (
            {"encode_kwargs": {"normalise": True}},
            "encode_kwargs: 'normalise' is not supported. Did you mean 'normalize_embeddings'",
        ),
        ({"encode_kwargs": {"output_value": "token_embeddings"}}, "output_value='token_embeddings' is not supported"),
        ({"encode_kwargs": {"show_progress_bar": True}}, r"set HuggingFaceEmbeddings\(show_progress="),
        ({"encode_kwargs": {"batch_size": 0}}, "batch_size=0 must be a whole number of at least 1"),
        ({"encode_kwargs": {"chunk_size": 2.0}}, "chunk_size=2.0 must be a whole number of at least 1"),
        ({"encode_kwargs": {"convert_to_numpy": False}}, "convert_to_numpy=False is not supported"),
        ({"model_kwargs": {"use_auth_token": "hf_a", "token": "hf_b"}}, "token and use_auth_token are both given"),
        ({"query_encode_kwargs": {"foo": 1}}, "query_encode_kwargs: 'foo' is not supported"),
    ],
)
def test_an_unsupported_key_is_an_error_that_names_it(folder, fields, message):
    with pytest.raises(OptionError, match=message):
        HuggingFaceEmbeddings(model_name=folder, **fields)


def test_fields_that_are_changed_later_are_checked_too(folder):
    embeddings = HuggingFaceEmbeddings(model_name=folder)
    embeddings.encode_kwargs["truncate_dim"] = 4
    assert len(embeddings.embed_query("cat")) == 4
    embeddings.encode_kwargs = {"normalise": True}
    with pytest.raises(OptionError, match="encode_kwargs: 'normalise' is not supported"):
        embeddings.embed_documents(["cat"])


@pytest.mark.parametrize(
    ("model_kwargs", "category", "stored"),
    [
        ({"backend": "ipex"}, UserWarning, {"backend": "torch"}),
        ({"use_auth_token": "hf_a"}, FutureWarning, {"use_auth_token": "hf_a"}),
    ],
)
def test_keys_deprecated_in_langchain_huggingface_give_a_warning(folder, model_kwargs, category, stored, monkeypatch):
    passed, real = {}, Embedder
    monkeypatch.setattr(
        "pellucid.sentence_transformers.sentence_transformer.Embedder",
        lambda *names, **options: passed.update(options) or real(*names),
    )
    with pytest.warns(category, match=next(iter(model_kwargs))) as warned:
        embeddings = HuggingFaceEmbeddings(model_name=folder, model_kwargs=model_kwargs)
    assert warned[0].filename == __file__
    assert (embeddings.model_kwargs, passed.get("token")) == (stored, model_kwargs.get("use_auth_token"))


def test_vectors_may_be_cached(folder, tmp_path):
    cached = HuggingFaceEmbeddings(model_name=folder, model_kwargs={"cache": str(tmp_path / "vectors.db")})
    assert cached.embed_documents(["the cat"]) == cached.embed_documents(["the cat"])
    assert cached._client.embedder.cache.state().vectors == 1


def test_every_option_of_embedder_is_supported_by_name():
    options = set(inspect.signature(Embedder).parameters) - {"model_name", "cache_folder"}
    assert options <= set(embeddings._MODEL_KWARGS)


def test_equal_fields_make_equal_embeddings(folder):
    assert HuggingFaceEmbeddings(model_name=folder) == HuggingFaceEmbeddings(model_name=folder)
    assert HuggingFaceEmbeddings(model_name=folder) != HuggingFaceEmbeddings(model_name=folder, show_progress=True)


@pytest.mark.parametrize(
    "make_copy",
    [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e)), lambda e: e.model_copy(deep=True)],  # noqa: S301  our own
)
def test_embeddings_can_be_copied_and_pickled(folder, make_copy):
    embeddings = HuggingFaceEmbeddings(model_name=folder, encode_kwargs={"truncate_dim": 5})
    assert make_copy(embeddings) == embeddings
    assert make_copy(embeddings).embed_documents(["the cat"]) == embeddings.embed_documents(["the cat"])


def test_keys_are_checked_before_the_model_is_looked_for():
    with pytest.raises(OptionError, match="'foo'"):
        HuggingFaceEmbeddings(model_name="no/such-model", encode_kwargs={"foo": 1})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"encode_kwargs": {"prompt_name": "x"}}, "no prompt 'x'. Its prompts: 'query', 'document', 'other'"),
        ({"query_encode_kwargs": {"precision": "int9"}}, "precision='int9'"),
        ({"encode_kwargs": {"truncate_dim": "x"}}, "truncate_dim='x'"),
        ({"encode_kwargs": {"precision": ""}}, "precision=''"),
        ({"encode_kwargs": {"prompt_name": ""}}, "has no prompt ''"),
        ({"model_kwargs": {"default_prompt_name": ""}}, "has no prompt ''"),
        ({"encode_kwargs": {"prompt": 3}}, "prompt is of type int"),
        ({"model_kwargs": {"default_prompt_name": "x"}}, "has no prompt 'x'"),
        ({"model_kwargs": {"prompts": "x"}}, "prompts must be a dict of texts"),
    ],
)
def test_values_are_checked_at_construction(folder, fields, message):
    with pytest.raises(OptionError, match=message):
        HuggingFaceEmbeddings(model_name=folder, **fields)


def test_an_unknown_field_is_an_error(folder):
    with pytest.raises(ValueError, match="normalize_embeddings"):
        HuggingFaceEmbeddings(model_name=folder, normalize_embeddings=True)


@pytest.mark.parametrize("texts", ["a bare string", None, [None], [b"bytes"]])
def test_bad_texts_give_our_errors(folder, texts):
    with pytest.raises(TextTypeError):
        HuggingFaceEmbeddings(model_name=folder).embed_documents(texts)


def test_without_langchain_core_the_error_has_the_install_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "langchain_core.embeddings", None)
    for name in ("pellucid.langchain", "pellucid.langchain.embeddings"):
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[langchain\]'"):
        __import__("pellucid.langchain")
