"""The drop-in for SentenceTransformer. ``tests/reference/test_sentence_transformer.py`` compares it with the class."""

from __future__ import annotations

import copy
import pickle
import sys

import numpy as np
import pytest

from pellucid import Embedder, TruncationWarning
from pellucid.errors import MissingExtraError, ModelNotFoundError, OptionError, TextTypeError, TruncationError
from pellucid.sentence_transformers import SentenceTransformer, SimilarityFunction
from tests import tiny

TEXTS = ["the cat", "", "a dog sat on the mat"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write_model(tmp_path_factory.mktemp("models") / "m", prompts={"query": "the ", "web": "mat "})


@pytest.fixture(scope="module")
def model(folder) -> SentenceTransformer:
    return SentenceTransformer(folder)


@pytest.fixture(scope="module")
def vectors(folder):
    return Embedder(folder).embed_documents(TEXTS)


@pytest.mark.parametrize("inputs", [TEXTS, tuple(TEXTS), np.array(TEXTS), np.array(TEXTS, dtype=object)])
def test_a_list_of_texts_gives_a_row_for_each(model, vectors, inputs):
    assert model.encode(inputs).tobytes() == vectors.tobytes()
    assert model.encode_document(inputs).tobytes() == vectors.tobytes()


def test_one_text_gives_one_vector_and_none_an_empty_array(model, vectors):
    assert model.encode(TEXTS[0]).tobytes() == vectors[0].tobytes()
    assert model.encode([]).shape == (0,)


def test_options_of_a_call(model, folder):
    embedder = Embedder(folder)
    unit = model.encode(TEXTS, normalize_embeddings=True, truncate_dim=3)
    assert unit.tobytes() == embedder.embed_documents(TEXTS, normalize=True, truncate_dim=3).tobytes()
    assert model.encode(TEXTS, precision="binary").tobytes() == (
        embedder.embed_documents(TEXTS, output_dtype="binary").tobytes()
    )
    assert model.encode(TEXTS, truncate_dim=999).shape == (3, model.get_embedding_dimension())


def test_prompts(model, folder):
    embedder = Embedder(folder)
    assert model.prompts == {"query": "the ", "document": "", "web": "mat "}
    assert model.encode_query("cat").tobytes() == embedder.embed_query("cat").tobytes()
    expected = embedder.embed_documents(["mat cat"]).tobytes()
    assert model.encode(["cat"], prompt_name="web").tobytes() == expected
    assert model.encode_query(["cat"], "web").tobytes() == expected
    assert model.encode_document(["cat"], prompt="mat ").tobytes() == expected
    assert SentenceTransformer(folder, default_prompt_name="web").encode(["cat"]).tobytes() == expected
    assert SentenceTransformer(folder, prompts={"document": "mat "}).encode_document(["cat"]).tobytes() == expected
    with pytest.raises(OptionError, match="has no prompt 'x'. Its prompts: 'query', 'document', 'web'"):
        model.encode("cat", prompt_name="x")


def test_vectors_of_tokens(model, folder):
    trace = Embedder(folder).trace(TEXTS[2], prompt="")
    each = model.encode(TEXTS, output_value="token_embeddings")
    assert [len(rows) for rows in each] == [4, 2, 8]
    np.testing.assert_allclose(each[2], trace.token_vectors, atol=2e-6)
    everything = model.encode(TEXTS[2], output_value=None)
    assert everything["input_ids"].tolist() == [token.id for token in trace.tokens]
    assert everything["attention_mask"].tolist() == [1] * 8
    np.testing.assert_allclose(everything["sentence_embedding"], trace.vector, atol=2e-6)
    assert model.encode([], output_value=None) == []


def test_tokens_are_filled_up_to_the_longest_text(model):
    tokens = model.tokenize(TEXTS)
    assert {name: array.shape for name, array in tokens.items()}["input_ids"] == (3, 8)
    assert tokens["attention_mask"].sum(axis=1).tolist() == [4, 2, 8]
    assert (
        model.preprocess(["cat"], prompt="the ")["input_ids"].tolist()
        == model.tokenize(["the cat"])["input_ids"].tolist()
    )
    assert model.tokenize([]) == {}


def test_the_limit_may_be_lowered_and_raised_again(folder):
    long = "the cat " * 30
    model = SentenceTransformer(folder, on_truncation="cut")
    whole = model.encode(long)
    model.max_seq_length = 12
    assert (
        model.encode(long).tobytes()
        == Embedder(folder, max_tokens=12, on_truncation="cut").embed_documents([long]).tobytes()
    )
    model.max_seq_length = None
    assert model.max_seq_length == model.get_max_seq_length() == tiny.MAX_TOKENS
    assert model.encode(long).tobytes() == whole.tobytes()


def test_texts_that_are_too_long_are_told(folder):
    long = "the cat " * 90
    for output_value in ("sentence_embedding", "token_embeddings"):
        with pytest.warns(TruncationWarning):
            SentenceTransformer(folder).encode(long, output_value=output_value)
        with pytest.raises(TruncationError):
            SentenceTransformer(folder, on_truncation="error").encode(long, output_value=output_value)


def test_fewer_dimensions_for_a_while(folder):
    model = SentenceTransformer(folder, truncate_dim=4)
    assert model.encode(TEXTS).shape == (3, 4)
    with model.truncate_embeddings(2):
        assert model.encode(TEXTS).shape == (3, 2)
        assert model.get_sentence_embedding_dimension() == 2
    assert model.encode(TEXTS, truncate_dim=3).shape == (3, 3)
    assert model.truncate_dim == 4


def test_similarities(model, vectors):
    assert model.similarity_fn_name == "cosine"
    assert model.similarity(vectors, vectors[0]) == pytest.approx((vectors @ vectors[0])[:, None], abs=1e-6)
    assert model.similarity_pairwise(vectors, vectors) == pytest.approx(1, abs=1e-6)
    other = copy.copy(model)
    other.similarity_fn_name = SimilarityFunction.MANHATTAN
    assert other.similarity_fn_name == "manhattan"
    assert other.similarity(vectors[0], vectors[1]) == pytest.approx(-np.abs(vectors[0] - vectors[1]).sum())
    with pytest.raises(OptionError, match="similarity_fn_name='maxsim' is not one of"):
        other.similarity_fn_name = "maxsim"


def test_settings_that_the_model_saved(tmp_path):
    folder = tiny.write_model(tmp_path / "m")
    tiny.edit_json(folder / "config_sentence_transformers.json", similarity_fn_name="dot", truncate_dim=3)
    model = SentenceTransformer(folder)
    assert (model.similarity_fn_name, model.truncate_dim, model.encode(TEXTS).shape) == ("dot", 3, (3, 3))
    other = SentenceTransformer(folder, similarity_fn_name="cosine", truncate_dim=5)
    assert (other.similarity_fn_name, other.get_embedding_dimension()) == ("cosine", 5)


def test_a_pool_costs_nothing_and_says_so(model, vectors, caplog):
    pool = model.start_multi_process_pool(["cpu", "cpu"])
    assert pool["processes"] == []
    assert model.encode(TEXTS, pool=pool, chunk_size=1).tobytes() == vectors.tobytes()
    with pytest.warns(DeprecationWarning, match="encode_multi_process is the older name of encode"):
        assert model.encode_multi_process(TEXTS, pool).tobytes() == vectors.tobytes()
    SentenceTransformer.stop_multi_process_pool(pool)
    with pytest.raises(OptionError, match="device='cuda:0'"):
        model.start_multi_process_pool(["cuda:0"])
    with pytest.raises(OptionError, match="pool is not one that start_multi_process_pool returned"):
        model.encode(TEXTS, pool={"processes": [1]})


@pytest.mark.parametrize(
    ("options", "read", "value"),
    [
        ({"tokenizer_kwargs": {"model_max_length": 20}}, "max_seq_length", 20),
        ({"model_kwargs": {"torch_dtype": "auto"}}, "dtype", "float32"),
        ({"dtype": "int8", "threads": 1}, "dtype", "int8"),
        ({"trust_remote_code": True, "backend": "torch"}, "device", "cpu"),
        ({"device": None, "prompts": {}}, "device", "cpu"),
    ],
)
def test_options_of_the_constructor(folder, options, read, value):
    assert getattr(SentenceTransformer(folder, **options), read) == value


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "onnx"}, "backend='onnx' is not supported, only 'torch'. Use engine="),
        ({"model_kwargs": {"device_map": "auto"}}, "'device_map' is not supported"),
        ({"modules": [1]}, "Name a model that has been saved"),
        ({"device": "cuda", "engine": "native"}, "device='cuda'"),
        ({"similarity_fn_name": "near"}, "similarity_fn_name='near'"),
        ({"truncate_dim": 0}, "truncate_dim=0"),
        ({"prompts": ["a"]}, "prompts must be a dict"),
        ({"default_prompt_name": "x"}, "has no prompt 'x'"),
    ],
)
def test_options_that_cannot_be_honoured_are_refused(folder, options, message):
    with pytest.raises(OptionError, match=message):
        SentenceTransformer(folder, **options)


