from __future__ import annotations

import json

import numpy as np
import pytest

from pellucid import SparseEmbedder
from pellucid.errors import OptionError, TextTypeError
from pellucid.layers.finish import EachToken
from tests import bge_m3, tiny

QUERY, DOCUMENT = "the cat sat", "a dog sat on the mat"


@pytest.fixture(scope="module", params=["max", "sum"])
def embedder(request, tmp_path_factory) -> SparseEmbedder:
    folder = tmp_path_factory.mktemp("splade") / "m"
    return SparseEmbedder(tiny.write_splade_model(folder, prompts={"query": "the "}, pooling_strategy=request.param))


def test_the_terms_add_up_to_the_score(embedder):
    explained = embedder.explain(QUERY, DOCUMENT)
    score = embedder.embed_query(QUERY).dot(embedder.embed_documents([DOCUMENT])).item()
    assert explained.score == pytest.approx(score, rel=1e-6)
    assert sum(match.product for match in explained.matches) == pytest.approx(explained.score)
    products = [match.product for match in explained.matches]
    assert products == sorted(products, reverse=True)
    for match in explained.matches:
        assert match.product == match.in_query.weight * match.in_document.weight
        assert match.in_query.id == match.in_document.id
    shared = {term.id for term in explained.query.terms} & {term.id for term in explained.document.terms}
    assert {match.in_query.id for match in explained.matches} == shared


def test_a_term_is_raised_by_the_token_that_scores_highest(embedder):
    text = embedder.explain_text(DOCUMENT)
    weights = embedder.embed_documents([DOCUMENT])
    assert {term.id: term.weight for term in text.terms} == dict(
        zip(weights.indices.tolist(), weights.values.tolist(), strict=True)
    )
    tokens, _ = embedder.tokenizer.tokenize([DOCUMENT])
    assert [token.id for token in text.tokens] == tokens.ids.tolist()
    scores = embedder.encoder.vocabulary.token_scores(embedder.encoder.run(tokens, EachToken()).vectors)
    for term in text.terms:
        assert term.raised_by == np.argmax(scores[:, term.id])
        assert term.piece == embedder.tokenizer.piece(term.id)
    assert {text.words(term) for term in text.terms} <= {*DOCUMENT.split(), "[CLS]", "[SEP]"}


def test_the_sentence_and_the_json_say_the_same(embedder):
    explained = embedder.explain(QUERY, DOCUMENT)
    assert str(explained).startswith(f"The score is {explained.score:.4f}. “{explained.matches[0].piece}” adds ")
    written = json.loads(explained.to_json())
    assert written["score"] == explained.score
    assert [match["product"] for match in written["matches"]] == [match.product for match in explained.matches]
    assert written["query"]["prompt"] == "the "
    assert written["model"] == "m"
    one = json.loads(embedder.explain_text(QUERY).to_json())
    assert [term["weight"] for term in one["terms"]] == [
        pytest.approx(term.weight) for term in embedder.explain_text(QUERY).terms
    ]


def test_long_and_empty_texts(embedder):
    explained = embedder.explain("", "cat " * 90)
    assert explained.document.cut == 90 + 2 - embedder.max_tokens
    assert not explained.query.cut


def test_what_cannot_be_explained_is_said(embedder, tmp_path):
    with pytest.raises(TextTypeError, match="text 1"):
        embedder.explain("a", 1)
    with pytest.raises(OptionError, match="no prompt"):
        embedder.explain("a", "b", prompt_name="x")


def test_no_term_in_common(embedder):
    explained = embedder.explain(QUERY, DOCUMENT)
    alone = type(explained)(explained.model_name, 0.0, (), explained.query, explained.document)
    assert str(alone) == "The score is 0.0000. The query and the document have no term in common."


def test_a_term_of_bge_m3_is_raised_by_one_of_its_own_tokens(tmp_path):
    embedder = SparseEmbedder(bge_m3.write_model(tmp_path / "m"))
    text = "the cat sat on the mat"
    explained = embedder.explain_text(text)
    assert len(explained.terms) == len(embedder.embed_documents([text]).values) > 0
    alone = embedder.finish().token_weights
    tokens, _ = embedder.tokenizer.tokenize([text])
    weights = alone(embedder.encoder.run(tokens, EachToken()).vectors, tokens)
    for term in explained.terms:
        places = np.flatnonzero(tokens.ids == term.id)
        assert term.raised_by == places[weights[places].argmax()]
        assert term.weight == weights[term.raised_by]
