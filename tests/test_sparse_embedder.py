from __future__ import annotations

import contextlib
import json
import pickle
import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from pellucid import Embedder, Encoder, SparseEmbedder, SparseVectors, TruncationWarning
from pellucid.errors import (
    CacheWarning,
    InputError,
    InvalidModelError,
    OptionError,
    TextTypeError,
    UnsupportedModelError,
)
from tests import tiny
from tests.real_splade import EVERY, splade_folder
from tests.tiny_families import VOCABULARY_HEADS

DATA = Path(__file__).parent / "data"
WEIGHTS = np.load(DATA / "tiny_sparse.npz")
"""What sentence-transformers gives; see tests/data/README.md."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    prompts = {"query": "the ", "document": "cat "}
    return tiny.write_splade_model(tmp_path_factory.mktemp("splade") / "m", prompts=prompts)


@pytest.fixture(scope="module")
def embedder(folder) -> SparseEmbedder:
    return SparseEmbedder(folder, on_truncation="cut")


def check_equal(found: SparseVectors, expected: SparseVectors) -> None:
    for name in ("indices", "values", "offsets"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), strict=True)
    assert found.dimensions == expected.dimensions


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("family", VOCABULARY_HEADS)
def test_weights_are_those_of_sentence_transformers(tmp_path, family, engine):
    for mode, activation in (("max", "relu"), ("sum", "relu"), ("max", "log1p_relu"), ("sum", "log1p_relu")):
        folder = tmp_path / mode / activation
        tiny.write_splade_model(folder, family, pooling_strategy=mode, activation_function=activation)
        expected = WEIGHTS[f"{family}/{mode}/{activation}"]
        found = SparseEmbedder(folder, engine=engine, on_truncation="cut").embed_documents(tiny.TEXTS)
        atol = 5e-6 * max(1, expected.max())  # Sums may be large.
        np.testing.assert_allclose(found.to_dense(), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_the_weights_of_a_real_model_are_those_of_sentence_transformers_in_double_precision(engine):
    texts = json.loads((DATA / "golden_texts.json").read_text(encoding="utf-8"))[::EVERY]
    stored = np.load(DATA / "golden_splade.npz")
    expected = np.zeros((len(texts), 30_522), dtype=np.float32)
    expected[np.repeat(np.arange(len(texts)), stored["lengths"]), stored["indices"]] = stored["values"]
    embedder = SparseEmbedder(splade_folder(), engine=engine)
    found = embedder.embed_documents(texts)
    np.testing.assert_allclose(found.to_dense(), expected, rtol=0, atol=5e-6)
    assert len(stored["values"]) > 20 * len(texts)  # There is something to compare.


def test_a_real_model_says_what_it_thinks_of():
    embedder = SparseEmbedder(splade_folder())
    explained = embedder.explain("weather in New York", "Haven't you heard that it will be warm?")
    best = explained.matches[0]
    words = explained.query.words(best.in_query), explained.document.words(best.in_document)
    assert (best.piece, *words) == ("haven", "York", "Haven")


def test_a_masked_language_model_without_modules(folder, tmp_path, embedder):
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    plain = SparseEmbedder(tmp_path, max_tokens=tiny.MAX_TOKENS, on_truncation="cut")
    expected = embedder.embed_documents(tiny.TEXTS, prompt="").to_dense()
    np.testing.assert_array_equal(plain.embed_documents(tiny.TEXTS).to_dense(), expected)


def test_old_names_of_tensors(tmp_path, folder, embedder):
    """The first BERT checkpoints call a norm's weight gamma and its bias beta."""
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    tensors = load_file(folder / "model.safetensors")
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in tensors.items()
    }
    save_file(old, tmp_path / "model.safetensors")
    found = SparseEmbedder(tmp_path, max_tokens=tiny.MAX_TOKENS, on_truncation="cut").embed_documents(tiny.TEXTS)
    np.testing.assert_array_equal(found.to_dense(), embedder.embed_documents(tiny.TEXTS, prompt="").to_dense())


