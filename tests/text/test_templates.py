from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.text.templates import TextTemplate
from pellucid.types import TokenBatch
from tests import tiny, tiny_families
from tests.text.test_tokenizer import tokenizer_of

WORDS = st.lists(st.sampled_from(["the", "cat", "dogs", "[SEP]", "</s>", "é", ",", "😀"]), max_size=30).map(" ".join)


@pytest.fixture(scope="module", params=list(tiny_families.FAMILIES))
def library_and_ours(request, tmp_path_factory):
    folder = tiny.write_model(tmp_path_factory.mktemp("models") / "m", request.param)
    library = tiny_families.make_tokenizer(request.param)
    library.no_padding()
    return library, tokenizer_of(folder)


@given(
    texts=st.lists(WORDS, min_size=1, max_size=4),
    max_tokens=st.integers(3, 40),
    side=st.sampled_from(["left", "right"]),
)
def test_texts_are_cut_and_get_their_special_tokens_as_in_the_library(library_and_ours, texts, max_tokens, side):
    library, ours = library_and_ours
    library.enable_truncation(max_tokens, direction=side)
    expected = [encoding.ids for encoding in library.encode_batch(texts)]
    plain = ours.tokenize_plain(texts)
    batch = ours._template.apply(plain, max_tokens, keep_end=side == "left")
    assert [ids.tolist() for ids in batch] == expected
    assert (batch.ids.dtype, batch.offsets.dtype) == (np.int32, np.int32)
    for ids, right in zip(plain, expected, strict=True):
        for given_ids in (ids, ids.tolist()):
            one = ours._template.apply_to_one(given_ids, max_tokens, keep_end=side == "left")
            assert (one.ids.tolist(), one.offsets.tolist()) == (right, [0, len(right)])
            assert (one.ids.dtype, one.offsets.dtype) == (np.int32, np.int32)


@pytest.mark.parametrize("keep_end", [False, True])
@pytest.mark.parametrize("sequences", [[], [[]], [[], []], [[7, 8, 9], [], [7]]])
def test_a_template_without_special_tokens_only_cuts(sequences, keep_end):
    none = np.empty(0, dtype=np.int32)
    batch = TextTemplate(none, none).apply(TokenBatch.from_sequences(sequences), 2, keep_end=keep_end)
    expected = [ids[-2:] if keep_end else ids[:2] for ids in sequences]
    assert [ids.tolist() for ids in batch] == expected
    ones = [TextTemplate(none, none).apply_to_one(ids, 2, keep_end=keep_end) for ids in sequences]
    assert [one.ids.tolist() for one in ones] == expected
