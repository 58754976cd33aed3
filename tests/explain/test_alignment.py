from __future__ import annotations

import functools
import json

import numpy as np
import pytest

from pellucid import MultiVectorEmbedder
from pellucid.errors import InputError, OptionError, TextTypeError, UnsupportedModelError
from pellucid.explain.alignment import AlignedText, Alignment, align
from pellucid.types import Token
from tests.multi_vector_models import FIXED, TEXTS, write_model

QUERY, DOCUMENT = "the cat", "A dog, the cat sat!"


@pytest.fixture(scope="module")
def task(tmp_path_factory) -> MultiVectorEmbedder:
    folder = tmp_path_factory.mktemp("models") / "m"
    write_model(folder, expansion=FIXED, prompts={"query": "query: "}, document_length=20)
    return MultiVectorEmbedder(folder, on_truncation="cut")


@pytest.mark.parametrize("text", TEXTS)
def test_the_parts_add_up_to_the_score(task, text):
    found = task.explain(QUERY, text)
    assert found.score == task.maxsim(QUERY, [text])[0]
    assert np.float32(functools.reduce(lambda a, b: a + b, map(float, found.parts))) == np.float32(found.score)
    assert found.similarities.shape == (len(found.query.tokens), len(found.document.tokens))
    np.testing.assert_array_equal(found.parts, found.similarities.max(axis=1))
    rows = np.arange(len(found.matches))
    np.testing.assert_array_equal(found.parts, found.similarities[rows, found.matches])


def test_the_tokens(task):
    found = task.explain(QUERY, DOCUMENT)
    assert [token.piece for token in found.query.tokens][:6] == ["[CLS]", "query", ":", "the", "cat", "[SEP]"]
    assert [token.piece for token in found.query.tokens][6:] == ["[MASK]"] * 6
    assert [token.piece for token in found.document.tokens] == ["[CLS]", "a", "dog", "the", "cat", "sat", "[SEP]"]
    assert [token.piece for token in found.document.skipped] == [",", "!"]
    whole = found.query.prompt + found.query.text
    assert [whole[token.start : token.end] for token in found.query.tokens][3:5] == ["the", "cat"]
    assert (found.query.expansion, found.document.expansion) == (6, 0)
    assert [found.query.words(token) for token in found.query.tokens][:5] == ["[CLS]", "query", ":", "the", "cat"]
    assert len(task.explain(QUERY, "the " * 30).document.cut) == 12


def test_the_tokens_of_one_text_are_those_of_a_document(task):
    assert task.explain_text(DOCUMENT) == task.explain(QUERY, DOCUMENT).document
    prompted = task.explain_text(DOCUMENT, prompt_name="query")
    assert prompted.prompt == "query: "
    assert [token["piece"] for token in json.loads(prompted.to_json())["skipped"]] == [":", ",", "!"]
    with pytest.raises(TextTypeError, match="text 0"):
        task.explain_text(None)


def test_the_prompt_of_the_query_can_be_chosen(task):
    plain = task.explain(QUERY, DOCUMENT, prompt="")
    assert [token.piece for token in plain.query.tokens][:4] == ["[CLS]", "the", "cat", "[SEP]"]
    assert plain.score == task.maxsim(task.embed_query(QUERY, prompt=""), [DOCUMENT])[0]
    with pytest.raises(OptionError, match="no prompt"):
        task.explain(QUERY, DOCUMENT, prompt_name="x")


def test_a_token_of_the_document_adds_the_parts_of_those_that_found_it(task):
    found = task.explain(QUERY, DOCUMENT)
    for position, adds in enumerate(found.document_parts):
        assert adds == pytest.approx(sum(found.parts[found.matches == position].tolist()))
    assert found.document_parts.sum() == pytest.approx(found.score, rel=1e-6)


def piece(text: str, start: int, kind="text") -> Token:
    return Token(7, text.lower(), start, start + len(text) * (kind == "text"), kind, continues=False)


@pytest.mark.parametrize(
    ("count", "expansion", "said"),
    [
        (1, 0, "The query has no words. 1 token of the query adds 0.100."),
        (2, 0, "“Lease” found “lets” (0.900). 1 other token of the query adds 0.100."),
        (4, 0, "“Lease” found “lets” (0.900) and “end” found “end” (0.500). 2 other tokens of the query add 0.400."),
        (
            6,
            2,
            "“Lease” found “lets” (0.900) and “end” found “end” (0.500). 4 other tokens of the query add 0.800; 2 of "
            "them only fill it up.",
        ),
    ],
)
def test_the_sentence_names_the_words_that_found_the_most_similar_tokens(count, expansion, said):
    mask = piece("[MASK]", 11, "special")
    tokens = (piece("[CLS]", 0, "special"), piece("Lease", 0), piece("?", 10), piece("end", 6), mask, mask)
    parts = np.array([0.1, 0.9, 0.3, 0.5, 0.2, 0.2], np.float32)[:count]
    query = AlignedText("", "Lease end ?", tokens[:count], (), (), expansion)
    document = AlignedText("", "lets end", (piece("lets", 0), piece("end", 5)), (), ())
    matches = np.array([0, 0, 0, 1, 1, 1])[:count]
    similarities = np.zeros((count, 2), np.float32)
    similarities[np.arange(count), matches] = parts
    found = Alignment("m", float(parts.sum()), query, document, similarities, matches, parts)
    assert found.sentence == said
    assert found.headline == f"The score is {parts.sum():.4f}."
    assert json.loads(found.to_json())["sentence"] == said


def test_the_words_for_a_terminal(task):
    found = task.explain(QUERY, DOCUMENT)
    first, *lines = str(found).splitlines()
    assert first == f"The score is {found.score:.4f}, the sum of the similarities of 12 tokens."
    assert len(lines) == 12
    assert lines[3].split()[-3:] == ["the", "→", found.document.tokens[found.matches[3]].piece]
    assert repr(found) == f"Alignment(score={found.score:.4f}, 12 × 7 tokens)"


def test_json(task):
    found = task.explain(QUERY, DOCUMENT)
    values = json.loads(found.to_json())
    assert values["score"] == found.score
    assert values["matches"] == found.matches.tolist()
    assert [values[side]["expansion"] for side in ("query", "document")] == [6, 0]
    assert np.array(values["similarities"], np.float32).tobytes() == found.similarities.tobytes()
    assert "similarities" not in json.loads(found.to_json(arrays=False))


def test_merged_vectors_are_of_no_token(tmp_path):
    with pytest.raises(UnsupportedModelError, match="merges vectors"):
        MultiVectorEmbedder(write_model(tmp_path / "m", pooling={"pool_factor": 2})).explain(QUERY, DOCUMENT)
    folder = write_model(tmp_path / "n", pooling={"pool_factor": 1, "normalize_embeddings": True}, normalize=False)
    task = MultiVectorEmbedder(folder)
    assert task.explain(QUERY, DOCUMENT).score == task.maxsim(QUERY, [DOCUMENT])[0]


def test_a_vector_for_each_token(task):
    found = task.explain(QUERY, DOCUMENT)
    vectors = np.ones((12, task.dimensions), np.float32)
    with pytest.raises(InputError, match="one vector for each token"):
        align(task.encoder, found.query, found.document, vectors, vectors)
