from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pellucid.text.padding import without_padding
from pellucid.types import TokenBatch

TEXTS = st.lists(st.lists(st.integers(0, 2), max_size=8), max_size=6)


@given(TEXTS)
def test_a_text_ends_where_transformers_reads_its_last_token(texts):
    def end(text):
        last = [place for place, token in enumerate(text) if token != 0]  # Of none, transformers takes the first.
        return max(last, default=0) + 1

    found = without_padding(TokenBatch.from_sequences(texts), 0)
    assert [ids.tolist() for ids in found] == [text[: end(text)] for text in texts]


def test_a_batch_without_padding_is_not_copied():
    batch = TokenBatch.from_sequences([[0, 1], [2]])
    assert without_padding(batch, 0) is batch
