"""Token ids, held against the tokenizer that the reference loads from the same files."""

from __future__ import annotations

import pytest

from tests.reference.texts import SCRIPTS, docstrings, nasty, of_lengths


@pytest.mark.parametrize("model", ["minilm", "mpnet"])
def test_token_ids_and_counts_are_those_of_the_reference(model, request):
    ours = request.getfixturevalue(model)
    theirs = request.getfixturevalue(f"reference_{model}").tokenizer
    texts = [*nasty(5000, seed=1), *docstrings(), *SCRIPTS, *of_lengths(ours.max_tokens), "", "\n"]
    batch, counts = ours.tokenizer.tokenize(texts)
    expected = theirs(texts, truncation=True, max_length=ours.max_tokens)["input_ids"]
    for text, ids, wanted in zip(texts, batch, expected, strict=True):
        assert ids.tolist() == wanted, repr(text)
    assert counts.tolist() == [len(ids) for ids in theirs(texts, truncation=False, verbose=False)["input_ids"]]