def test_the_name_of_a_model_is_needed(tmp_path):
    with pytest.raises(OptionError, match="model_name_or_path is missing"):
        SentenceTransformer()
    with pytest.raises(ModelNotFoundError, match="sentence-transformers/no-such-model is not on this machine"):
        SentenceTransformer("no-such-model", local_files_only=True, cache_folder=tmp_path)


def test_an_older_token(folder):
    with pytest.warns(FutureWarning, match="use_auth_token is the older name of token"):
        SentenceTransformer(folder, use_auth_token="a")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size=0 must be a whole number of at least 1"),
        ({"device": "cuda"}, "device='cuda' is not supported, only 'cpu'"),
        ({"precision": "int4"}, "precision='int4'"),
        ({"output_value": "x"}, "output_value='x'"),
        ({"prompt": 3}, "prompt is of type int"),
        ({"processing_kwargs": {"text": {}}}, "processing_kwargs: 'text' is not supported"),
    ],
)
def test_options_of_a_call_that_cannot_be_honoured_are_refused(model, options, message):
    with pytest.raises(OptionError, match=message):
        model.encode(TEXTS, **options)
    with pytest.raises(TypeError, match="has no option 'batchsize'. Did you mean batch_size"):
        model.encode_query(TEXTS, batchsize=3)