@pytest.mark.parametrize("dtype", ["float32", "int16", "int8", "int4"])
@pytest.mark.parametrize("mode", ["max", "sum"])
def test_a_text_has_the_same_bits_alone_and_among_others(tmp_path, dtype, mode):
    folder = tiny.write_splade_model(tmp_path / "m", pooling_strategy=mode)
    texts = [f"the cat {'sat on the mat ' * (number % 5)}{number}" for number in range(80)]
    one = SparseEmbedder(folder, dtype=dtype, threads=1)
    together = one.embed_documents(texts)
    for threads in (2, 3):
        found = SparseEmbedder(folder, dtype=dtype, threads=threads).embed_documents(texts[::-1])
        np.testing.assert_array_equal(found[::-1].to_dense(), together.to_dense())
    for text, vector in zip(texts[:10], together, strict=False):
        np.testing.assert_array_equal(one.embed_query(text, prompt="").to_dense(), vector.to_dense())


@pytest.mark.parametrize(("dtype", "least"), [("int16", 0.9999), ("int8", 0.97)])
def test_smaller_types_are_close(folder, embedder, dtype, least):
    exact = embedder.embed_documents(tiny.TEXTS).to_dense()
    found = SparseEmbedder(folder, dtype=dtype, on_truncation="cut").embed_documents(tiny.TEXTS).to_dense()
    cosines = (exact * found).sum(axis=1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(found, axis=1)
    assert cosines.min() > least


def test_queries_and_documents_get_their_prompts(embedder):
    query, document = embedder.embed_query("a dog"), embedder.embed_documents(["a dog"])
    np.testing.assert_array_equal(query.to_dense(), embedder.embed_documents(["the a dog"], prompt="").to_dense())
    np.testing.assert_array_equal(document.to_dense(), embedder.embed_documents(["cat a dog"], prompt="").to_dense())
    assert (embedder.query_prompt, embedder.document_prompt) == ("the ", "cat ")
    named = embedder.embed_documents(["a dog"], prompt_name="query")
    np.testing.assert_array_equal(named.to_dense(), query.to_dense())


def test_a_stream_gives_the_same_vectors(embedder):
    texts = ["the cat", "a dog"] * 1500
    parts = list(embedder.embed_stream(iter(texts)))
    assert len(parts) == 2
    expected = embedder.embed_documents(texts).to_dense()
    np.testing.assert_array_equal(SparseVectors.concatenate(parts).to_dense(), expected)
    assert len(embedder.embed_documents([])) == 0


def test_terms_are_the_tokens_and_their_weights(embedder):
    vectors = embedder.embed_documents(["the cat", "a dog"])
    vocabulary = json.loads((embedder.files.folder / "tokenizer.json").read_text())["model"]["vocab"]
    for found, row in zip(embedder.terms(vectors), vectors.to_dense(), strict=True):
        assert {vocabulary[token]: weight for token, weight in found} == {
            index: row[index] for index in np.flatnonzero(row)
        }
        assert [weight for _, weight in found] == sorted((weight for _, weight in found), reverse=True)
    assert [len(each) for each in embedder.terms(vectors, limit=3)] == [3, 3]


def test_the_largest_numbers_may_be_kept(folder, embedder):
    found = SparseEmbedder(folder, max_active_dims=4).embed_documents(["the cat", "a dog"])
    assert found.lengths.tolist() == [4, 4]
    np.testing.assert_array_equal(
        found.to_dense(), embedder.embed_documents(["the cat", "a dog"], max_active_dims=4).to_dense()
    )


def test_files_may_say_how_many_numbers_to_keep(tmp_path):
    folder = tiny.write_splade_model(tmp_path / "m")
    tiny.edit_json(folder / "config_sentence_transformers.json", max_active_dims=2)
    assert SparseEmbedder(folder).embed_query("the cat").lengths.tolist() == [2]
    assert SparseEmbedder(folder, max_active_dims=5).embed_query("the cat").lengths.tolist() == [5]


def test_several_threads_and_copies_give_the_same_vectors(embedder):
    expected = embedder.embed_documents(tiny.TEXTS).to_dense()
    found = []
    threads = [threading.Thread(target=lambda: found.append(embedder.embed_documents(tiny.TEXTS))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    copy = pickle.loads(pickle.dumps(embedder))  # noqa: S301
    for vectors in [*found, copy.embed_documents(tiny.TEXTS)]:
        np.testing.assert_array_equal(vectors.to_dense(), expected)


def test_a_cache_gives_the_same_bits_and_nothing_is_computed_twice(folder, embedder, tmp_path, texts_run):
    expected = embedder.embed_documents(tiny.TEXTS)
    few = embedder.embed_documents(tiny.TEXTS, max_active_dims=3)
    del texts_run[:]
    cached = SparseEmbedder(folder, cache=tmp_path / "vectors.db")
    different = len(set(tiny.TEXTS))
    for task, computed in (
        (cached, [different]),
        (cached, [0]),
        (pickle.loads(pickle.dumps(cached)), [0]),  # noqa: S301
    ):
        check_equal(task.embed_documents(tiny.TEXTS), expected)
        assert texts_run == computed
        del texts_run[:]
    order = [*range(len(tiny.TEXTS))[::-1], 0, 0]
    check_equal(cached.embed_documents([tiny.TEXTS[place] for place in order]), expected[order])
    check_equal(cached.embed_documents([]), expected[:0])
    assert sum(texts_run) == 0
    check_equal(cached.embed_documents(tiny.TEXTS, max_active_dims=3), few)
    check_equal(SparseEmbedder(folder, max_active_dims=3, cache=cached.cache).embed_documents(tiny.TEXTS), few)
    assert sum(texts_run) == different
    check_equal(cached.embed_documents(["the"], prompt="a "), embedder.embed_documents(["the"], prompt="a "))


def test_a_damaged_row_of_a_cache_is_computed_again(folder, embedder, tmp_path):
    cached = SparseEmbedder(folder, cache=tmp_path / "vectors.db")
    expected = cached.embed_documents(["the cat", "a dog"])
    with contextlib.closing(sqlite3.connect(tmp_path / "vectors.db")) as connection, connection:
        connection.execute("UPDATE vectors SET vector = substr(vector, 1, 8) WHERE rowid = 1")
    with pytest.warns(CacheWarning, match="1 of the requested vectors"):
        check_equal(cached.embed_documents(["the cat", "a dog"]), expected)
    check_equal(cached.embed_documents(["the cat", "a dog"]), expected)


def test_a_cache_keeps_what_the_encoder_of_queries_gives_apart(tmp_path):
    folder = tiny.write_inference_free_model(tmp_path / "m", activation_function="log1p_relu")
    plain, cached = SparseEmbedder(folder), SparseEmbedder(folder, cache=tmp_path / "vectors.db")
    for _ in range(2):
        check_equal(cached.embed_query("the cat"), plain.embed_query("the cat"))
        check_equal(cached.embed_documents(["the cat"]), plain.embed_documents(["the cat"]))


def test_an_encoder_may_be_shared(folder, embedder):
    shared = SparseEmbedder(Encoder(folder))
    np.testing.assert_array_equal(shared.embed_query("a cat").to_dense(), embedder.embed_query("a cat").to_dense())


def test_long_texts_are_cut_with_a_warning(folder):
    with pytest.warns(TruncationWarning, match="1 text"):
        SparseEmbedder(folder).embed_documents(["cat " * 90])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda e: e.embed_documents("text"), TextTypeError, "text"),
        (lambda e: e.embed_documents([1]), TextTypeError, "text 0"),
        (lambda e: e.embed_query(["a"]), TextTypeError, "embed_query takes one str"),
        (lambda e: e.embed_query("a", max_active_dims=0), OptionError, "max_active_dims=0"),
        (lambda e: e.embed_query("a", prompt_name="x"), OptionError, "no prompt"),
        (lambda e: e.terms(e.embed_query("a"), limit=0), OptionError, "limit=0"),
        (lambda e: e.terms(SparseVectors.from_dense(np.ones((1, 2), np.float32))), InputError, "have 2 dimensions"),
        (lambda e: e.encode("a"), AttributeError, "Use embed_documents"),
    ],
)
def test_what_cannot_be_done_is_said(embedder, call, error, message):
    with pytest.raises(error, match=message):
        call(embedder)


