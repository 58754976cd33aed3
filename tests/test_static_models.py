"""Static models through ``Embedder``: the vectors of sentence-transformers and of model2vec, and everything that other
models can do.
"""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid import Embedder
from pellucid.errors import OptionError, TruncationError, TruncationWarning, UnsupportedModelError
from pellucid.sentence_transformers import SentenceTransformer
from tests import static_models
from tests.conftest import DATA
from tests.static_models import MODEL2VEC_CASES, SENTENCE_TRANSFORMERS_CASES, SIZE, TEXTS

FROZEN = np.load(DATA / "static.npz")
ENGINES = ("native", "reference")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return static_models.write_static(tmp_path_factory.mktemp("static") / "model")


@pytest.fixture(scope="module")
def embedder(folder) -> Embedder:
    return Embedder(folder)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", SENTENCE_TRANSFORMERS_CASES)
def test_vectors_are_those_of_sentence_transformers(tmp_path, name, engine):
    model = Embedder(
        static_models.write_sentence_transformers_case(tmp_path / "m", name), engine=engine, on_truncation="cut"
    )
    expected = FROZEN[f"sentence-transformers/{name}"].astype(np.float32)
    atol = static_models.tolerance(name)
    np.testing.assert_allclose(model.embed_documents(TEXTS), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", MODEL2VEC_CASES)
def test_vectors_are_those_of_model2vec(tmp_path, name, engine):
    model = Embedder(static_models.write_model2vec_case(tmp_path / "m", name), engine=engine, on_truncation="cut")
    expected = FROZEN[f"model2vec/{name}"].astype(np.float32)
    atol = static_models.tolerance(name)
    np.testing.assert_allclose(model.embed_documents(TEXTS), expected, rtol=0, atol=atol)


def test_a_text_without_tokens_has_a_vector_of_zeros(embedder):
    assert not embedder.embed_query("").any()


@given(st.lists(st.sampled_from(TEXTS[:8]), max_size=30))
def test_a_text_has_the_same_bits_alone_and_with_others(embedder, texts):
    together = embedder.embed_documents(texts)
    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_array_equal(embedder.embed_query(text), vector)


def test_the_number_of_threads_does_not_change_a_bit(folder):
    texts = TEXTS * 300
    one, many = (Embedder(folder, threads=threads).embed_documents(texts) for threads in (1, 5))
    np.testing.assert_array_equal(one, many)


def test_several_threads_may_share_a_model(embedder):
    expected = embedder.embed_documents(TEXTS)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: embedder.embed_documents(TEXTS), range(20)):
            np.testing.assert_array_equal(found, expected)


def test_a_text_of_any_length_is_read_to_its_end(embedder):
    longer = "the cat " * 40_000
    assert embedder.tokenizer.tokenize([longer])[0].ids.size == 80_000
    end = embedder.embed_query(longer + "dog " * 40_000)
    assert np.abs(end - embedder.embed_query(longer)).max() > 0.01


def test_the_limit_of_tokenizer_json_counts_and_a_cut_is_reported(tmp_path):
    model = Embedder(static_models.write_static(tmp_path / "m", truncation=6))
    assert model.max_tokens == 6
    with pytest.warns(TruncationWarning, match="1 of 2 texts is longer than the model's 6 tokens"):
        vectors = model.embed_documents(["cat " * 6, "cat " * 6 + "dog"])
    np.testing.assert_array_equal(*vectors)
    with pytest.raises(TruncationError):
        Embedder(tmp_path / "m", on_truncation="error").embed_query("cat " * 7)


def test_max_tokens_gives_a_model_a_limit(folder):
    model = Embedder(folder, max_tokens=3, on_truncation="cut")
    np.testing.assert_array_equal(model.embed_query("the cat sat on"), model.embed_query("the cat sat"))


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_another_dtype_is_refused_because_it_would_do_nothing(folder, dtype):
    with pytest.raises(OptionError, match=f"dtype='{dtype}' does nothing for a static model"):
        Embedder(folder, dtype=dtype)


def test_pytorch_is_refused_because_there_are_no_layers(folder):
    pytest.importorskip("torch")
    with pytest.raises(UnsupportedModelError, match="has nothing to do in a static model"):
        Embedder(folder, engine="torch")


def test_prompts_go_before_the_text(tmp_path):
    model = Embedder(static_models.write_static(tmp_path / "m", prompts={"query": "query: "}))
    np.testing.assert_array_equal(model.embed_query("cat"), model.embed_documents(["query: cat"])[0])


def test_vectors_can_be_cut_and_normalized_again(embedder):
    vector = embedder.embed_query("the cat", truncate_dim=8, normalize=True)
    assert vector.shape == (8,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)
    assert np.linalg.norm(embedder.embed_query("the cat", normalize=False)) != pytest.approx(1, abs=0.1)


def test_a_cache_a_copy_and_a_pickle_give_the_same_vectors(folder, embedder, tmp_path):
    expected = embedder.embed_documents(TEXTS)
    for other in (copy.deepcopy(embedder), pickle.loads(pickle.dumps(embedder))):  # noqa: S301
        np.testing.assert_array_equal(other.embed_documents(TEXTS), expected)
    for _ in range(2):
        np.testing.assert_array_equal(Embedder(folder, cache=tmp_path / "c.db").embed_documents(TEXTS), expected)


def test_streams_tokens_and_long_texts_go_through_it(embedder):
    expected = embedder.embed_documents(TEXTS)
    np.testing.assert_array_equal(np.concatenate(list(embedder.embed_stream(TEXTS))), expected)
    np.testing.assert_array_equal(embedder.embed_tokens(embedder.tokenizer.tokenize(TEXTS)[0]), expected)
    np.testing.assert_allclose(
        embedder.embed_long("the cat. " * 50).mean, embedder.embed_query("the cat. " * 50), atol=1e-6
    )


def test_a_trace_shows_the_table_and_the_exact_share_of_each_token(embedder):
    trace = embedder.trace("the cat sat")
    assert [stage.name for stage in trace.stages] == ["text", "tokens", "embedding", "pooling", "normalize", "vector"]
    assert "no layers and no attention" in trace.stage("embedding").sentence
    rows = trace.token_vectors.astype(np.float64)
    mean = rows.mean(axis=0)
    np.testing.assert_allclose(trace.vector, mean / np.linalg.norm(mean), atol=1e-6)
    np.testing.assert_allclose(trace.shares, rows @ mean / 3 / (mean @ mean), atol=1e-6)
    assert trace.drift().shape == (0, 3)
    assert "no layers" in trace._repr_html_()
    assert trace.layers == ()


def test_a_comparison_is_a_sum_over_pairs_of_tokens(embedder):
    comparison = embedder.compare("the cat", "a dog")
    assert comparison.pairs.sum() == pytest.approx(comparison.cosine, abs=1e-6)


def test_sentence_transformers_stand_in_says_that_there_is_no_limit(folder):
    model = SentenceTransformer(str(folder))
    assert model.max_seq_length == float("inf")
    assert model.encode("the cat").shape == (SIZE,)
    assert model.encode("the cat", output_value="token_embeddings").shape == (2, SIZE)


def test_its_repr_says_so(embedder):
    assert "0 layers of 40 numbers, texts of any length" in repr(embedder.spec)
