from __future__ import annotations

import pytest

from pellucid import Reranker
from pellucid.errors import UnsupportedModelError
from pellucid.explain.pair import find_sentences, read_pair
from pellucid.types import Token
from tests import tiny
from tests.causal_rerankers import PAIRS, write_reranker


@pytest.fixture(scope="module")
def reranker(family, tmp_path_factory) -> Reranker:
    return Reranker(tiny.write_scoring_model(tmp_path_factory.mktemp("models") / family, family))


def tokens_of(*spans):
    return [Token(0, "?", start, end, "text", False) for start, end in spans]


@pytest.mark.parametrize(
    ("text", "spans", "expected"),
    [
        ("a b. c", [(0, 1), (2, 3), (3, 4), (5, 6)], [("a b.", (0, 1, 2)), ("c", (3,))]),
        ("a. b", [(0, 1), (1, 2), (2, 4)], [("a.", (0, 1)), ("b", (2,))]),  # The third token has a space before it.
        ("a. b. c", [(0, 1), (1, 2)], [("a.", (0, 1))]),  # The end was cut off.
        ("a b. c", [(2, 3), (3, 4), (5, 6)], [("b.", (0, 1)), ("c", (2,))]),  # The start was.
        ("  a", [(0, 1), (1, 2), (2, 3)], [("a", (0, 1, 2))]),
        (" \n", [(0, 2)], [("", (0,))]),
        ("", [], []),
    ],
)
def test_each_token_is_in_the_sentence_in_which_it_begins(text, spans, expected):
    found = find_sentences(tokens_of(*spans), text)
    assert [(each.text.strip(), each.tokens) for each in found] == expected
    assert all(text[each.start : each.end] == each.text for each in found)


@pytest.mark.parametrize("pair", tiny.PAIRS)
def test_a_pair_is_read_as_the_tasks_read_it(reranker, pair):
    ours = read_pair(reranker.encoder, *pair, "")
    batch, _ = reranker.tokenize([pair])
    assert ours.batch.ids.tolist() == batch.ids.tolist()
    assert (ours.batch.segments is None) == (batch.segments is None)
    if batch.segments is not None:
        assert ours.batch.segments.tolist() == batch.segments.tolist()
    for side, text in enumerate(ours.texts):
        assert [token.id for token in text.tokens] == batch.ids[ours.places(side)].tolist()
        in_sentences = sorted(position for sentence in text.sentences for position in sentence.tokens)
        assert in_sentences == list(range(len(text.tokens)))


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_text_is_cut_at_the_side_that_the_model_names(tmp_path, side):
    folder = tiny.write_scoring_model(tmp_path / "m")
    tiny.edit_json(folder / "tokenizer_config.json", truncation_side=side)
    reranker = Reranker(folder, on_truncation="cut")
    words = " ".join(["the cat sat on a mat"] * 20)
    document = read_pair(reranker.encoder, "dog", words, "").texts[1]
    batch, _ = reranker.tokenize([("dog", words)])
    assert [token.id for token in document.tokens] == batch.ids[3:-1].tolist()
    assert len(document.tokens) + len(document.cut) == 120
    assert document.is_start_cut == (side == "left")
    first, last = document.tokens[0].start, document.tokens[-1].end
    assert (first, last) == ((len(words) - (last - first), len(words)) if side == "left" else (0, last))
    assert document.sentences[0].text == words[first:last]


# Chat templates


def causal(folder, layout, **options) -> Reranker:
    return Reranker(write_reranker(folder, layout, **options), engine="reference", on_truncation="cut")


@pytest.mark.parametrize("max_tokens", [120, 160, 400])
@pytest.mark.parametrize("layout", ["answers", "one answer", "cut at the start", "head"])
@pytest.mark.parametrize("prompt", ["", "Find cats"])
def test_a_pair_in_a_chat_template_is_read_as_the_tasks_read_it(tmp_path, layout, max_tokens, prompt):
    reranker = causal(tmp_path / "m", layout, max_tokens=max_tokens)
    for pair in PAIRS:
        ours = read_pair(reranker.encoder, *pair, prompt)
        batch, counts = reranker.tokenize([pair], prompt)
        assert ours.batch.ids.tolist() == batch.ids.tolist()
        for side, (text, given) in enumerate(zip(ours.texts, pair, strict=True)):
            assert [token.id for token in text.tokens] == batch.ids[ours.places(side)].tolist()
            in_sentences = sorted(position for sentence in text.sentences for position in sentence.tokens)
            assert in_sentences == list(range(len(text.tokens)))
            read = sorted([*text.tokens, *text.cut], key=lambda token: (token.start, token.end))
            covered = {place for token in read for place in range(token.start, token.end)}
            assert covered == set(range(len(given)))
            assert bool(text.cut) <= (counts[0] > max_tokens)


def test_a_template_that_changes_the_texts_hides_which_tokens_are_theirs(tmp_path):
    reranker = causal(tmp_path / "m", "parts")
    assert read_pair(reranker.encoder, "the cat", "a dog", "").texts[0].text == "the cat"
    with pytest.raises(UnsupportedModelError, match="the chat template changes the texts.*The score itself is right"):
        read_pair(reranker.encoder, " the cat", "a dog", "")