@pytest.mark.parametrize("inputs", [[["a", "b"]], [3], {"a": "b"}, 3, None, [{"text": "a"}]])
def test_what_is_no_text_is_refused(model, inputs):
    with pytest.raises(TextTypeError):
        model.encode(inputs)


@pytest.mark.parametrize("options", [{"convert_to_tensor": True}, {"convert_to_numpy": False}])
def test_tensors_need_pytorch(model, options, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=f"{next(iter(options))}.* needs the package 'torch'"):
        model.encode(TEXTS, **options)


@pytest.mark.parametrize("name", ["fit", "save_pretrained", "push_to_hub", "half", "parameters"])
def test_what_it_cannot_do_here_says_what_to_do(model, name):
    with pytest.raises(AttributeError, match=rf"^SentenceTransformer has no attribute '{name}'\. \w.+\.$"):
        getattr(model, name)


def test_it_is_no_module_of_pytorch(model):
    with pytest.raises(TypeError, match="has no modules of PyTorch. Use max_seq_length"):
        model[0]
    with pytest.raises(TypeError, match="is no module of PyTorch. Use encode"):
        model({})
    assert model.eval().cpu().to("cpu") is model


def test_copies_give_the_same_vectors_and_keep_no_token(folder, vectors):
    model = SentenceTransformer(folder, token="hf_secret", threads=1)
    assert b"hf_secret" not in pickle.dumps(model)
    for made in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301  our own
        assert made.encode(TEXTS).tobytes() == vectors.tobytes()
        assert made.prompts == model.prompts


def test_the_repr_names_the_model(model):
    assert repr(model).startswith("SentenceTransformer(")
    assert repr(model).endswith(f", dimensions={tiny.HIDDEN})")


def test_what_programs_read(model):
    assert (model.device, model.dtype, model.get_backend(), model.get_model_kwargs()) == ("cpu", "float32", "torch", [])
    assert model.config.model_type == "bert"
    assert model.tokenizer is model.embedder.tokenizer
