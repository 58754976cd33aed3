from __future__ import annotations

import pytest

from pellucid import Encoder
from pellucid.errors import InvalidModelError
from pellucid.model.spec import ExpansionSpec, LateInteractionSpec
from pellucid.text.sides import SideTokenizers
from tests import tiny

TEXTS = ["the cat", "cat " * 90]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Encoder:
    return Encoder(tiny.write_model(tmp_path_factory.mktemp("models") / "m"))


def tokenizers_of(encoder: Encoder, keep_limit: bool = False, **spec) -> SideTokenizers:
    return SideTokenizers(
        encoder.files,
        encoder.tokenizer,
        LateInteractionSpec((), **spec),
        encoder.spec.encoder.max_tokens,
        keep_limit=keep_limit,
    )


@pytest.mark.parametrize(
    ("spec", "query", "document"),
    [
        ({}, 24, 24),
        ({"query_length": 9, "document_length": 20}, 9, 20),
        ({"query_length": 9, "expansion": ExpansionSpec(12)}, 12, 24),
        ({"query_length": 20, "expansion": ExpansionSpec(12, fixed=False)}, 20, 24),
        ({"document_length": 20, "keep_limit": True}, 24, 24),
        ({"document_length": 10_000}, 24, 40),
    ],
)
def test_each_kind_of_text_has_a_limit(encoder, spec, query, document):
    tokenizers = tokenizers_of(encoder, **spec)
    for side, limit in (("query", query), ("document", document), ("text", 24)):
        assert tokenizers.max_tokens(side) == tokenizers[side].spec.max_tokens == limit
        tokens, counts = tokenizers.tokenize(TEXTS, "", side)
        assert (tokens.lengths[1], counts.tolist()) == (limit, [4, 92])


def test_short_queries_are_filled_up(encoder):
    tokenizers = tokenizers_of(encoder, expansion=ExpansionSpec(12, attend=True))
    mask = encoder.tokenizer.token_id("[MASK]")
    plain = encoder.tokenizer.tokenize(TEXTS[:1])[0].ids.tolist()
    assert tokenizers.tokenize(TEXTS[:1], "", "query")[0].ids.tolist() == [*plain, *[mask] * 8]
    assert tokenizers.tokenize(TEXTS[:1], "", "document")[0].ids.tolist() == plain
    first, second = tokenizers.filling(2, 7)
    assert first == second
    assert (first.id, first.piece, first.start, first.end) == (mask, "[MASK]", 7, 7)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"query_length": 2}, "a query_length of 2 leaves no room"),
        ({"document_length": 1}, "a document_length of 1 leaves no room"),
        ({"expansion": ExpansionSpec(99)}, "filled up to 99 tokens, but the encoder reads at most 40"),
        ({"expansion": ExpansionSpec(12, token="missing")}, "no token 'missing'"),
    ],
)
def test_what_cannot_be_read(encoder, spec, message):
    with pytest.raises(InvalidModelError, match=message):
        tokenizers_of(encoder, **spec)