def test_models_of_other_kinds_are_refused(folder, tiny_bert):
    with pytest.raises(UnsupportedModelError, match=r"gives no sparse vectors.*use Embedder"):
        SparseEmbedder(tiny_bert)
    with pytest.raises(UnsupportedModelError, match=r"gives sparse vectors\. Use SparseEmbedder"):
        Embedder(folder)


def test_broken_files_are_named(tmp_path):
    folder = tiny.write_splade_model(tmp_path / "m")
    tensors = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if "transform.dense" not in name}
    save_file(kept, folder / "model.safetensors")
    with pytest.raises(InvalidModelError, match=r"cls\.predictions\.transform\.dense\.weight"):
        SparseEmbedder(folder)
    tiny.write_splade_model(tmp_path / "mode", pooling_strategy="mean")
    with pytest.raises(UnsupportedModelError, match="pooling_strategy 'mean'"):
        SparseEmbedder(tmp_path / "mode")
    tiny.write_splade_model(tmp_path / "task")
    tiny.edit_json(tmp_path / "task" / "sentence_bert_config.json", transformer_task="feature-extraction")
    with pytest.raises(UnsupportedModelError, match="transformer_task 'feature-extraction'"):
        SparseEmbedder(tmp_path / "task")


def test_weights_that_are_not_finite_are_noticed(tmp_path):
    folder = tiny.write_splade_model(tmp_path / "m")
    tensors = load_file(folder / "model.safetensors")
    tensors["cls.predictions.transform.LayerNorm.weight"][:] = 3e38
    save_file(tensors, folder / "model.safetensors")
    for engine in ("native", "reference"):
        with pytest.raises(InvalidModelError, match="text 0 a weight that is not finite"):
            SparseEmbedder(folder, engine=engine).embed_documents(["the cat"])


