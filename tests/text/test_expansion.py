from __future__ import annotations

import numpy as np
import pytest

from pellucid import Encoder, TokenBatch
from pellucid.errors import InvalidModelError
from pellucid.model.spec import ExpansionSpec
from pellucid.text.expansion import expand, expansion_token
from tests import tiny

BATCH = TokenBatch.from_sequences([[1, 2], [1, 2, 3, 4], [], [1, 2, 3]])


def test_short_texts_are_filled_up():
    expanded = expand(BATCH, 9, ExpansionSpec(3))
    assert [text.tolist() for text in expanded] == [[1, 2, 9], [1, 2, 3, 4], [9, 9, 9], [1, 2, 3]]
    assert expanded.attended.tolist() == [2, 4, 3, 3]
    assert (expanded.ids.dtype, expanded.offsets.dtype, expanded.attended.dtype) == (np.int32,) * 3


def test_tokens_that_are_looked_at():
    assert expand(BATCH, 9, ExpansionSpec(3, attend=True)).attended is None
    assert expand(BATCH, 9, ExpansionSpec(5, attend=True)).lengths.tolist() == [5, 5, 5, 5]
    whole = TokenBatch.from_sequences([[1, 2], [3, 4, 5]])
    assert expand(whole, 9, ExpansionSpec(2)).attended is None  # Nothing was filled up.
    assert len(expand(TokenBatch.from_sequences([]), 9, ExpansionSpec(2))) == 0


def test_segments_stay_with_their_tokens():
    batch = TokenBatch(BATCH.ids, BATCH.offsets, np.array([0, 1, 0, 1, 1, 0, 1, 1, 1], dtype=np.int8))
    assert expand(batch, 9, ExpansionSpec(3)).segments.tolist() == [0, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(("family", "mask"), [("bert", "[MASK]"), ("roberta", "<mask>")])
@pytest.mark.parametrize("config", [{}, {"mask_token": None}, {"mask_token": {"content": "the"}}])
def test_the_token(tmp_path, family, mask, config):
    folder = tiny.write_model(tmp_path / "m", family)
    tiny.edit_json(folder / "tokenizer_config.json", **config)
    encoder = Encoder(folder)
    found = expansion_token(encoder.files, encoder.tokenizer, None)
    assert encoder.tokenizer.piece(found) == ("the" if config.get("mask_token") else mask)
    found = expansion_token(encoder.files, encoder.tokenizer, "the")
    assert encoder.tokenizer.piece(found) == "the"
    with pytest.raises(InvalidModelError, match="the vocabulary has no token 'nothing'"):
        expansion_token(encoder.files, encoder.tokenizer, "nothing")
