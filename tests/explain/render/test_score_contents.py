from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from pellucid import MultiVectorEmbedder, Reranker, SparseEmbedder
from pellucid.explain.alignment import Alignment
from pellucid.explain.render import score_contents
from pellucid.explain.render.contents import page_data
from pellucid.explain.render.html import page
from tests import tiny
from tests.explain.render.test_packing import unpacked
from tests.multi_vector_models import FIXED, write_model
from tests.tiny_families import LAYERS


@pytest.fixture(scope="module")
def reranker(tmp_path_factory):
    return Reranker(tiny.write_scoring_model(tmp_path_factory.mktemp("models") / "reranker"))


def test_a_score_is_complete(reranker):
    found = reranker.explain("the cat", "a dog sat. The cat!", prompt="a ")
    data = score_contents.score_data(found)
    assert (data["kind"], data["score"], data["logit"], data["activation"]) == (
        "score",
        found.score,
        found.logit,
        "sigmoid",
    )
    for side, text, changes in (
        (data["sides"][0], found.query, found.query_changes),
        (data["sides"][1], found.document, found.document_changes),
    ):
        characters = [side["text"][start:end] for start, end in side["words"]]
        assert characters == [word.text for word in text.words]
        for kind in ("tokens", "words", "sentences"):
            packed = unpacked(side[f"{kind[:-1]}_changes"])
            np.testing.assert_allclose(packed, getattr(changes, kind), rtol=0, atol=0.51e-6)
    assert [side["sentences"] for side in data["sides"]] == [[[0, 7]], [[0, 10], [11, 19]]]
    for name, attention in (("query", found.query_attention), ("document", found.document_attention)):
        maps = unpacked(data["attention"][name])
        np.testing.assert_allclose(maps[0], attention.mean(axis=0), rtol=0, atol=0.51e-4)
        np.testing.assert_allclose(maps[1:], attention, rtol=0, atol=0.51e-4)


def test_a_score_of_long_texts_leaves_out_layers_words_and_tokens(reranker, monkeypatch):
    found = reranker.explain("the cat", "a dog sat. The cat! " * 20)
    shapes = set()
    for limit in range(2000, -1, -20):
        monkeypatch.setattr(score_contents, "_MAX_PAIR_ATTENTION_CHARACTERS", limit)
        attention = score_contents.score_data(found)["attention"]
        shapes.add((attention["query"]["shape"][0], attention["query"]["decimals"]))
        assert attention["layers"] == LAYERS
    assert shapes == {(1 + LAYERS, 4), (1 + LAYERS, 3), (1, 3)}
    monkeypatch.setattr(score_contents, "MAX_TOKENS", 5)
    monkeypatch.setattr(score_contents, "MAX_TEXT_CHARACTERS", 12)
    side = score_contents.score_data(found)["sides"][1]
    assert (len(side["tokens"]), side["count"], side["token_changes"]["shape"]) == (5, 19, [5])
    assert (side["words"][-1], side["word_changes"]["shape"]) == ([9, 10], [4])
    assert (side["sentences"], side["sentence_changes"]["shape"]) == ([[0, 10], [11, 19]], [2])
    assert side["cut_count"] == len(found.document.cut)


def test_an_empty_pair_has_no_attention(reranker):
    assert score_contents.score_data(reranker.explain("", ""))["attention"] is None


def test_a_score_of_sparse_vectors_is_complete(tmp_path, monkeypatch):
    embedder = SparseEmbedder(tiny.write_splade_model(tmp_path / "m"), on_truncation="cut")
    found = embedder.explain("the cat", "a dog sat " * 30)
    monkeypatch.setattr(score_contents, "_MAX_TERMS", 5)
    data = page_data(found)
    assert (data["kind"], data["score"], data["sentence"]) == ("sparse", found.score, found.sentence)
    assert [match["piece"] for match in data["matches"]] == [match.piece for match in found.matches[:5]]
    assert data["more"] == len(found.matches) - 5
    shown = sum(match["product"] for match in data["matches"])
    assert shown + data["rest"] == pytest.approx(found.score, abs=1e-5)
    assert [len(side["terms"]) for side in data["sides"]] == [5, 5]
    assert data["notes"] == [f"{found.document.cut} tokens of the document were cut off."]