# Queries that are read in another way than documents


@pytest.fixture(scope="module")
def inference_free(tmp_path_factory) -> SparseEmbedder:
    folder = tmp_path_factory.mktemp("inference-free") / "m"
    return SparseEmbedder(tiny.write_inference_free_model(folder, activation_function="log1p_relu"))


def test_a_table_reads_the_queries(inference_free, monkeypatch):
    weights = load_file(inference_free.files.folder / "query_0_SparseStaticEmbedding" / "model.safetensors")["weight"]
    tokens = inference_free.tokenizer.tokenize_plain(["the cat sat, the cat"]).ids
    expected = np.zeros_like(weights)
    expected[tokens] = weights[tokens]
    monkeypatch.setattr(type(inference_free.engine), "token_vectors", None)  # No encoder runs.
    query = inference_free.embed_query("the cat sat, the cat")
    np.testing.assert_array_equal(query.to_dense()[0], expected)
    assert inference_free.reads_queries_apart
    few = inference_free.embed_query("the cat sat, the cat", max_active_dims=2)
    np.testing.assert_array_equal(few.values, np.sort(expected)[-2:][np.argsort(np.argsort(few.values))])
    assert not len(inference_free.embed_query("").values)


def test_a_model_with_one_way_reads_queries_itself(embedder):
    assert embedder.for_queries is embedder


def test_documents_go_through_the_encoder(inference_free):
    expected = WEIGHTS["bert/max/log1p_relu"]
    with pytest.warns(TruncationWarning):
        found = inference_free.embed_documents(tiny.TEXTS)
    np.testing.assert_allclose(found.to_dense(), expected, rtol=0, atol=5e-6)


def test_a_score_with_a_table_can_be_explained(inference_free):
    explained = inference_free.explain("the cat sat", "a dog sat")
    score = inference_free.embed_query("the cat sat").dot(inference_free.embed_documents(["a dog sat"])).item()
    assert explained.score == pytest.approx(score, rel=1e-6)
    assert {explained.query.words(term) for term in explained.query.terms} <= {"the", "cat", "sat"}


def test_long_queries_are_cut_with_a_warning(tmp_path):
    folder = tiny.write_inference_free_model(tmp_path / "m")
    tiny.edit_json(folder / "query_0_SparseStaticEmbedding" / "tokenizer_config.json", model_max_length=5)
    embedder = SparseEmbedder(folder)
    with pytest.warns(TruncationWarning):
        found = embedder.embed_query("the cat sat on the mat a dog")
    np.testing.assert_array_equal(found.to_dense(), embedder.embed_query("the cat sat on").to_dense())


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"structure": {"other": ["document_0_Transformer"]}, "parameters": {"allow_empty_key": False}},
            UnsupportedModelError,
            "no route for a document",
        ),
        ({"structure": {"document": []}}, InvalidModelError, "must be a list of modules"),
        ({"structure": {"document": ["x"]}}, InvalidModelError, "must be a list of modules"),
        ({"structure": {"document": ["query_0_SparseStaticEmbedding"]}}, UnsupportedModelError, "for queries only"),
        ({"types": {"../x": "y"}, "structure": {"document": ["../x"]}}, InvalidModelError, "x"),
    ],
)
def test_a_broken_router_is_named(tmp_path, changes, error, message):
    folder = tiny.write_inference_free_model(tmp_path / "m")
    tiny.edit_json(folder / "router_config.json", **changes)
    with pytest.raises(error, match=message):
        SparseEmbedder(folder)
