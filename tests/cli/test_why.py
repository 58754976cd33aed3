from __future__ import annotations

import numpy as np
import pytest

from pellucid import Embedder, SparseEmbedder
from pellucid.cli.why import Why, WordPair, _explain, describe, explain
from pellucid.errors import UnsupportedModelError
from pellucid.explain.words import Word, WordShares
from tests import tiny


def shares_of(first, second, shares, frame=0.0):
    words = [tuple(Word(text, 0, len(text), ()) for text in texts.split()) for texts in (first, second)]
    return WordShares(*words, np.array(shares), frame)


def test_it_fits_the_width():
    pairs = tuple(WordPair("query", f"word{number}", 0.01) for number in range(4))
    assert describe(Why(0.5, pairs, 0.1, None), 60) == [
        "query ↔ word0 +0.010, query ↔ word1 +0.010,",
        "query ↔ word2 +0.010, query ↔ word3 +0.010,",
        "together 8% of the cosine,",
        "the rest comes from many other pairs",
    ]


@pytest.mark.parametrize(
    ("cosine", "expected"),
    [
        (0.1, "a ↔ b +0.010, together 10% of the cosine, the rest comes from many other pairs"),
        (9.0, "a ↔ b +0.010, together less than 1% of the cosine, the rest comes from many other pairs"),
        (0.02, "a ↔ b +0.010, together 50% of the cosine"),
        (0.01, "a ↔ b +0.010, together 100% of the cosine"),
        (0.005, "a ↔ b +0.010, but other pairs take some of it away"),
        (-0.1, "a ↔ b +0.010, but other pairs take more away"),
    ],
)
def test_the_pairs_are_never_more_than_the_cosine(cosine, expected):
    assert describe(Why(cosine, (WordPair("a", "b", 0.01),), 0.0, None), 120) == [expected]


def test_the_reason_why_there_are_no_pairs_is_said():
    assert describe(Why(0.5, (), None, "max pooling"), 80) == ["No words to show: max pooling"]


@pytest.mark.parametrize(
    ("shares", "pairs", "line"),
    [
        (shares_of("the cat", "a dog", [[0.3, 0.2], [0.2, 0.1]]), [("cat", "dog", 0.1)], None),
        (shares_of("The", "dog .", [[0.3, 0.4]]), [], "Only common words, such as “the”, match."),
        (shares_of("cat", "the .", [[0.3, 0.4]]), [], "Only common words, such as “the”, match."),
        (shares_of("cat", "dog the", [[-0.3, -0.1]]), [], "No pair of words adds to the cosine."),
        (shares_of("?", "dog", [[0.3]]), [], "No pair of words adds to the cosine."),
    ],
)
def test_common_words_and_marks_are_left_out(shares, pairs, line):
    why = _explain(shares)
    assert [(pair.query, pair.chunk, pytest.approx(pair.share)) for pair in why.pairs] == pairs
    assert why.why_no_pairs == line
    if line is not None:
        assert describe(why, 80) == [line]


def test_common_words_do_not_take_the_places_of_others():
    """However many there are, and however much they add."""
    the = " ".join(["the", "a", "of", "and", "to", "in", "is", "it"])
    shares = np.full((9, 9), 0.5)
    shares[8, 8] = 0.1
    assert [pair.share for pair in _explain(shares_of(f"{the} cat", f"{the} dog", shares)).pairs] == [0.1]


def test_a_model_without_pairs_says_why(tmp_path):
    embedder = Embedder(tiny.write_model(tmp_path / "m", pooling={"pooling_mode_max_tokens": True}))
    (why,) = explain(embedder, "cat", ["dog"], [0.5])
    assert (why.score, why.pairs, why.frame) == (0.5, (), None)
    assert "max pooling" in why.why_no_pairs


def test_a_model_whose_dimensions_are_no_words_says_so(monkeypatch):
    def refuse(_query, _chunk):
        raise UnsupportedModelError("m: the dimensions of its vectors are not tokens.")

    embedder = SparseEmbedder.__new__(SparseEmbedder)
    monkeypatch.setattr(SparseEmbedder, "explain", lambda _self, *texts: refuse(*texts))
    (why,) = explain(embedder, "cat", ["dog"], [7.5])
    assert why.to_dict() == {
        "score": 7.5,
        "pairs": (),
        "frame": None,
        "why_no_pairs": "m: the dimensions of its vectors are not tokens.",
    }
    assert describe(why, 80) == ["No words to show: m: the dimensions of its vectors are not tokens."]