def test_a_token_that_raised_terms_adds_what_they_add(tmp_path):
    embedder = SparseEmbedder(tiny.write_splade_model(tmp_path / "m"))
    found = embedder.explain("the cat", "a dog sat")
    for side, text in zip(page_data(found)["sides"], (found.query, found.document), strict=True):
        adds = unpacked(side["adds"])
        assert len(adds) == len(text.tokens)
        assert adds.sum() == pytest.approx(found.score, abs=1e-4)


@pytest.fixture(scope="module")
def late(tmp_path_factory):
    folder = write_model(tmp_path_factory.mktemp("models") / "late", expansion=FIXED, document_length=40)
    return MultiVectorEmbedder(folder, on_truncation="cut")


def test_an_alignment_is_complete(late):
    found = late.explain("the cat", "a dog, sat. The cat! " * 9)
    data = json.loads(json.dumps(page_data(found)))
    assert (data["kind"], data["score"], data["sentence"]) == ("alignment", found.score, found.sentence)
    for side, text in zip(data["sides"], (found.query, found.document), strict=True):
        assert [token["piece"] for token in side["tokens"]] == [token.piece for token in text.tokens]
        assert [token["piece"] for token in side["skipped"]] == [token.piece for token in text.skipped]
        assert (side["count"], side["expansion"]) == (len(text.tokens), text.expansion)
    assert data["matches"] == found.matches.tolist()
    np.testing.assert_allclose(unpacked(data["parts"]), found.parts, rtol=0, atol=0.51e-6)
    np.testing.assert_allclose(unpacked(data["similarities"]), found.similarities, rtol=0, atol=0.51e-4)
    assert unpacked(data["document_parts"]).sum() == pytest.approx(found.score, abs=1e-4)
    assert data["notes"] == [f"{len(found.document.cut)} tokens of the document were cut off."]
    assert not any(side["cut_first"] for side in data["sides"])


def test_of_a_long_document_those_tokens_stay_that_were_found(late, monkeypatch):
    found = late.explain("the cat sat on the mat", "a dog sat The cat on a mat " * 5)
    assert len(set(found.matches.tolist())) >= 3
    most = len(found.query.tokens)
    monkeypatch.setattr(score_contents, "MAX_TOKENS", most)
    data = page_data(found)
    query, document = data["sides"]
    assert (len(query["tokens"]), len(document["tokens"])) == (most, most)
    places = [(token["start"], token["piece"]) for token in document["tokens"]]
    assert [places[match] for match in data["matches"]] == [
        (found.document.tokens[match].start, found.document.tokens[match].piece) for match in found.matches.tolist()
    ]
    best = unpacked(data["similarities"])[np.arange(most), data["matches"]]
    np.testing.assert_allclose(best, unpacked(data["parts"]), rtol=0, atol=0.51e-4)


def test_of_a_long_query_the_first_tokens_are_shown_and_what_the_rest_adds(late, monkeypatch):
    found = late.explain("the cat sat", "a dog")
    monkeypatch.setattr(score_contents, "MAX_TOKENS", 4)
    data = page_data(found)
    assert ([token["piece"] for token in data["sides"][0]["tokens"]], len(data["matches"])) == (
        ["[CLS]", "the", "cat", "sat"],
        4,
    )
    assert (data["sides"][0]["count"], data["sides"][0]["expansion"]) == (12, 0)
    assert unpacked(data["parts"]).sum() + data["rest"] == pytest.approx(found.score, abs=1e-4)


def test_an_alignment_with_a_document_without_vectors(late, tmp_path):
    task = MultiVectorEmbedder(write_model(tmp_path / "m", mask={"keep_only_token_ids": [0]}))
    data = page_data(task.explain("the cat", "a dog"))
    assert (data["matches"], data["score"], data["sentence"]) == ([], -1e9, "One of the texts has no vectors.")


def test_the_largest_alignment_is_a_page_below_3_mb(late):
    some = late.explain("the cat", "a dog").query
    tokens = tuple(dataclasses.replace(some.tokens[1], start=7 * n, end=7 * n + 7) for n in range(9000))
    text = "\u4e2d\u6587 \u2028 <b" * 9000
    document = dataclasses.replace(some, text=text, tokens=tokens, skipped=tokens, cut=tokens, expansion=0)
    similarities = np.random.RandomState(0).uniform(-1, 1, (700, 9000)).astype(np.float32)
    query = dataclasses.replace(document, tokens=tokens[:700])
    alignment = Alignment(
        "m", 1.0, query, document, similarities, similarities.argmax(axis=1), similarities.max(axis=1)
    )
    assert len(page(alignment).encode()) < 3_000_000
