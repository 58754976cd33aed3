from __future__ import annotations

import pytest

from pellucid import MultiVectorEmbedder, SparseEmbedder
from pellucid.explain.score_shares import alignment_shares, sparse_shares
from tests import multi_vector_models, tiny

QUERY, DOCUMENT = "the cat sat on the mat", "A dog sat; the zebra!"


def words(text, tokens, token):
    """The word of a token, by its characters; None if it has none."""
    place = tokens[token]
    start, end = place.start, place.end
    if place.kind == "special":
        return None
    while text[start].isalpha() and start and text[start - 1].isalpha():
        start -= 1
    while text[end - 1].isalpha() and end < len(text) and text[end].isalpha():
        end += 1
    return text[start:end]


def sums_by_hand(parts):
    sums, frame = {}, 0.0
    for first, second, part in parts:
        if first is None or second is None:
            frame += part
        else:
            sums[first, second] = sums.get((first, second), 0.0) + part
    return sums, frame


def as_sums(shares):
    sums = {}
    for i, first in enumerate(shares.first):
        for j, second in enumerate(shares.second):
            if shares.shares[i, j]:
                key = first.text, second.text
                sums[key] = sums.get(key, 0.0) + shares.shares[i, j]
    return sums


def test_a_term_belongs_to_the_words_that_raised_it(tmp_path):
    explained = SparseEmbedder(tiny.write_splade_model(tmp_path / "m")).explain(QUERY, DOCUMENT)
    shares = sparse_shares(explained)
    sums, frame = sums_by_hand(
        (
            words(QUERY, explained.query.tokens, match.in_query.raised_by),
            words(DOCUMENT, explained.document.tokens, match.in_document.raised_by),
            match.product,
        )
        for match in explained.matches
    )
    assert sums
    assert as_sums(shares) == pytest.approx(sums)
    assert shares.frame == pytest.approx(frame)
    assert shares.shares.sum() + shares.frame == pytest.approx(explained.score)


@pytest.mark.parametrize("expansion", [None, multi_vector_models.FIXED])
def test_a_token_belongs_to_its_word_and_to_the_word_that_it_found(tmp_path, expansion):
    folder = multi_vector_models.write_model(tmp_path / "m", expansion=expansion)
    alignment = MultiVectorEmbedder(folder).explain(QUERY, DOCUMENT)
    shares = alignment_shares(alignment)
    sums, frame = sums_by_hand(
        (words(QUERY, alignment.query.tokens, i), words(DOCUMENT, alignment.document.tokens, int(match)), float(part))
        for i, (match, part) in enumerate(zip(alignment.matches, alignment.parts, strict=True))
    )
    assert sums
    assert as_sums(shares) == pytest.approx(sums)
    assert shares.frame == pytest.approx(frame)
    assert shares.shares.sum() + shares.frame == pytest.approx(alignment.score, abs=1e-5)


def test_words_of_a_prompt_count_with_the_frame(tmp_path):
    prompts = {"query": "query: ", "document": "the dog: "}
    folder = multi_vector_models.write_model(tmp_path / "m", prompts=prompts)
    alignment = MultiVectorEmbedder(folder).explain("cat", "zebra")
    shares = alignment_shares(alignment)
    assert [word.text for word in shares.first] == ["cat"]
    assert [word.text for word in shares.second] == ["zebra"]


def test_a_document_without_vectors_has_no_shares(tmp_path):
    folder = multi_vector_models.write_model(tmp_path / "m", skipped=("dog", "[CLS]", "[SEP]"))
    shares = alignment_shares(MultiVectorEmbedder(folder).explain("cat", "dog"))
    assert (shares.shares.sum(), shares.frame, shares.second) == (0, 0, ())
