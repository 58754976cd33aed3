"""model2vec's own rules: what it reads of a text. ``tests/test_static_models.py`` has its vectors."""

from __future__ import annotations

import pytest

from pellucid import Embedder
from pellucid.errors import TextError, TruncationError, TruncationWarning
from pellucid.text.model2vec import Model2VecTokenizer
from tests.static_models import write_static


def tokenizer_of(folder, **settings) -> Model2VecTokenizer:
    return Embedder(write_static(folder, "model2vec", **settings)).tokenizer


@pytest.fixture
def tokenizer(tmp_path) -> Model2VecTokenizer:
    """At most 4 tokens. Most tokens of its vocabulary have one letter, or ## and one letter: the median length is 3."""
    return tokenizer_of(tmp_path / "m", max_length=4)


def pieces(tokenizer, text):
    return [token.piece for token in tokenizer.inspect(text).tokens]


def test_there_are_no_special_tokens(tokenizer):
    assert pieces(tokenizer, "the cat") == ["the", "cat"]
    assert pieces(tokenizer, "") == []


@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
def test_unknown_tokens_are_left_out(tmp_path, family):
    tokenizer = tokenizer_of(tmp_path / "m", family=family)
    known, _ = tokenizer.tokenize(["the cat"])
    tokens, counts = tokenizer.tokenize(["☃", "the ☃ cat", "the cat"])
    unknown = int(counts[1]) - 2
    assert unknown > 0
    assert tokens.lengths[0] <= 1  # Unigram has a token for the space before a word.
    assert set(known.ids.tolist()) <= set(tokens.ids.tolist())
    assert tokenizer.inspect("the ☃ cat").tokens[-1].piece == tokenizer.inspect("cat").tokens[-1].piece
    assert all(token.kind == "text" for token in tokenizer.inspect("the ☃ cat").tokens)


def test_unknown_tokens_count_for_the_limit(tokenizer):
    assert pieces(tokenizer, "☃ ☃ the cat dog") == ["the", "cat"]
    tokens, counts = tokenizer.tokenize(["☃ ☃ the cat dog"])
    assert (tokens.lengths.tolist(), counts.tolist()) == ([2], [5])


def test_the_first_characters_are_read(tokenizer):
    limit = tokenizer.max_characters
    assert limit == 4 * 3
    text = "." * 2 + " " * (limit - 3) + "cat"
    tokens, _ = tokenizer.tokenize([text])
    assert pieces(tokenizer, text) == [".", ".", "c"]
    assert tokens.lengths.tolist() == [3]


def test_a_prompt_is_part_of_the_characters(tokenizer):
    limit = tokenizer.max_characters
    tokens, _ = tokenizer.tokenize([" " * (limit - 3) + "cat"], prompt="the")
    assert tokens.ids.tolist() == tokenizer.tokenize(["the"])[0].ids.tolist()


def test_what_the_cut_by_characters_lost_is_reported(tmp_path):
    model = Embedder(write_static(tmp_path / "m", "model2vec", max_length=4))
    text = "." + " " * model.tokenizer.max_characters + "cat dog"
    with pytest.warns(TruncationWarning, match=r"1 of 1 text is longer .* 2 of 6 tokens"):
        vector = model.embed_query(text)
    assert vector.tolist() == model.embed_query(".").tolist()
    with pytest.raises(TruncationError):
        Embedder(tmp_path / "m", on_truncation="error").embed_query(text)


def test_spaces_that_were_cut_off_are_not_reported(tokenizer):
    _, counts = tokenizer.tokenize(["." + " " * 5000])
    assert counts.tolist() == [1]


def test_a_trace_shows_what_was_cut(tokenizer):
    shown = tokenizer.inspect("the cat sat on the mat")
    assert [token.piece for token in shown.tokens] == ["the", "cat", "sat"]  # Twelve characters.
    assert [token.piece for token in shown.cut] == ["on", "the", "mat"]
    assert [token.piece for token in tokenizer.inspect("a b c d e").cut] == ["e"]


def test_without_a_limit_everything_is_read(tmp_path):
    tokenizer = tokenizer_of(tmp_path / "m", max_length=None)
    assert tokenizer.max_characters is None
    assert tokenizer.tokenize(["cat " * 3000])[0].lengths.tolist() == [3000]


def test_texts_are_checked_first(tokenizer):
    with pytest.raises(TextError, match="text 1 has a lone surrogate"):
        tokenizer.tokenize(["a", "\ud800"])
