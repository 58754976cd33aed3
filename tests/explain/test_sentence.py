from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid import Embedder
from pellucid.explain.sentence import drops_sentence, pairs_sentence
from tests import tiny

FRAME = "special tokens, which the model adds to every text."
SHARES = st.floats(-1, 1)


@pytest.mark.parametrize(
    ("cosine", "pairs", "frame", "sentence"),
    [
        # One pair makes more than half.
        (0.5, [("cat", "kitten", 0.3)], 0.0, "Mostly because of “cat” and “kitten” (60% of the cosine)."),
        (0.5, [("my", "My", 0.3), ("a", "b", 0.2)], 0.0, "Mostly because of “my” in both texts (60% of the cosine)."),
        # No more pairs are named than it takes to reach half.
        (
            0.5,
            [("cat", "kitten", 0.2), ("dog", "puppy", 0.1), ("a", "b", 0.1)],
            0.1,
            "Mostly because of “cat” and “kitten” (40% of the cosine), then “dog” and “puppy” (20%). 20% comes from "
            f"the frame: {FRAME}",
        ),
        # Many weak pairs: those that are much weaker than the first are not named, nor is a fourth.
        (
            0.5,
            [("cat", "kitten", 0.1), ("dog", "puppy", 0.06), ("a", "b", 0.04)],
            0.04,
            "No single pair of words decides it. The strongest is “cat” and “kitten” (20% of the cosine), then “dog” "
            "and “puppy” (12%).",
        ),
        (
            0.5,
            [("a", "b", 0.01), ("c", "d", 0.01), ("e", "f", 0.01), ("g", "h", 0.01)],
            0.0,
            "No single pair of words decides it. The strongest is “a” and “b” (2% of the cosine), then “c” and “d” "
            "(2%), then “e” and “f” (2%).",
        ),
        (
            0.9,
            [("a", "b", 0.001)],
            0.2,
            "No single pair of words decides it. The strongest is “a” and “b” (less than 1% of the cosine). 22% comes "
            f"from the frame: {FRAME}",
        ),
        # The frame makes more than half, or all.
        (
            0.5,
            [("cat", "dog", 0.1)],
            0.4,
            f"Mostly the frame: 80% of the cosine comes from {FRAME} Of the words, the strongest pair is “cat” and "
            "“dog” (20% of the cosine).",
        ),
        (
            0.5,
            [("cat", "dog", 0.1)],
            0.55,
            f"All of it comes from the frame: {FRAME} Together, the words add nothing to the cosine.",
        ),
        # The named parts are more than the whole.
        (
            0.5,
            [("cat", "dog", 0.5)],
            0.1,
            f"Mostly because of “cat” and “dog” (100% of the cosine). 20% comes from the frame: {FRAME} Other pairs "
            "take some of it away.",
        ),
        # Little or nothing.
        (
            0.1,
            [("cat", "onion", 0.0123)],
            0.0,
            "Little connects them: even the strongest pair of words, “cat” and “onion”, adds only 0.012.",
        ),
        (
            0.1,
            [("a", "b", 0.0001)],
            0.0,
            "Little connects them: even the strongest pair of words, “a” and “b”, adds less than 0.001.",
        ),
        (0.1, [("a", "b", -0.1)], 0.2, "Little connects them, and no pair of words adds to the cosine."),
        (
            0.001,
            [("a", "b", 0.1)],
            0.0,
            "Nothing connects them: what the pairs of tokens add and what they subtract cancel out.",
        ),
        (
            -0.1,
            [("a", "b", 0.1)],
            0.0,
            "Nothing connects them: together, the pairs of tokens subtract more than they add.",
        ),
        # Very long words.
        (
            0.5,
            [("x" * 31, "y" * 30, 0.3)],
            0.0,
            f"Mostly because of “{'x' * 30}…” and “{'y' * 30}” (60% of the cosine).",
        ),
    ],
)
def test_what_pairs_of_words_say(cosine, pairs, frame, sentence):
    assert pairs_sentence(cosine, pairs, frame) == sentence


@given(
    st.lists(st.tuples(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40), SHARES), min_size=1), SHARES
)
def test_any_shares_make_a_sentence_without_impossible_numbers(pairs, frame):
    pairs = sorted(pairs, key=lambda pair: -pair[2])
    cosine = sum(share for *_, share in pairs) + frame
    sentence = pairs_sentence(cosine, pairs, frame)
    assert sentence.endswith(".")
    assert not re.search(r"\bnan\b|\binf\b|-\d+%", re.sub("“.*?”", "", sentence, flags=re.DOTALL))


@pytest.mark.parametrize(
    ("cosine", "first", "second", "sentence"),
    [
        (
            0.6,
            ("cat", 0.2),
            ("dog", 0.1),
            "Without “cat” in the first text, the cosine falls by 0.20. Without “dog” in the second text, it falls by "
            "0.10.",
        ),
        (0.6, ("cat", -0.1), ("dog", 0.1), "Without “dog” in the second text, the cosine falls by 0.10."),
        (
            0.6,
            ("cat", 0.001),
            ("dog", -0.2),
            "No single token matters much: without any one of them, the cosine falls by less than 0.01.",
        ),
        (0.1, ("cat", 0.2), ("dog", 0.1), "Little connects them: the cosine is only 0.10."),
        (-0.1, ("cat", 0.2), ("dog", 0.1), "Nothing connects them: the cosine is not above 0."),
    ],
)
def test_what_tokens_left_out_say(cosine, first, second, sentence):
    assert drops_sentence(cosine, first, second) == sentence


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    return Embedder(tiny.write_model(tmp_path_factory.mktemp("models") / "m"), on_truncation="ignore")


@pytest.mark.parametrize(
    ("first", "second", "sentence"),
    [
        ("the cat", "The CAT", "The model reads the same tokens in both texts, so it cannot tell them apart."),
        ("", " ", "Neither text has words: both vectors are made only of what the model adds to every text."),
        ("the cat", "", "The second text has no words: its vector is made only of what the model adds to every text."),
    ],
)
def test_texts_with_nothing_to_tell_apart(embedder, first, second, sentence):
    assert embedder.compare(first, second).sentence == sentence


def test_the_sentence_names_words_and_not_marks_or_pieces(minilm):
    sentence = minilm.compare("How do I reset my password?", "I forgot my login credentials").sentence
    assert "“password” and “credentials”" in sentence
    assert "35% comes from the frame: special tokens, which" in sentence
    assert "“?”" not in minilm.compare("Why? What? How?", "When? Who? cat").sentence
    assert "“?”" in minilm.compare("???", "?!").sentence, "a text of marks alone has no other words"


def test_a_prompt_belongs_to_the_frame(tmp_path):
    embedder = Embedder(tiny.write_model(tmp_path / "m", prompts={"query": "query: ", "document": "passage: "}))
    comparison = embedder.compare("cat", "dog")
    assert comparison.cosine > 0.2
    assert "special tokens and the prompt" in comparison.sentence
    assert "query" not in comparison.sentence


def test_without_pairs_the_sentence_names_a_token(tmp_path):
    embedder = Embedder(tiny.write_model(tmp_path / "m", pooling={"pooling_mode_cls_token": True}))
    comparison = embedder.compare("the Cat sat", "a dog")
    comparison = dataclasses.replace(
        comparison, cosine=0.5, first_shares=np.array([0, 0.1, 0.2, 0, 0]), second_shares=np.zeros(4)
    )
    assert comparison.sentence == "Without “Cat” in the first text, the cosine falls by 0.20."
    assert json.loads(comparison.to_json())["sentence"] == comparison.sentence
