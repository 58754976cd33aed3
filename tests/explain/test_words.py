from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pellucid import Embedder
from pellucid.explain.comparison import Comparison
from pellucid.explain.words import find_words, trace_words, word_pairs, word_shares
from pellucid.types import Token
from tests import tiny


@pytest.fixture(scope="module")
def embedder(family, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / family
    prompts = {"query": "query: ", "document": "passage: "}
    return Embedder(tiny.write_model(folder, family, prompts=prompts), on_truncation="ignore")


def tokens_of(*spans, kind="text"):
    return [Token(0, "?", start, end, kind, False) for start, end in spans]


@pytest.mark.parametrize(
    ("text", "spans", "expected"),
    [
        ("playing cats", [(0, 4), (4, 7), (8, 11), (11, 12)], ["playing", "cats"]),
        ("a cat, sat.", [(0, 1), (1, 5), (5, 6), (6, 10), (10, 11)], ["a", "cat", ",", "sat", "."]),
        ("cat.", [(0, 4)], ["cat."]),  # The vocabulary has one token for it.
        ("don't", [(0, 3), (3, 4), (4, 5)], ["don't"]),
        ("'cat'", [(0, 1), (1, 4), (4, 5)], ["'", "cat", "'"]),
        ("3.14, 1,000", [(0, 1), (1, 2), (2, 4), (4, 5), (6, 7), (7, 8), (8, 11)], ["3.14", ",", "1,000"]),
        ("max_len", [(0, 3), (3, 4), (4, 7)], ["max_len"]),
        ("an off-by-one", [(0, 2), (3, 6), (6, 7), (7, 9), (9, 10), (10, 13)], ["an", "off", "-", "by", "-", "one"]),
        ("猫坐在垫子上", [(0, 1), (1, 2), (2, 3), (3, 5), (5, 6)], ["猫", "坐", "在", "垫子", "上"]),
        ("用Python写", [(0, 1), (1, 4), (4, 7), (7, 8)], ["用", "Python", "写"]),
        ("हिन्दी", [(0, 1), (1, 2), (2, 4), (4, 6)], ["हिन्दी"]),
        ("ภาษา", [(0, 1), (1, 2), (2, 4)], ["ภ", "า", "ษา"]),
        ("é e\u0301t", [(0, 1), (2, 3), (3, 4), (4, 5)], ["é", "e\u0301t"]),
        ("a🐱b", [(0, 1), (1, 2), (1, 2), (1, 2), (1, 2), (2, 3)], ["a", "🐱", "b"]),  # Four bytes of one emoji.
        ("a  b", [(0, 1), (1, 3), (3, 4)], ["a", "b"]),
        (" a b", [(0, 0), (0, 2), (2, 2), (2, 4)], ["a", "b"]),
        ("", [], []),
    ],
)
def test_tokens_are_joined_to_the_words_of_the_text(text, spans, expected):
    words = find_words(tokens_of(*spans), text)
    assert [word.text for word in words] == expected
    assert [text[word.start : word.end] for word in words] == expected


def test_every_tokenizer_gives_the_same_words(embedder):
    words = trace_words(embedder.trace("The cat sat, on  mats", prompt="a: "))
    assert [word.text for word in words] == ["The", "cat", "sat", ",", "on", "mats"]


@given(text=st.text(max_size=30) | st.sampled_from(tiny.TEXTS))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_a_token_belongs_to_one_word_or_spells_nothing_of_the_text(embedder, text):
    trace = embedder.trace(text)
    words = trace_words(trace)
    used = [position for word in words for position in word.tokens]
    assert used == sorted(set(used))
    whole = trace.prompt + text
    for position in {*range(len(trace.tokens))} - {*used}:
        token = trace.tokens[position]
        assert token.kind == "special" or not whole[max(token.start, len(trace.prompt)) : token.end].strip()
    assert all(before.end <= after.start for before, after in itertools.pairwise(words))


@given(first=st.text(max_size=40), second=st.text(max_size=40) | st.sampled_from(tiny.TEXTS))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_words_and_frame_sum_to_the_cosine(embedder, first, second):
    comparison = embedder.compare(first, second)
    found = word_shares(comparison)
    assert found.shares.shape == (len(found.first), len(found.second))
    assert found.shares.sum() + found.frame == pytest.approx(comparison.cosine, abs=1e-6)
    pairs = word_pairs(comparison, count=10_000)
    assert sum(share for *_, share in pairs) == pytest.approx(float(found.shares.sum()), abs=1e-9)
    assert [share for *_, share in pairs] == sorted((share for *_, share in pairs), reverse=True)


def compared(first, second, pairs):
    """A comparison of two texts whose tokens are the words between spaces, each text between two special tokens."""
    return Comparison(traced(first), traced(second), float(np.sum(pairs)), np.array(pairs), None, *[np.zeros(0)] * 2)


class traced:  # noqa: N801  What word_pairs reads of a Trace.
    def __init__(self, text):
        self.prompt, self.text = "p ", text
        words = (self.prompt + text).split(" ")
        starts = np.cumsum([0, *(len(word) + 1 for word in words)])
        spans = [(start, start + len(word)) for start, word in zip(starts, words, strict=False)]
        special = tokens_of((0, 0), kind="special")
        self.tokens = (*special, *tokens_of(*spans), *special)


def test_a_pair_of_words_counts_once_with_the_sum_of_its_shares():
    pairs = np.zeros((4, 6))
    pairs[1, :] = 0.01  # The prompt of the first text.
    pairs[:, 5] += 0.001  # The last special token of the second.
    pairs[2, 2:5] = [0.125, 0.5, 0.25]
    comparison = compared("Cat", "cats dog CATS", pairs)
    assert word_pairs(comparison) == [("Cat", "dog", 0.5), ("Cat", "cats", 0.375)]
    assert word_pairs(comparison, 1) == [("Cat", "dog", 0.5)]
    assert word_shares(comparison).frame == pytest.approx(6 * 0.01 + 4 * 0.001)


WORDS = st.lists(st.sampled_from(["a", "A", "b", "c", "C", "."]), min_size=1, max_size=6)


@given(st.data(), WORDS, WORDS, st.sets(st.sampled_from("AabcC.")), st.integers(0, 30))
def test_pairs_are_summed_as_plain_loops_sum_them(data, first, second, left_out, count):
    shape = len(first) + 3, len(second) + 3  # A prompt and two special tokens.
    pairs = data.draw(arrays(np.float64, shape, elements=st.integers(-3, 3).map(float)))
    shares = compared(" ".join(first), " ".join(second), pairs).word_shares
    assert (shares.shares == pairs[2:-1, 2:-1]).all()
    sums: dict[tuple[str, str], float] = {}
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            # Spelled as where it first occurs.
            pair = tuple(next(w for w in words if w.lower() == x.lower()) for words, x in ((first, a), (second, b)))
            if left_out.isdisjoint(pair):
                sums[pair] = sums.get(pair, 0) + pairs[2 + i, 2 + j]
    firsts = list(dict.fromkeys(a for a, _ in sums))
    seconds = list(dict.fromkeys(b for _, b in sums))
    ranked = sorted(sums, key=lambda pair: (-sums[pair], firsts.index(pair[0]), seconds.index(pair[1])))
    expected = [(*pair, sums[pair]) for pair in ranked[:count]]
    assert shares.top(count, lambda word: word not in left_out) == expected


def test_the_shares_of_words_are_computed_once(monkeypatch):
    comparison = compared("cat", "dog bird", np.zeros((4, 5)))
    shares = comparison.word_shares
    monkeypatch.setattr("pellucid.explain.words.word_shares", None)
    assert comparison.word_shares is shares
    assert comparison.sentence.startswith("Nothing connects them")
    assert word_pairs(comparison) == [("cat", "dog", 0.0), ("cat", "bird", 0.0)]


def test_a_comparison_without_pairs_has_no_pairs_of_words(tmp_path):
    embedder = Embedder(tiny.write_model(tmp_path / "m", pooling={"pooling_mode_cls_token": True}))
    comparison = embedder.compare("the cat", "a dog")
    assert (comparison.word_shares, word_shares(comparison), word_pairs(comparison)) == (None, None, [])
