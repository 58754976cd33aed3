from __future__ import annotations

import copy
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pellucid import Embedder, Encoder, MultiVectorEmbedder, MultiVectors, TruncationWarning
from pellucid.errors import (
    InputError,
    InvalidModelError,
    OptionError,
    TextError,
    TextTypeError,
    TruncationError,
    UnsupportedModelError,
)
from tests import tiny
from tests.conftest import DATA
from tests.multi_vector_models import (
    FIXED,
    TEXTS,
    WIDTH,
    add_tokens,
    write_model,
    write_pylate,
    write_routed,
    write_stanford,
)
from tests.reference.freeze import MULTI_VECTOR

FROZEN = np.load(DATA / "tiny_multi_vectors.npz")
"""What sentence-transformers gives."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_model(
        tmp_path_factory.mktemp("models") / "m", expansion=FIXED, document_length=20, prompts={"query": "query: "}
    )


@pytest.fixture(scope="module")
def task(folder) -> MultiVectorEmbedder:
    return MultiVectorEmbedder(folder, on_truncation="cut")


def check_equal(found: MultiVectors, expected: MultiVectors) -> None:
    np.testing.assert_array_equal(found.offsets, expected.offsets, strict=True)
    np.testing.assert_array_equal(found.vectors, expected.vectors, strict=True)


@pytest.mark.parametrize("name", MULTI_VECTOR)
@pytest.mark.parametrize("engine", ["native", "reference"])
def test_frozen_vectors_and_scores(tmp_path, name, engine):
    task = MultiVectorEmbedder(write_model(tmp_path / "m", **MULTI_VECTOR[name]), engine=engine, on_truncation="cut")
    documents = task.embed_documents(TEXTS)
    for kind, vectors in (("queries", task.embed_queries(TEXTS)), ("documents", documents)):
        assert np.diff(vectors.offsets).tolist() == FROZEN[f"{name}/{kind}/lengths"].tolist()
        np.testing.assert_allclose(vectors.vectors, FROZEN[f"{name}/{kind}/vectors"], rtol=0, atol=5e-6)
    scores = np.stack([task.maxsim(query, documents) for query in task.embed_queries(TEXTS)])
    np.testing.assert_allclose(scores, FROZEN[f"{name}/scores"], rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("family", ["bert", "modernbert", "mpnet"])
def test_the_same_text_has_the_same_bits(tmp_path, engine, family):
    folder = write_model(tmp_path / "m", family, expansion=FIXED, dense=(10, WIDTH))
    task = MultiVectorEmbedder(folder, engine=engine, on_truncation="cut")
    together = task.embed_queries([*TEXTS, *TEXTS[::-1]])
    documents = task.embed_documents(TEXTS)
    scores = task.maxsim("the cat", documents)
    for place, text in enumerate(TEXTS):
        alone = task.embed_query(text)
        for each in (list(together)[place], list(together)[-1 - place]):
            assert each.tobytes() == alone.tobytes()
        assert list(documents)[place].tobytes() == task.embed_documents([text]).vectors.tobytes()
        assert task.maxsim("the cat", [text]).tobytes() == scores[place].tobytes()


@pytest.mark.parametrize("side", ["query", "document"])
@pytest.mark.parametrize("pooling", [None, {"pool_factor": 2, "num_protected_tokens": 1}])
def test_the_steps_that_a_server_takes_give_the_same_vectors(tmp_path, side, pooling):
    task = MultiVectorEmbedder(write_model(tmp_path / "m", expansion=FIXED, pooling=pooling), on_truncation="cut")
    tokens = task.fill_up(task.tokenizer_of(side).tokenize(TEXTS)[0], side)
    found = task.encoder.run(tokens, task.finish(side))
    expected = task.embed_as(side, TEXTS, "")
    assert found.vectors.tobytes() == expected.vectors.tobytes()
    assert found.offsets.tolist() == expected.offsets.tolist()


def test_shapes_and_properties(task):
    vectors = task.embed_documents(["the cat", "", ", ."])
    assert isinstance(vectors, MultiVectors)
    assert (vectors.vectors.dtype, vectors.offsets.dtype) == (np.float32, np.int32)
    assert np.diff(vectors.offsets).tolist() == [4, 2, 2]  # [CLS] and [SEP] count, punctuation does not.
    assert task.embed_query("the cat").shape == (12, WIDTH)
    assert (task.dimensions, task.max_tokens, task.max_query_tokens) == (WIDTH, 20, 12)
    assert (task.query_prompt, task.document_prompt, task.prompt_named(None)) == ("query: ", "", "")
    assert repr(task).startswith("MultiVectorEmbedder('")
    assert repr(task).endswith(f"dimensions={WIDTH}, engine='native')")
    assert task.count_tokens(["the cat"]).tolist() == [4]


def test_prompts(task):
    expected = task.embed_query("query: the cat", prompt="").tobytes()
    assert task.embed_query("the cat").tobytes() == expected
    assert task.embed_query("the cat", prompt_name="query").tobytes() == expected
    assert task.embed_documents(["the cat"], prompt="query: ").offsets.tolist() == [0, 5]  # ":" is skipped.
    with pytest.raises(OptionError, match="has no prompt 'other'"):
        task.embed_query("the cat", prompt_name="other")


def test_scores_are_the_sums_of_the_best(task):
    query, documents = task.embed_query("the cat"), task.embed_documents(TEXTS)
    expected = [(query @ document.T).max(axis=1).sum() for document in documents]
    assert task.maxsim("the cat", TEXTS) == pytest.approx(expected, rel=1e-6)
    assert task.maxsim(query, documents).tobytes() == task.maxsim("the cat", TEXTS).tobytes()
    assert task.maxsim(query.tolist(), documents).tobytes() == task.maxsim(query, documents).tobytes()


def test_rank(task):
    ranked = task.rank("the cat", TEXTS)
    scores = task.maxsim("the cat", TEXTS)
    assert [each.score for each in ranked] == sorted(scores.tolist(), reverse=True)
    assert [each.score for each in ranked] == [scores[each.index] for each in ranked]
    assert task.rank("the cat", task.embed_documents(TEXTS), 3) == ranked[:3]
    assert [each.index for each in task.rank("the cat", ["a", "dog", "a"]) if each.index != 1] == [0, 2]
    with pytest.raises(OptionError, match="top_k"):
        task.rank("the cat", TEXTS, 0)


def test_nothing(task):
    assert task.maxsim("the cat", []).shape == (0,)
    assert task.rank("the cat", []) == []
    assert task.embed_documents([]).vectors.shape == (0, WIDTH)
    assert len(task.embed_queries([])) == 0
    assert list(task.embed_stream([])) == []


def test_a_document_without_vectors(tmp_path):
    task = MultiVectorEmbedder(write_model(tmp_path / "m", mask={"keep_only_token_ids": [40]}))
    assert task.embed_documents(["the cat", ""]).vectors.shape == (0, WIDTH)
    assert task.maxsim("the cat", ["the", ""]).tolist() == [-1e9, -1e9]
    assert str(task.explain("the cat", "the")) == "The score is -1000000000.0000: one of the texts has no vectors."


def test_a_stream_gives_the_same(task, monkeypatch):
    monkeypatch.setattr(MultiVectorEmbedder, "texts_per_window", 4)
    parts = list(task.embed_stream(iter(TEXTS), advance=(seen := []).append))
    assert sum(map(len, parts)) == sum(seen) == len(TEXTS)
    assert np.concatenate([part.vectors for part in parts]).tobytes() == task.embed_documents(TEXTS).vectors.tobytes()


@pytest.mark.parametrize(
    ("method", "limit"), [("embed_documents", 20), ("embed_queries", 12)], ids=["documents", "queries"]
)
def test_texts_that_are_too_long(folder, method, limit):
    task = MultiVectorEmbedder(folder)
    with pytest.warns(TruncationWarning, match=rf"1 of 2 texts is longer than the model's {limit} tokens"):
        getattr(task, method)(["the", "the " * 30])
    with pytest.raises(TruncationError, match=rf"{limit} tokens \(the first is text 1\)"):
        getattr(MultiVectorEmbedder(folder, on_truncation="error"), method)(["the", "the " * 30])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        getattr(MultiVectorEmbedder(folder, on_truncation="cut"), method)(["the " * 30])


def test_a_limit_of_your_own_is_for_documents(folder):
    task = MultiVectorEmbedder(folder, max_tokens=7, on_truncation="cut")
    assert (task.max_tokens, task.max_query_tokens) == (7, 12)
    assert task.embed_documents(["the " * 30]).offsets.tolist() == [0, 7]


def test_copies_pickles_and_threads(task):
    expected = task.embed_query("the cat").tobytes()
    for other in (copy.copy(task), copy.deepcopy(task), pickle.loads(pickle.dumps(task))):  # noqa: S301
        assert other.embed_query("the cat").tobytes() == expected
        assert other.on_truncation == "cut"
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda text: task.maxsim(text, TEXTS).tobytes(), TEXTS * 2))
    assert found == [task.maxsim(text, TEXTS).tobytes() for text in TEXTS] * 2


def test_a_cache_gives_the_same_bits_and_nothing_is_computed_twice(folder, task, tmp_path, texts_run):
    expected, queries = task.embed_documents(TEXTS), task.embed_queries(TEXTS)
    del texts_run[:]
    cached = MultiVectorEmbedder(folder, cache=tmp_path / "vectors.db", on_truncation="cut")
    for other, computed in (
        (cached, [len(TEXTS)]),
        (cached, [0]),
        (pickle.loads(pickle.dumps(cached)), [0]),  # noqa: S301
    ):
        check_equal(other.embed_documents(TEXTS), expected)
        assert texts_run == computed
        del texts_run[:]
    order = [*range(len(TEXTS))[::-1], 0, 0]
    check_equal(cached.embed_documents([TEXTS[place] for place in order]), expected[order])
    check_equal(cached.embed_documents([]), expected[:0])
    check_equal(MultiVectors.concatenate([text for part in cached.embed_stream(TEXTS) for text in part]), expected)
    assert sum(texts_run) == 0
    check_equal(cached.embed_queries(TEXTS), queries)
    assert sum(texts_run) == len(TEXTS)
    assert cached.maxsim("the cat", TEXTS).tobytes() == task.maxsim("the cat", TEXTS).tobytes()


def test_a_cache_keeps_queries_and_documents_apart_even_with_the_same_prompt(folder, task, tmp_path):
    cached = MultiVectorEmbedder(folder, cache=tmp_path / "vectors.db", on_truncation="cut")
    for _ in range(2):
        for side in ("query", "document", "text"):
            check_equal(cached.embed_as(side, TEXTS, ""), task.embed_as(side, TEXTS, ""))


def test_texts_that_are_too_long_are_counted_by_the_limit_of_their_side(folder, tmp_path):
    cached = MultiVectorEmbedder(folder, cache=tmp_path / "vectors.db")
    for _ in range(2):
        with pytest.warns(TruncationWarning, match="longer than the model's 20 tokens"):
            cached.embed_documents(["the " * 30])
        with pytest.warns(TruncationWarning, match="longer than the model's 12 tokens"):
            cached.embed_query("the " * 30)


def test_merged_vectors_are_cached(tmp_path):
    folder = write_model(tmp_path / "m", pooling={"pool_factor": 2.5, "normalize_embeddings": True})
    plain = MultiVectorEmbedder(folder, on_truncation="cut")
    cached = MultiVectorEmbedder(folder, cache=tmp_path / "vectors.db", on_truncation="cut")
    for _ in range(2):
        check_equal(cached.embed_documents(TEXTS), plain.embed_documents(TEXTS))


def test_an_encoder_may_be_shared(folder, task):
    encoder = Encoder(folder)
    assert MultiVectorEmbedder(encoder).embed_query("the").tobytes() == task.embed_query("the").tobytes()
    assert encoder.max_tokens == tiny.MAX_TOKENS  # Its own limit stays.
    with pytest.raises(UnsupportedModelError, match="a vector for each token of a text. Use MultiVectorEmbedder"):
        Embedder(encoder)


def test_wrong_texts(task):
    with pytest.raises(TextTypeError, match="text 1 is of type int"):
        task.embed_documents(["a", 2])
    with pytest.raises(TextTypeError, match="embed_query takes one str"):
        task.embed_query(["a"])
    with pytest.raises(TextTypeError):
        task.maxsim("a", "one text")
    with pytest.raises(TextError, match="text 1"):
        task.embed_queries(["a", "\ud800"])
    with pytest.raises(TextTypeError, match="text 1 is of type NoneType"):
        task.explain("a", None)


def test_vectors_that_do_not_fit(task):
    documents = task.embed_documents(["the cat"])
    with pytest.raises(InputError, match=f"have {WIDTH} numbers, but the others have 5"):
        task.maxsim(np.ones((2, 5), np.float32), documents)
    with pytest.raises(InputError, match=r"\[t, d\]"):
        task.maxsim(np.ones(WIDTH, np.float32), documents)
    with pytest.raises(InputError, match="not finite"):
        task.maxsim(np.full((1, WIDTH), np.nan, np.float32), documents)


def test_names_of_other_libraries_are_answered(task):
    with pytest.raises(AttributeError, match=r"Use embed_documents\(texts\), or embed_query"):
        task.encode(["a"])
    with pytest.raises(AttributeError, match=r"Use maxsim\(query, documents\)"):
        task.similarity(1, 2)
    with pytest.raises(TypeError, match="Did you mean max_tokens"):
        MultiVectorEmbedder("x", max_seq_length=3)


def test_weights_that_give_nonsense(tmp_path):
    folder = write_model(tmp_path / "m", dense=(WIDTH,), normalize=False)
    from safetensors.numpy import load_file, save_file

    weights = load_file(folder / "1_Dense" / "model.safetensors")
    save_file(
        {name: array * np.float32(3e38) for name, array in weights.items()}, folder / "1_Dense" / "model.safetensors"
    )
    with pytest.raises(InvalidModelError, match=r"tensor 'linear.weight' holds NaN|text 0 a vector that is not finite"):
        MultiVectorEmbedder(folder).embed_documents(["the cat"])


@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_markers_are_single_tokens(tmp_path, family):
    task = MultiVectorEmbedder(add_tokens(write_pylate(tmp_path / "m", family), "[Q] ", "[D] "))
    assert (task.query_prompt, task.document_prompt) == ("[Q] ", "[D] ")
    pieces = [token.piece for token in task.tokenizer.inspect("the", "[Q] ").tokens]
    assert pieces[1:3] == ["[Q] ", "the"]
    task = MultiVectorEmbedder(add_tokens(write_stanford(tmp_path / "s"), "[unused0]", "[unused1]"))
    assert [token.piece for token in task.tokenizer.inspect("the", task.query_prompt).tokens][1:3] == [
        "[unused0]",
        "the",
    ]


def test_models_that_are_refused(tmp_path):
    with pytest.raises(UnsupportedModelError, match="If it gives one vector for each text, use Embedder"):
        MultiVectorEmbedder(tiny.write_model(tmp_path / "dense"))
    with pytest.raises(UnsupportedModelError, match="relative positions as in DeBERTa"):
        MultiVectorEmbedder(write_model(tmp_path / "deberta", "deberta-v2", expansion=FIXED))
    assert MultiVectorEmbedder(write_model(tmp_path / "attended", "deberta-v2", expansion=FIXED | {"attend": True}))
    with pytest.raises(InvalidModelError, match="filled up to 99 tokens, but the encoder reads at most 40"):
        MultiVectorEmbedder(write_model(tmp_path / "long", expansion=FIXED | {"length": 99}))
    with pytest.raises(InvalidModelError, match="a document_length of 2 leaves no room"):
        MultiVectorEmbedder(write_model(tmp_path / "short", document_length=2))
    with pytest.raises(UnsupportedModelError, match="reads queries in a way of their own"):
        MultiVectorEmbedder(write_routed(tmp_path / "routed"))
