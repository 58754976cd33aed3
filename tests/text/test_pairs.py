from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.errors import UnsupportedModelError
from pellucid.text.pairs import PairTexts, find_template, join_pairs, kept_lengths
from pellucid.types import TokenBatch
from tests import tiny, tiny_families
from tests.text.test_tokenizer import tokenizer_of

WORDS = st.lists(st.sampled_from(["the", "cat", "dogs", "[SEP]", "</s>", "é", ",", "😀"]), max_size=40).map(" ".join)


@pytest.fixture(scope="module", params=list(tiny_families.FAMILIES))
def library_and_ours(request, tmp_path_factory):
    folder = tiny.write_scoring_model(tmp_path_factory.mktemp("models") / "m", request.param)
    library = tiny_families.make_tokenizer(request.param)
    library.no_padding()
    return library, tokenizer_of(folder)


@given(first=WORDS, second=WORDS, max_tokens=st.integers(5, 60), side=st.sampled_from(["left", "right"]))
def test_pairs_are_those_of_the_library(library_and_ours, first, second, max_tokens, side):
    library, ours = library_and_ours
    library.enable_truncation(max_tokens, strategy="longest_first", direction=side)
    texts, firsts, seconds = [first, second], [0, 1, 0], [1, 0, 0]
    expected = [library.encode(texts[a], texts[b]) for a, b in zip(firsts, seconds, strict=True)]
    options = {"keep_end": side == "left", "has_segments": True}
    plain = ours.tokenize_plain(texts)
    batch, counts = join_pairs(plain, PairTexts(texts, firsts, seconds), ours.pair_template, max_tokens, **options)
    assert [ids.tolist() for ids in batch] == [encoding.ids for encoding in expected]
    assert batch.segments.tolist() == [segment for encoding in expected for segment in encoding.type_ids]
    assert (batch.offsets.dtype, batch.segments.dtype, counts.dtype) == (np.int32, np.int8, np.int32)
    library.no_truncation()
    whole = [library.encode(texts[a], texts[b]) for a, b in zip(firsts, seconds, strict=True)]
    assert counts.tolist() == [len(encoding.ids) for encoding in whole]


@pytest.mark.parametrize("keep_end", [False, True])
def test_a_second_text_can_have_a_limit_of_its_own(library_and_ours, keep_end):
    _, ours = library_and_ours
    texts = ["the cat", "dogs dogs dogs cat"]
    plain = ours.tokenize_plain(texts)
    cut = [plain.ids[:2], plain.ids[-3:] if keep_end else plain.ids[2:5]]
    options = {"keep_end": keep_end, "has_segments": True}
    few, counts = join_pairs(plain, PairTexts(texts, [0], [1], 3), ours.pair_template, 60, **options)
    if len(plain.ids) == 6:  # Each word is one token.
        expected, expected_counts = join_pairs(
            TokenBatch.from_sequences(cut), PairTexts(texts, [0], [1]), ours.pair_template, 60, **options
        )
        assert few.ids.tolist() == expected.ids.tolist()
        assert counts.tolist() == expected_counts.tolist()
    assert counts.tolist() == [int(plain.lengths[0]) + 3 + ours.pair_template.specials]


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 40))
def test_only_the_longer_text_is_cut_until_both_are_equal(first, second, room):
    a, b = (int(kept[0]) for kept in kept_lengths(*np.array([[first], [second]], dtype=np.int32), room))
    assert a + b == min(room, first + second)
    assert a <= first
    assert b <= second
    if a < first and b < second:
        assert abs(a - b) <= 1
    elif a < first:
        assert a >= b - 1
        assert b == second
    elif b < second:
        assert b >= a - 1
        assert a == first


def test_segments_can_be_left_out_and_no_pairs_are_an_empty_batch(library_and_ours):
    _, ours = library_and_ours
    ids = ours.tokenize_plain(["the cat"])
    options = {"keep_end": False, "has_segments": False}
    same = PairTexts(["the cat"], [0], [0])
    assert join_pairs(ids, same, ours.pair_template, 20, **options)[0].segments is None
    for has_segments in (False, True):
        options["has_segments"] = has_segments
        empty, counts = join_pairs(ids, PairTexts([], [], []), ours.pair_template, 20, **options)
        assert (len(empty), len(counts)) == (0, 0)


def test_a_template_says_what_is_around_the_texts():
    template = find_template([1, 5, 6, 2, 3, 7, 4], [0, 0, 0, 0, 1, 1, 1], [5, 6], [7])
    assert (template.before.tolist(), template.between.tolist(), template.after.tolist()) == ([1], [2, 3], [4])
    assert [part.tolist() for part in template.segments] == [[0], [0], [0, 1], [1], [1]]


@pytest.mark.parametrize("ids", [[1, 5, 6, 2], [1, 7, 2], [1, 7, 2, 5, 6, 2], [1, 5, 6, 2, 7, 2, 7], [1, 2]])
def test_a_template_has_each_text_once_and_in_order(ids):
    assert find_template(ids, [0] * len(ids), [5, 6], [7]) is None


def test_a_template_that_leaves_a_text_out_is_refused(tmp_path):
    folder = tiny.write_scoring_model(tmp_path / "m", "xlm-roberta")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["post_processor"]["pair"] = tokenizer["post_processor"]["single"]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    ours = tokenizer_of(folder)
    with pytest.raises(UnsupportedModelError, match="not supported for pairs"):
        assert ours.pair_template


def test_a_long_text_is_read_only_as_far_as_needed(library_and_ours):
    _, ours = library_and_ours
    ids = ours.tokenize_plain(["the cat " * 200_000]).ids
    assert 16_384 <= len(ids) < 200_000
    np.testing.assert_array_equal(ids[:20], ours.tokenize_plain(["the cat " * 100]).ids[:20])


def test_each_different_text_of_pairs_is_there_once_and_a_prompt_makes_first_texts_different():
    pairs = [("q", "a"), ("q", "b"), ("a", "a"), ("a", "q")]
    assert PairTexts.of(pairs) == PairTexts(["q", "a", "b"], [0, 0, 1, 1], [1, 2, 1, 0])
    assert PairTexts.of(pairs, "find: ") == PairTexts(["find: q", "a", "b", "find: a", "q"], [0, 0, 3, 3], [1, 2, 1, 4])
