from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pellucid.layers.token_mask import TokenMask
from pellucid.types import TokenBatch

TOKENS = TokenBatch.from_sequences([[1, 5, 2], [], [1, 7, 5, 2]])


@pytest.mark.parametrize(
    ("mask", "kept"),
    [
        (TokenMask(), "111 1111"),
        (TokenMask(skipped=(5,)), "101 1101"),
        (TokenMask(only=(5, 7)), "010 0110"),
        (TokenMask(skipped=(5,), only=(5, 7)), "000 0100"),
        (TokenMask(first=1), "011 0111"),
        (TokenMask(first=3, skipped=(2,)), "000 0000"),
        (TokenMask(attended=True), "111 1111"),
    ],
)
def test_which_tokens_have_a_vector(mask, kept):
    assert mask.kept(TOKENS).astype(int).tolist() == [int(digit) for digit in kept.replace(" ", "")]


def test_tokens_that_the_others_do_not_look_at():
    tokens = replace(TOKENS, attended=np.array([2, 0, 3], dtype=np.int32))
    assert TokenMask(attended=True).kept(tokens).tolist() == [True, True, False, True, True, True, False]
    assert TokenMask().kept(tokens).all()
