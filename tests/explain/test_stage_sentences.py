from __future__ import annotations

import dataclasses

import pytest

from pellucid.explain.stage_sentences import (
    describe_reach,
    embedding_sentence,
    final_norm_sentence,
    layer_sentence,
    layers_sentence,
    pooling_sentence,
)
from pellucid.layers.pooling import Pooling
from pellucid.model.spec import AttentionSpec, EmbeddingSpec, EncoderSpec, NormSpec

ATTENTION = AttentionSpec(heads=4, head_size=8, kv_heads=2)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (None, None, "the tokens of the text"),
        (64, 64, "the tokens up to 64 places away"),
        (1, 1, "the tokens up to 1 place away"),
        (0, 0, "itself alone"),
        (None, 0, "itself and all tokens before it"),
        (1023, 0, "itself and the 1,023 tokens before it"),
        (1, 0, "itself and the token before it"),
        (0, None, "itself and all tokens after it"),
        (None, 3, "itself, all tokens before it and the 3 tokens after it"),
        (7, 8, "itself, the 7 tokens before it and the 8 tokens after it"),
    ],
)
def test_which_tokens_a_token_looks_at(before, after, words):
    attention = dataclasses.replace(ATTENTION, before=before, after=after)
    assert describe_reach(attention) == words
    assert layer_sentence(attention) == (
        f"In 4 attention heads, each token takes information from {words}. Then a feed-forward network transforms each "
        f"token alone."
    )


@pytest.mark.parametrize(
    ("changes", "tables", "words"),
    [
        ({"norm": NormSpec(1e-6)}, ["word", "position"], "looked up (word + position) and normalized"),
        ({"norm": NormSpec(1e-6), "size": 8}, ["word"], "looked up, normalized and passed through a linear layer"),
        ({}, ["word"], "looked up"),
        ({"scale": 768**0.5}, ["word"], "looked up and multiplied by 27.71"),
        ({"weighted": True}, ["word"], "looked up and multiplied by its weight"),
    ],
)
def test_how_tokens_become_vectors(changes, tables, words):
    embedding = EmbeddingSpec(**({"vocab_size": 9, "positions": 8, "norm": None} | changes))
    sentence = embedding_sentence(EncoderSpec("m", 16, embedding, blocks=()), tables, 3)
    assert sentence.startswith(f"Each token's row is {words}, which gives 3 vectors of 16 numbers. ")


def test_layers_that_do_the_same_share_a_sentence():
    assert layers_sentence(["All look."]) == "All look. The only layer does this."
    assert layers_sentence(["All look."] * 6) == "All look. Each of the 6 layers does this."
    assert layers_sentence(["Near.", "Near.", "Near.", "Far.", "Near.", "Far."]) == (
        "Near. Layers 1–3 and 5 do this. Far. Layers 4 and 6 do this."
    )
    assert layers_sentence(["Far.", "Near.", "Near."]) == "Far. Layer 1 does this. Near. Layers 2–3 do this."


def test_what_the_last_norm_does():
    assert final_norm_sentence(NormSpec(1e-6)) == "The vectors are normalized once more."
    assert "divided by the root mean square" in final_norm_sentence(NormSpec(1e-6, kind="rms", bias=False))


@pytest.mark.parametrize(
    ("modes", "is_causal", "words"),
    [
        (("lasttoken",), True, "the vector of the last token. Only this token has read the whole text."),
        (("lasttoken",), False, "the vector of the last token."),
        (("mean",), True, "their mean."),
        (("cls", "max"), False, "the vector of the first token, followed by their largest number in each dimension."),
    ],
)
def test_how_token_vectors_become_one(modes, is_causal, words):
    sentence = f"The token vectors become one vector: {words}"
    assert pooling_sentence(Pooling(modes), 2, is_causal=is_causal) == sentence
    without_prompt = Pooling(modes, include_prompt=False)
    assert pooling_sentence(without_prompt, 0, is_causal=is_causal) == sentence
    assert (
        pooling_sentence(without_prompt, 2, is_causal=is_causal) == f"{sentence} The prompt's tokens are not counted."
    )
